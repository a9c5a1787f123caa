//! Counts of what one echoed message costs the server.

#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

use echoloop::reactor::{
    Event, Handler, Key, Next, Reactor, Registry, Slots, TcpStream, stream_interests,
};

/// How long a message is.
pub(crate) const MESSAGE: usize = 64;

/// Two sizes of a run: the difference between them is free of what starting and stopping cost.
const ROUNDS_SHORT: usize = 200;
const ROUNDS_LONG: usize = 1_200;

/// User instructions of the server for one message.
pub(crate) fn instructions(connections: usize, options: &[String]) -> Option<f64> {
    let count = |rounds| {
        let valgrind = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
        ];
        let server = Served::start(&[], &valgrind, options)?;
        load(server.address, connections, rounds);
        let report = server.stop();
        // ==PID== Collected : 12345
        let line = report.lines().find(|line| line.contains("Collected :"))?;
        line.split_whitespace().last()?.parse::<f64>().ok()
    };
    let difference = count(ROUNDS_LONG)? - count(ROUNDS_SHORT)?;
    Some(difference / ((ROUNDS_LONG - ROUNDS_SHORT) * connections) as f64)
}

/// System calls of the server for one message.
pub(crate) struct Calls {
    pub(crate) all: f64,
    pub(crate) recvfrom: f64,
    pub(crate) sendto: f64,
    pub(crate) epoll_wait: f64,
    pub(crate) epoll_ctl: f64,
}

/// System calls of the server for one message, while there is always another waiting: being traced makes the server by far
/// the slower of the two. (How many messages a wake-up brings would otherwise depend on which of them happens to be ahead.)
pub(crate) fn system_calls(connections: usize, options: &[String]) -> Option<Calls> {
    let report = |rounds| {
        let server = Served::start(&["strace", "-c"], &[], options)?;
        load(server.address, connections, rounds);
        Some(server.stop())
    };
    let (short, long) = (report(ROUNDS_SHORT)?, report(ROUNDS_LONG)?);
    let messages = ((ROUNDS_LONG - ROUNDS_SHORT) * connections) as f64;
    let count = |names: &[&str]| {
        let difference = called(&long, names) - called(&short, names);
        difference / messages
    };
    let all = count(&["total"]);
    (all > 0.0).then(|| Calls {
        all,
        recvfrom: count(&["recvfrom"]),
        sendto: count(&["sendto"]),
        epoll_wait: count(&["epoll_wait", "epoll_pwait"]),
        epoll_ctl: count(&["epoll_ctl"]),
    })
}

/// How often those called `names` were called, by the table that strace prints: share, seconds, microseconds each, calls,
/// errors if there were any, name.
fn called(report: &str, names: &[&str]) -> f64 {
    let rows = report.lines().map(|line| line.split_whitespace().collect());
    let of_them = rows.filter(|row: &Vec<_>| row.last().is_some_and(|name| names.contains(name)));
    of_them
        .filter_map(|row| row.get(3)?.parse::<f64>().ok())
        .sum()
}

/// A server, and what watches it.
struct Served {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// The server's own process, which may be a child of the child.
    pid: String,
    address: SocketAddr,
}

impl Served {
    /// Starts `outer sh inner echoloop serve options`: a shell between the two tells its process id
    /// and becomes the rest.
    fn start(outer: &[&str], inner: &[&str], options: &[String]) -> Option<Self> {
        let shell = ["sh", "-c", "echo $$; exec \"$@\"", "sh"];
        let serve = [
            env!("CARGO_BIN_EXE_echoloop"),
            "serve",
            "--tcp",
            "127.0.0.1:0",
            "--no-udp",
        ];
        let words = [outer, &shell, inner, &serve].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let stderr = BufReader::new(child.stderr.take()?);
        let mut lines = BufReader::new(child.stdout.take()?).lines();
        let pid = lines.next()?.ok()?;
        let address = lines
            .next()?
            .ok()?
            .strip_prefix("listening tcp://")?
            .parse()
            .ok()?;
        Some(Self {
            child,
            stderr,
            pid,
            address,
        })
    }

    /// Ends the server, and returns what it, valgrind or strace has said.
    fn stop(mut self) -> String {
        let _ = Command::new("kill")
            .args(["-s", "TERM", &self.pid])
            .status();
        let mut report = String::new();
        self.stderr.read_to_string(&mut report).unwrap();
        self.child.wait().unwrap();
        report
    }
}

/// Sends `rounds` messages on each of `connections`, and returns how many that were.
fn load(address: SocketAddr, connections: usize, rounds: usize) -> usize {
    let mut reactor = Reactor::new().unwrap();
    let mut load = Load {
        slots: Slots::new(connections),
        ready: VecDeque::new(),
    };
    for _ in 0..connections {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = TcpStream::from_std(stream);
        let asker = Asker {
            stream,
            unanswered: 0,
            left: rounds,
        };
        let Ok(key) = load.slots.insert(asker) else {
            unreachable!("there is a slot for each")
        };
        let asker = load.slots.get_mut(key).unwrap();
        reactor
            .registry()
            .register(&mut asker.stream, key.token(), stream_interests())
            .unwrap();
        load.ready.push_back(key);
    }
    reactor.run(&mut load).unwrap();
    connections * rounds
}

/// Connections that ask and wait for the answer, by turns.
struct Load {
    slots: Slots<Asker>,
    ready: VecDeque<Key>,
}

struct Asker {
    stream: TcpStream,
    /// Bytes of the last message that have not come back yet.
    unanswered: usize,
    /// Messages still to send.
    left: usize,
}

impl Handler for Load {
    fn ready(&mut self, event: &Event) {
        self.ready.extend(Key::from_token(event.token()));
    }

    fn turn(&mut self, _registry: &Registry, _now: Instant) -> Next {
        while let Some(key) = self.ready.pop_front() {
            if self.slots.get_mut(key).is_some_and(|asker| asker.is_done()) {
                self.slots.remove(key);
            }
        }
        if self.slots.is_empty() {
            Next::Stop
        } else {
            Next::Wait(None)
        }
    }
}

impl Asker {
    /// Takes what has come, sends the next message if that was all, and says whether it was the last.
    ///
    /// Nothing can come before the next message has been sent, so nothing is read after that: an event
    /// will tell. Every call saved here is one more that the server is kept busy.
    fn is_done(&mut self) -> bool {
        let message = [b'e'; MESSAGE];
        while self.unanswered > 0 {
            let mut answer = [0; MESSAGE];
            match self.stream.read(&mut answer[..self.unanswered]) {
                Ok(0) => panic!("the server hung up"),
                Ok(count) => {
                    assert_eq!(answer[..count], message[..count]);
                    self.unanswered -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
        }
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        self.unanswered = MESSAGE;
        assert_eq!(self.stream.write(&message).unwrap(), MESSAGE);
        false
    }
}
