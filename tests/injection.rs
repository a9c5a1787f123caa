//! System calls of the real program that fail, one kind and one place at a time.
//!
//! `strace` makes a call return an error instead of being made. Every error here is one that Linux may return there
//! (`EAGAIN` is not: an edge-triggered socket that has not been drained will never be reported again). Run where strace is
//! installed and may trace; said when it is not.

#![allow(clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;
mod support;

use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use process::{Process, program};
use support::serving::{connect, eventually, payload};

const CLIENTS: u64 = 6;
const MESSAGES: usize = 8;
const MESSAGE: usize = 700;

/// Which calls fail, counted from the first that is made once the server is reached: the first; every third from the second
/// on; the third to the sixth.
const PLACES: [Place; 3] = [
    Place {
        first: 1,
        last: Some(1),
        step: 1,
    },
    Place {
        first: 2,
        last: None,
        step: 3,
    },
    Place {
        first: 3,
        last: Some(6),
        step: 1,
    },
];

#[derive(Clone, Copy, Debug)]
struct Place {
    first: usize,
    last: Option<usize>,
    step: usize,
}

/// What may come of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// Nothing that a client could see.
    Nothing,
    /// The end of the client it concerns, and of no other.
    Client,
    /// The loss of a datagram.
    Datagram,
}

const ERRORS: [(&str, &[&str], Means); 14] = [
    (
        "accept4",
        &[
            "EMFILE",
            "ENFILE",
            "ENOBUFS",
            "ENOMEM",
            "ECONNABORTED",
            "EPERM",
            "EPROTO",
            "EINTR",
        ],
        Means::Nothing,
    ),
    ("recvfrom", &["EINTR", "ENOMEM"], Means::Nothing),
    (
        "recvfrom",
        &["ECONNRESET", "ETIMEDOUT", "EHOSTUNREACH"],
        Means::Client,
    ),
    ("sendto", &["EINTR", "ENOBUFS", "ENOMEM"], Means::Nothing),
    ("sendto", &["EPIPE", "ECONNRESET"], Means::Client),
    ("epoll_wait", &["EINTR"], Means::Nothing),
    ("epoll_ctl", &["ENOSPC", "ENOMEM"], Means::Client),
    ("shutdown", &["ENOTCONN"], Means::Nothing),
    ("close", &["EINTR", "EIO"], Means::Nothing),
    ("poll", &["EINTR", "ENOMEM"], Means::Nothing),
    ("recvmmsg", &["EINTR"], Means::Nothing),
    ("recvmmsg", &["ECONNREFUSED", "ENOMEM"], Means::Datagram),
    ("sendmmsg", &["EINTR"], Means::Datagram),
    (
        "sendmmsg",
        &["EPERM", "ENOBUFS", "ECONNREFUSED"],
        Means::Datagram,
    ),
];

/// One error of one call in one place.
#[derive(Clone, Copy, Debug)]
struct Cell {
    call: &'static str,
    error: &'static str,
    place: Place,
    means: Means,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} at {:?}", self.error, self.call, self.place)
    }
}

/// The end of the conversation as the client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Everything came back.
    Whole,
    /// It was cut off; until then, everything came back.
    Cut,
}

#[test]
fn every_error_a_call_may_have_is_survived() {
    let probe = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("not run: strace is not installed, or may not trace");
        return;
    }
    let made = ERRORS.iter().filter(|error| is_made(error.0));
    let cells = made.flat_map(|&(call, errors, means)| {
        let errors = errors.iter();
        errors.flat_map(move |&error| {
            PLACES.map(|place| Cell {
                call,
                error,
                place,
                means,
            })
        })
    });
    let cells: Vec<Cell> = cells.collect();
    let (left, injected) = (Mutex::new(cells.iter().enumerate()), Mutex::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().next();
                    let Some((number, cell)) = next else { break };
                    *injected.lock().unwrap() += survive(number, *cell);
                }
            });
        }
    });
    let injected = injected.into_inner().unwrap();
    println!("proof: {} fault cells survived", cells.len());
    println!("proof: {injected} errors injected");
}

/// Whether the program makes this call, and survives its errors. With mio's `poll(2)` it makes none of `epoll(7)`, and waits by
/// the call that only its start makes otherwise.
fn is_made(call: &str) -> bool {
    !(cfg!(mio_unsupported_force_poll_poll) && matches!(call, "epoll_wait" | "epoll_ctl" | "poll"))
}

