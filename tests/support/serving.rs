//! A server on a thread of the test, on loopback and a port the system chose.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use echoloop::probe::Off;
use echoloop::probe::{Counters, Turns};
use echoloop::reactor::{EVENTS_PER_POLL, System};
use echoloop::server::{Conduct, Stop};
use echoloop::service::Faults;
use echoloop::{Config, Reactor, Server, Service};

/// After this long a test has failed. Generous, because the machine may be busy; nothing waits for it
/// to pass.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A server that is running.
#[derive(Debug)]
pub struct Serving {
    pub tcp: Vec<SocketAddr>,
    pub udp: Vec<SocketAddr>,
    pub stop: Stop,
    thread: JoinHandle<(Counters, Turns)>,
}

/// One TCP and one UDP address, ports chosen by the system.
pub fn config() -> Config {
    Config::new()
        .with_tcp(([127, 0, 0, 1], 0).into())
        .with_udp(([127, 0, 0, 1], 0).into())
}

impl Serving {
    pub fn start(config: Config, service: impl Service + Send + 'static) -> Self {
        Self::start_with_events(EVENTS_PER_POLL, config, service)
    }

    pub fn start_with_events(
        events: usize,
        config: Config,
        service: impl Service + Send + 'static,
    ) -> Self {
        let reactor = Reactor::with_events(events).unwrap();
        let server = Server::bind(&reactor, config, service).unwrap();
        Self::run(reactor, server)
    }

    /// A server that commits `faults`.
    pub fn start_faulty(
        config: Config,
        service: impl Service + Send + 'static,
        faults: &Faults,
    ) -> Self {
        let reactor = Reactor::new().unwrap();
        let server = Server::bind_with_faults(&reactor, config, service, faults, Off).unwrap();
        Self::run(reactor, server)
    }

    fn run<S, C>(mut reactor: Reactor, mut server: Server<S, C>) -> Self
    where
        S: Service + Send + 'static,
        C: Conduct<Net = System, Stream: Send> + Send + 'static,
    {
        let (tcp, udp, stop) = (
            server.tcp_addresses(),
            server.udp_addresses(),
            server.stop(),
        );
        let thread = thread::spawn(move || {
            reactor.run(&mut server).unwrap();
            (server.counters(), reactor.turns().clone())
        });
        Self {
            tcp,
            udp,
            stop,
            thread,
        }
    }

    /// A connected client whose calls give up after the deadline.
    pub fn connect(&self) -> TcpStream {
        connect(self.tcp[0])
    }

    /// Drains the server and returns what it counted: every client it took in has left.
    pub fn finish(self) -> Counters {
        self.finish_with_turns().0
    }

    pub fn finish_with_turns(self) -> (Counters, Turns) {
        self.stop.drain().unwrap();
        let (counters, turns) = self.thread.join().expect("the server did not panic");
        assert_eq!(counters.clients.live(), 0, "{counters}");
        (counters, turns)
    }

    /// Whether the loop has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends `message` and expects it back.
#[track_caller]
pub fn round_trip(mut stream: &TcpStream, message: &[u8]) {
    stream.write_all(message).unwrap();
    let mut answer = vec![0; message.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, message);
}

/// Everything until the end of file.
#[track_caller]
pub fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Waits until `condition` holds, which it must before the deadline.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes that differ from place to place, so that a lost, repeated or moved one shows.
pub fn payload(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes until nothing has been taken for a moment, and every buffer on the way is full. Leaves the
/// socket non-blocking.
pub fn fill(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let chunk = vec![0; 64 * 1024];
    let mut full_since = Instant::now();
    while full_since.elapsed() < Duration::from_millis(100) {
        match (&mut &*stream).write(&chunk) {
            Ok(_) => full_since = Instant::now(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1))
            }
            Err(error) => panic!("{error}"),
        }
    }
}
