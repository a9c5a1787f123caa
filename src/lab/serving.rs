//! A server on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::pairs::anywhere;
use crate::probe::Off;
use crate::probe::{Counters, Turns};
use crate::reactor::{EVENTS_PER_POLL, Reactor, System};
use crate::server::{Conduct, Config, Honest, Server, Stop};
use crate::service::{Faults, Service};

/// How long a server waits for clients when the experiment is over.
const DRAIN: Duration = Duration::from_millis(200);

/// A server that is running. It is stopped when it goes out of scope, at the latest.
#[derive(Debug)]
pub(super) struct Serving {
    tcp: Option<SocketAddr>,
    udp: Option<SocketAddr>,
    stop: Stop,
    thread: Option<JoinHandle<io::Result<Served>>>,
}

/// What a server has done.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) counters: Counters,
    pub(super) turns: Turns,
}

/// The settings of a server that listens for TCP clients, on loopback.
pub(super) fn config() -> Config {
    Config {
        drain_timeout: DRAIN,
        ..Config::new().with_tcp(anywhere())
    }
}

impl Serving {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// Those of [`Server::bind`].
    pub(super) fn start(
        config: Config,
        service: impl Service + Send + 'static,
    ) -> io::Result<Self> {
        Self::start_with(EVENTS_PER_POLL, config, service, Honest)
    }

    /// Starts one whose polls bring at most `events` events, and that behaves by `conduct`.
    ///
    /// # Errors
    ///
    /// The same.
    pub(super) fn start_with<C>(
        events: usize,
        config: Config,
        service: impl Service + Send + 'static,
        conduct: C,
    ) -> io::Result<Self>
    where
        C: Conduct<Net = System, Stream: Send> + Send + 'static,
    {
        let reactor = Reactor::with_events(events)?;
        let server = Server::bind_with(&reactor, config, service, conduct, Off)?;
        Self::run(reactor, server)
    }

    /// Starts one that commits `faults`.
    ///
    /// # Errors
    ///
    /// The same.
    pub(super) fn start_faulty(
        config: Config,
        service: impl Service + Send + 'static,
        faults: &Faults,
    ) -> io::Result<Self> {
        let reactor = Reactor::new()?;
        let server = Server::bind_with_faults(&reactor, config, service, faults, Off)?;
        Self::run(reactor, server)
    }

    fn run<S, C>(mut reactor: Reactor, mut server: Server<S, C>) -> io::Result<Self>
    where
        S: Service + Send + 'static,
        C: Conduct<Net = System, Stream: Send> + Send + 'static,
    {
        let (tcp, udp) = (server.tcp_addresses(), server.udp_addresses());
        let stop = server.stop();
        let thread = thread::Builder::new().spawn(move || {
            reactor.run(&mut server)?;
            Ok(Served {
                counters: server.counters(),
                turns: reactor.turns().clone(),
            })
        })?;
        Ok(Self {
            tcp: tcp.first().copied(),
            udp: udp.first().copied(),
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens for TCP clients.
    pub(super) fn tcp(&self) -> SocketAddr {
        self.tcp.expect("it was told to listen for them")
    }

    /// Where it receives datagrams.
    pub(super) fn udp(&self) -> SocketAddr {
        self.udp.expect("it was told to receive them")
    }

    /// Has it answer what has arrived, stops it, and tells what it has done.
    ///
    /// # Errors
    ///
    /// Those of its loop.
    pub(super) fn finish(mut self) -> io::Result<Served> {
        self.stop.drain()?;
        let thread = self.thread.take().expect("it is taken once");
        thread.join().expect("the server does not panic")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && self.stop.abort().is_ok()
        {
            // Nobody asks any more what it has done.
            let _ = thread.join();
        }
    }
}
