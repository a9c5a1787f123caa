//! A connection to the first address of a server that accepts one.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Registry, Token};

use super::dial::{Dial, DialOptions, Dialled};
use super::happy_eyeballs::HappyEyeballs;
use super::source::SourceAddr;
use super::{Event, Handler, Next, Reactor, fixed_index, fixed_token};
use crate::connection::Readiness;

/// Connects to one of several addresses, in the order and at the times of [`HappyEyeballs`].
///
/// The first connection that is established wins. The other attempts are closed. Each attempt is
/// registered with a fixed token: that of its place in the order.
#[derive(Debug)]
pub struct Connector {
    schedule: HappyEyeballs,
    /// The source address of each family, IPv4 and IPv6.
    sources: [Option<SourceAddr>; 2],
    timeout: Duration,
    attempts: Vec<Attempt>,
    started: u32,
    failures: Vec<ConnectError>,
}

/// One attempt to connect that is pending.
#[derive(Debug)]
struct Attempt {
    dial: Dial,
    index: u32,
    started: Instant,
    readiness: Readiness,
    has_event: bool,
}

/// Why an attempt to connect to one address failed.
#[derive(Debug)]
pub struct ConnectError {
    /// The address.
    pub address: SocketAddr,
    /// The error, or `None` if there was no reply in time.
    pub error: Option<io::Error>,
}

/// A connection that is established and registered.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: TcpStream,
    /// The address of the server.
    pub address: SocketAddr,
    /// The token that the connection is registered with.
    pub token: Token,
    /// The readiness that was reported so far.
    pub readiness: Readiness,
    /// When the attempt started.
    pub started: Instant,
    /// The other addresses that were tried. Those without an error had not replied yet.
    pub others: Vec<ConnectError>,
}

/// The state of a [`Connector`].
#[derive(Debug)]
pub enum Connecting {
    /// A connection is established.
    Connected(Connected),
    /// Every attempt failed, in this order.
    Failed(Vec<ConnectError>),
    /// Attempts are pending. The next step is due at this time, or after an event.
    Pending(Instant),
}

impl Connector {
    /// A connector to `addresses`. If there are `sources`, connections come from the first of them
    /// with the family of the address, and addresses of a family without a source are not tried.
    /// Each attempt fails after `timeout`.
    pub fn new(addresses: &[SocketAddr], sources: &[SourceAddr], timeout: Duration) -> Self {
        let reachable = |address: &SocketAddr| {
            sources.is_empty() || sources.iter().any(|source| source.reaches(*address))
        };
        let addresses: Vec<SocketAddr> = addresses.iter().copied().filter(reachable).collect();
        let source = |is_ipv4| {
            let mut sources = sources.iter().copied();
            sources.find(|source| source.ip().is_ipv4() == is_ipv4)
        };
        Self {
            schedule: HappyEyeballs::new(&addresses),
            sources: [source(true), source(false)],
            timeout,
            attempts: Vec::new(),
            started: 0,
            failures: Vec::new(),
        }
    }

    /// Notes an event of one of the attempts.
    pub fn ready(&mut self, event: &Event) {
        let index = fixed_index(event.token());
        let mut attempts = self.attempts.iter_mut();
        if let Some(attempt) = attempts.find(|attempt| Some(attempt.index) == index) {
            attempt.has_event = true;
            attempt.readiness.merge(event.readiness());
        }
    }

    /// Checks the pending attempts, and starts those that are due.
    pub fn turn(&mut self, registry: &Registry, now: Instant) -> Connecting {
        if let Some(mut connected) = self.check(now) {
            connected.others = std::mem::take(&mut self.failures);
            return Connecting::Connected(connected);
        }
        while let Some(address) = self.schedule.start(now) {
            log::debug!("connecting to {address}");
            if let Err(error) = self.start(address, registry, now) {
                self.fail(address, Some(error));
            }
        }
        let expiries = self.attempts.iter();
        let expiries = expiries.map(|attempt| attempt.started + self.timeout);
        match expiries.chain(self.schedule.next_start()).min() {
            Some(at) => Connecting::Pending(at),
            None => Connecting::Failed(std::mem::take(&mut self.failures)),
        }
    }

    fn start(&mut self, address: SocketAddr, registry: &Registry, now: Instant) -> io::Result<()> {
        let source = self.sources[usize::from(address.is_ipv6())];
        let mut dial = Dial::start(address, source, &DialOptions::default())?;
        let index = self.started;
        self.started += 1;
        dial.register(registry, fixed_token(index))?;
        self.attempts.push(Attempt {
            dial,
            index,
            started: now,
            readiness: Readiness::new(),
            has_event: false,
        });
        Ok(())
    }

    /// Checks attempts that have had an event or have expired. Returns the connection that is
    /// established, that of the earliest attempt if there are several.
    fn check(&mut self, now: Instant) -> Option<Connected> {
        let mut winner = None;
        for mut attempt in std::mem::take(&mut self.attempts) {
            let address = attempt.dial.address();
            if winner.is_some() {
                self.fail(address, None);
                continue;
            }
            if std::mem::take(&mut attempt.has_event) {
                attempt.dial = match attempt.dial.check() {
                    Dialled::Connected(stream) => {
                        winner = Some(Connected {
                            stream,
                            address,
                            token: fixed_token(attempt.index),
                            readiness: attempt.readiness,
                            started: attempt.started,
                            others: Vec::new(),
                        });
                        // The attempts before this one are pending.
                        for earlier in std::mem::take(&mut self.attempts) {
                            self.fail(earlier.dial.address(), None);
                        }
                        continue;
                    }
                    Dialled::Failed(error) => {
                        self.fail(address, Some(error));
                        continue;
                    }
                    Dialled::Pending(dial) => dial,
                };
            }
            if attempt.started + self.timeout <= now {
                self.fail(address, None);
            } else {
                self.attempts.push(attempt);
            }
        }
        winner
    }