/// The server, while the calls of `cell` fail, and the log of what was made to fail.
fn serve(number: usize, cell: Cell) -> (Process, PathBuf) {
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("injected.{number}"));
    let before = calls_before_it_is_reached(&log, cell.call);
    let Place { first, last, step } = cell.place;
    let when = match last {
        Some(last) => format!("{}..{}", before + first, before + last),
        None => format!("{}+{step}", before + first),
    };
    let inject = format!("inject={}:error={}:when={when}", cell.call, cell.error);
    (traced(&log, cell.call, &["-e", &inject]), log)
}

/// The tracer is a grandchild, so that the program is ours to signal.
fn traced(log: &Path, call: &str, options: &[&str]) -> Process {
    let mut command = Command::new("strace");
    let trace = format!("trace={call}");
    command
        .args(["-D", "-qq", "-o"])
        .arg(log)
        .args(["-e", &trace]);
    command.args(options).arg(program());
    command.args([
        "-qq",
        "serve",
        "--tcp",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
    ]);
    Process::start(&mut command)
}

/// How many of these calls are made before there is a client.
fn calls_before_it_is_reached(log: &Path, call: &str) -> usize {
    let process = traced(log, call, &[]);
    // Once a client is answered, everything before has been done.
    let mut client = process.connect();
    client.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let count = std::fs::read_to_string(log).unwrap().lines().count();
    match call {
        // One was for the client.
        "epoll_ctl" => count - 1,
        // The start of any program makes some.
        "close" | "poll" => count,
        _ => 0,
    }
}

/// Plays clients against a server with these errors, and returns how many were injected.
fn survive(number: usize, cell: Cell) -> usize {
    let (process, log) = serve(number, cell);
    let bounded = cell.place.last.is_some();
    let mut ends = Vec::new();
    // Those who are there when the server stops are hung up on.
    let mut stay = Vec::new();
    for seed in 0..CLIENTS {
        let client = connect(process.tcp[0]);
        ends.push(talk(&client, seed));
        if cell.call == "shutdown" {
            stay.push(client);
        } else {
            let _ = client.shutdown(Shutdown::Write);
        }
    }
    let datagrams = matches!(cell.call, "recvmmsg" | "sendmmsg");
    if datagrams {
        exchange_datagrams(process.udp[0]);
    }
    // Comes late, and stays until the server stops.
    let control = connect(process.tcp[0]);
    let end = talk(&control, 99);
    if bounded || cell.means != Means::Client {
        assert_eq!(end, End::Whole, "the control client, {cell}");
    }
    process.signal("TERM");
    for client in stay {
        let _ = (&client).read_to_end(&mut Vec::new());
    }
    let rest = (&control).read_to_end(&mut Vec::new());
    if cell.call != "close" {
        assert!(rest.is_ok() || end == End::Cut, "{cell}: {rest:?}");
    }
    let (code, out, err) = process.end();
    assert_eq!((code, err.as_str()), (0, ""), "{cell}: {out}");
    let injected = injected(&log);
    assert!(injected > 0, "{cell}: nothing was injected");
    let cut = ends
        .iter()
        .chain([&end])
        .filter(|&&end| end == End::Cut)
        .count();
    match cell.means {
        Means::Nothing | Means::Datagram => assert_eq!(cut, 0, "{cell}: {ends:?} {out}"),
        Means::Client => assert!(
            cut > 0 && cut <= injected,
            "{cell}: {ends:?}, {injected} injected"
        ),
    }
    std::fs::remove_file(log).unwrap();
    injected
}

/// How many errors were injected. The tracer writes its last line when the program has ended.
fn injected(log: &Path) -> usize {
    let text = std::fs::read_to_string(log).unwrap();
    text.matches("(INJECTED)").count()
}

/// Sends datagrams, several at once, until some of ten such bursts have been answered.
fn exchange_datagrams(server: SocketAddr) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server).unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let mut answered = 0;
    eventually("datagrams are answered", || {
        for size in 1..=8 {
            client.send(&[b'a'; 8][..size]).unwrap();
        }
        let mut answer = [0; 64];
        let mut some = false;
        while let Ok(count) = client.recv(&mut answer) {
            assert!(answer[..count].starts_with(b"a") && answer[..count].ends_with(b"a| lee"));
            some = true;
        }
        answered += usize::from(some);
        answered == 10
    });
}

/// Sends messages and expects each back, until it is cut off. What comes back is right in any case.
fn talk(mut client: &TcpStream, seed: u64) -> End {
    for message in 0..MESSAGES {
        let message = payload(MESSAGE, seed << 8 | message as u64);
        if client.write_all(&message).is_err() {
            return End::Cut;
        }
        let mut answer = Vec::new();
        let read = client.take(MESSAGE as u64).read_to_end(&mut answer);
        assert_eq!(answer[..], message[..answer.len()], "other bytes came back");
        if read.is_err() || answer.len() < MESSAGE {
            return End::Cut;
        }
    }
    End::Whole
}
