//! A server of this library, in a process of its own, that measures its iterations.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, stdin};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio, exit};
use std::thread;
use std::time::Instant;

use echoloop::probe::Recorder;
use echoloop::reactor::{EVENTS_PER_POLL, Event, Handler, Next, Registry, thread_cpu_time};
use echoloop::server::Honest;
use echoloop::service::Echo;
use echoloop::{Config, Reactor, Server};

use crate::arguments::refuse;
use crate::serving::pinned;

/// What this program is started with to be that server.
pub(crate) const ARGUMENT: &str = "--serve-measured";

/// The server, as its parent sees it.
pub(crate) struct Measured {
    child: Child,
    pub(crate) address: SocketAddr,
    output: Box<dyn BufRead>,
}

impl Measured {
    pub(crate) fn start() -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        let mut child = pinned(Some(0), &program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut output = BufReader::new(child.stdout.take()?);
        let mut line = String::new();
        output.read_line(&mut line).ok()?;
        Some(Self {
            child,
            address: line.trim().parse().ok()?,
            output: Box::new(output),
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Ends it, and returns what it has measured.
    pub(crate) fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let mut text = String::new();
        let read = self.output.read_to_string(&mut text);
        let _ = self.child.wait();
        match read {
            Ok(_) => text.trim().to_owned(),
            Err(error) => format!("not known: {error}"),
        }
    }
}

/// The iteration that has taken most CPU time so far.
struct Longest {
    server: Server<Echo, Honest, Recorder>,
    cpu: u64,
    bytes: u64,
    calls: u64,
    kernel: Kernel,
    /// How often TCP connections of this machine timed out meanwhile. The kernel does that work, for
    /// both ends, in interrupts, and counts its time for whichever thread it interrupts.
    timeouts: u64,
}

/// The kernel's counters of TCP.
struct Kernel(File);

impl Kernel {
    fn new() -> io::Result<Self> {
        File::open("/proc/net/netstat").map(Self)
    }

    /// How often a retransmission timer has expired.
    fn timeouts(&self) -> u64 {
        let mut text = [0; 8192];
        let length = self.0.read_at(&mut text, 0).unwrap_or(0);
        let text = String::from_utf8_lossy(&text[..length]);
        let mut lines = text.lines().map(str::split_whitespace);
        let (names, values) = (lines.next(), lines.next());
        let mut all = names
            .into_iter()
            .flatten()
            .zip(values.into_iter().flatten());
        let found = all.find(|(name, _)| *name == "TCPTimeouts");
        found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    }
}

impl Handler for Longest {
    fn ready(&mut self, event: &Event) {
        self.server.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        // It takes 50 µs, which the waits of the clients contain.
        let timeouts = self.kernel.timeouts();
        let before = thread_cpu_time();
        let next = self.server.turn(registry, now);
        let cpu = thread_cpu_time() - before;
        let figures = self.server.probe_mut().take_figures();
        // The last one closes all clients, and no client waits for it.
        if next != Next::Stop && cpu > self.cpu {
            self.cpu = cpu;
            self.bytes = figures.bytes_in + figures.bytes_out;
            self.calls = figures.reads + figures.writes + figures.accepted;
            self.timeouts = self.kernel.timeouts().saturating_sub(timeouts);
        }
        next
    }
}

/// Serves until standard input ends, and prints the longest iteration.
pub(crate) fn serve() -> ! {
    let config = Config::new().with_tcp(([127, 0, 0, 1], 0).into());
    let run = || -> io::Result<Longest> {
        let mut reactor = Reactor::new()?;
        let recorder = Recorder::new(thread_cpu_time, EVENTS_PER_POLL);
        let server = Server::bind_with(&reactor, config, Echo, Honest, recorder)?;
        println!("{}", server.tcp_addresses()[0]);
        let stop = server.stop();
        thread::spawn(move || {
            let _ = stdin().read_to_end(&mut Vec::new());
            let _ = stop.abort();
        });
        let mut longest = Longest {
            server,
            cpu: 0,
            bytes: 0,
            calls: 0,
            kernel: Kernel::new()?,
            timeouts: 0,
        };
        reactor.run(&mut longest)?;
        Ok(longest)
    };
    match run() {
        Ok(longest) => println!(
            "longest iteration {:.2} ms of CPU: {} KiB, {} calls, {} timeouts of the kernel's TCP",
            longest.cpu as f64 / 1e6,
            longest.bytes / 1024,
            longest.calls,
            longest.timeouts
        ),
        Err(error) => refuse(&format!("cannot serve: {error}")),
    }
    exit(0)
}