    fn fail(&mut self, address: SocketAddr, error: Option<io::Error>) {
        let failure = ConnectError { address, error };
        log::debug!("cannot connect to {failure}");
        self.schedule.fail(address);
        self.failures.push(failure);
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.error {
            Some(error) => write!(f, "{}: {error}", self.address),
            None => write!(f, "{}: no reply", self.address),
        }
    }
}

/// Connects to one of `addresses` as a [`Connector`] does, and blocks until the result is known.
///
/// # Errors
///
/// One error per address that was tried, in the order in which the attempts failed.
pub fn connect_any(
    addresses: &[SocketAddr],
    sources: &[SourceAddr],
    timeout: Duration,
) -> Result<Connected, Vec<ConnectError>> {
    let mut waiter = Waiter {
        connector: Connector::new(addresses, sources, timeout),
        result: Err(Vec::new()),
    };
    let ran = Reactor::new().and_then(|mut reactor| reactor.run(&mut waiter));
    match (ran, addresses.first()) {
        (Err(error), Some(&address)) => Err(vec![ConnectError {
            address,
            error: Some(error),
        }]),
        _ => waiter.result,
    }
}

/// Runs a connector until its result is known.
struct Waiter {
    connector: Connector,
    result: Result<Connected, Vec<ConnectError>>,
}

impl Handler for Waiter {
    fn ready(&mut self, event: &Event) {
        self.connector.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        self.result = match self.connector.turn(registry, now) {
            Connecting::Connected(connected) => Ok(connected),
            Connecting::Failed(failures) => Err(failures),
            Connecting::Pending(until) => return Next::until(Some(until), now),
        };
        Next::Stop
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener};

    use socket2::{Domain, Socket, Type};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// A socket with a port that no other program gets. It does not listen.
    fn bound() -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    /// A listener whose backlog is full: the kernel drops every SYN (listen(2)).
    fn silent() -> (Socket, SocketAddr, Vec<Dial>) {
        let (socket, address) = bound();
        socket.listen(0).unwrap();
        let source: Option<SourceAddr> = None;
        let start = |_| Dial::start(address, source, &DialOptions::default()).unwrap();
        let fillers = (0..8).map(start).collect();
        (socket, address, fillers)
    }

    #[test]
    fn refused_addresses_are_skipped_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listening = listener.local_addr().unwrap();
        let (_bound, refuses) = bound();
        let (_other, also_refuses) = bound();
        let start = Instant::now();
        let all = [refuses, also_refuses, listening];
        let connected = connect_any(&all, &[], DEADLINE).unwrap();
        assert_eq!(connected.address, listening);
        assert_eq!(connected.stream.peer_addr().unwrap(), listening);
        let others = connected.others.iter().map(|other| other.address);
        assert_eq!(others.collect::<Vec<_>>(), [refuses, also_refuses]);
        assert!(
            start.elapsed() < Duration::from_millis(200),
            "{:?}",
            start.elapsed()
        );
    }

    #[test]
    fn silent_address_delays_the_connection_by_250_ms_only() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listening = listener.local_addr().unwrap();
        let (_socket, silent, _fillers) = silent();
        let start = Instant::now();
        let connected = connect_any(&[silent, listening], &[], DEADLINE).unwrap();
        let took = start.elapsed();
        assert_eq!(connected.address, listening);
        assert_eq!(connected.others.len(), 1);
        assert_eq!(
            connected.others[0].to_string(),
            format!("{silent}: no reply")
        );
        assert!(
            took >= Duration::from_millis(250) && took < Duration::from_secs(5),
            "{took:?}"
        );
    }

    #[test]
    fn every_address_and_its_error_is_reported_if_none_connects() {
        let (_bound, refuses) = bound();
        let (_socket, silent, _fillers) = silent();
        let timeout = Duration::from_millis(100);
        let failures = connect_any(&[silent, refuses], &[], timeout).unwrap_err();
        let [first, second] = &failures[..] else {
            panic!("{failures:?}")
        };
        assert_eq!(first.to_string(), format!("{silent}: no reply"));
        assert!(first.error.is_none());
        assert_eq!(second.address, refuses);
        let kind = second.error.as_ref().unwrap().kind();
        assert_eq!(kind, io::ErrorKind::ConnectionRefused);
        assert!(connect_any(&[], &[], timeout).unwrap_err().is_empty());
    }

    #[test]
    fn only_addresses_of_the_family_of_the_source_are_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listening = listener.local_addr().unwrap();
        let other = SocketAddr::new("::1".parse().unwrap(), listening.port());
        let source = SourceAddr::from(IpAddr::from([127, 0, 0, 9]));
        let connected = connect_any(&[other, listening], &[source], DEADLINE).unwrap();
        assert_eq!(connected.address, listening);
        assert_eq!(connected.stream.local_addr().unwrap().ip(), source.ip());
        assert!(
            connect_any(&[other], &[source], DEADLINE)
                .unwrap_err()
                .is_empty()
        );
    }
}
