//! The server: listeners, clients and datagram sockets behind one service.

mod address;
mod clients;
mod conduct;
mod config;
mod datagrams;
mod faulty;
mod listeners;
mod pace;
#[cfg(test)]
mod simulation;
mod sockets;
mod stop;

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

pub use address::Address;
pub use conduct::{Conduct, Honest};
pub use config::{Config, OverLimit, TIME_MAX};
pub use faulty::{Faulty, FaultyServer, FaultyStream};
pub use stop::Stop;

use self::clients::Clients;
use self::pace::Pace;
use self::sockets::Sockets;
use crate::probe::{Counters, DatagramCounters, Off, Probe, Throttle};
use crate::reactor::{
    Batch, Deadlines, Event, Handler, Key, Next, Reactor, Registry, Stamp, System, fixed_index,
    uncounted_drops,
};
use crate::service::{Guard, GuardOptions, Service, Suffix};

/// A server of many TCP clients, and of datagrams, on one thread.
///
/// TCP clients are answered by a [`Service`]; datagrams with their first `recv_size` bytes and a
/// suffix. See the [example](crate#a-service-of-your-own).
///
/// # A turn
///
/// Clients are served before new ones are accepted, so that a crowd at the door can't keep those
/// inside from being served; each step has a budget, and what it leaves over is done next turn
/// without waiting for an event.
#[derive(Debug)]
pub struct Server<S, C: Conduct = Honest, P: Probe = Off> {
    config: Config,
    service: S,
    conduct: C,
    sockets: Sockets<C::Net>,
    clients: Clients<C::Stream, P>,
    suffix: Suffix,
    guard: Guard,
    batch: Batch,
    datagram_counters: DatagramCounters,
    deadlines: Deadlines<Timer>,
    phase: Phase,
    stop: Stop,
    pauses: Throttle,
    /// The listener whose turn it is: the one behind that which let somebody in last. Otherwise those
    /// who wait at the first would get every slot that frees.
    next_listener: usize,
    pace: Pace,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    /// The drain deadline.
    Drain,
    /// Accepting at this listener was paused.
    Listener(usize),
    /// Receiving at this datagram socket was paused.
    Datagrams(usize),
    /// A line of counters is due.
    Stats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Nobody new is let in, and those inside are let finish.
    Draining,
    Stopped,
}

impl<S: Service> Server<S> {
    /// Binds every socket that `config` asks for. Once this returns, clients can connect; they are
    /// served while [`Reactor::run`] runs.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a config that makes no sense ([`Config::check`]); otherwise what the system
    /// says, with the address it speaks of: `AddrInUse`, for one, or `PermissionDenied`.
    pub fn bind(reactor: &Reactor, config: Config, service: S) -> io::Result<Self> {
        Self::bind_with(reactor, config, service, Honest, Off)
    }
}

impl<S: Service, C: Conduct<Net = System>, P: Probe> Server<S, C, P> {
    /// As [`bind`](Server::bind), for a server of this `conduct`, that tells `probe` of what it does.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn bind_with(
        reactor: &Reactor,
        mut config: Config,
        service: S,
        conduct: C,
        probe: P,
    ) -> io::Result<Self> {
        config
            .check()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        config.datagram_budget = config.datagrams_of_each_socket();
        config.accept_budget = config.accepts_of_an_iteration();
        let sockets = Sockets::bind(reactor.registry(), &config)?;
        let stop = Stop::new(reactor.waker());
        let now = Instant::now();
        Ok(Self::new(
            sockets, stop, now, config, service, conduct, probe,
        ))
    }
}

impl<S: Service, C: Conduct, P: Probe> Server<S, C, P> {
    /// A server at these sockets, which begins `now`.
    fn new(
        sockets: Sockets<C::Net>,
        stop: Stop,
        now: Instant,
        config: Config,
        service: S,
        conduct: C,
        probe: P,
    ) -> Self {
        let guard = Guard::new(GuardOptions {
            own_ports: sockets
                .datagrams
                .iter()
                .flatten()
                .map(|socket| socket.address().port())
                .collect(),
            suffix: config.udp_suffix.clone(),
            answer_replies: config.udp_answer_replies,
            rate: config.udp_rate,
            network_rate: config.udp_network_rate,
            total_rate: config.udp_total_rate,
            loop_limit: config.udp_loop_limit,
            limit_amplification: config.udp_public && !config.udp_allow_amplification,
        });
        let mut deadlines = Deadlines::new(now);
        if let Some(interval) = config.stats_interval {
            deadlines.arm(now + interval, Timer::Stats);
        }
        Self {
            clients: Clients::new(&config, &service, now, probe),
            service,
            conduct,
            sockets,
            suffix: Suffix::new(config.udp_suffix.as_slice()),
            guard,
            batch: Batch::new(),
            datagram_counters: DatagramCounters::default(),
            deadlines,
            phase: Phase::Serving,
            stop,
            pauses: Throttle::default(),
            next_listener: 0,
            pace: Pace::new(config.accept_rate, now),
            config,
        }
    }

    /// Stops in good order: nobody new is accepted, replies are delivered, every client that has been
    /// quiet for a moment is hung up on, and the loop ends when all have left, or after the drain
    /// timeout. Those who are still owed something then are counted as aborted.
    pub fn drain(&mut self, now: Instant) {
        if self.phase != Phase::Serving {
            return;
        }
        let timeout = self.config.drain_timeout;
        let clients = self.clients.len();
        log::info!("draining for at most {timeout:?}; still connected: {clients}");
        self.phase = Phase::Draining;
        self.deadlines.arm(now + timeout, Timer::Drain);
        self.service.stopping();
        self.service.wake(now);
        self.clients.carry_out(&mut self.service);
        self.clients.drain(now);
        // Who has connected already is still let in: take everything that waits in the kernel, then close.
        self.sockets.mark_all();
    }

    /// Stops at once: every client is closed, and those that are owed something are counted as aborted.
    pub fn abort(&mut self) {
        self.clients.abort(&mut self.service);
        self.phase = Phase::Stopped;
    }

    /// The addresses listened on for TCP, with the ports the system chose.
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .listeners
            .iter()
            .flatten()
            .map(|listener| listener.address())
            .collect()
    }

    /// The addresses at which datagrams are received, with the ports the system chose.
    pub fn udp_addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .datagrams
            .iter()
            .flatten()
            .map(|datagrams| datagrams.address())
            .collect()
    }

    /// The service. What it is told from outside takes effect in the next turn.
    pub const fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// What stops this server from another thread.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// What is told of everything that is done.
    pub const fn probe_mut(&mut self) -> &mut P {
        &mut self.clients.probe
    }

    /// The number of clients that are connected.
    pub fn connected(&self) -> usize {
        self.clients.len()
    }

    /// How many connections were rejected because there were [`Config::max_conns`].
    pub const fn rejected(&self) -> u64 {
        self.clients.rejected()
    }

    /// What this server has done so far.
    pub fn counters(&self) -> Counters {
        let mut datagrams = self.datagram_counters.clone();
        // Those of sockets that are closed were counted then.
        datagrams.overflowed += uncounted_drops(self.sockets.datagrams.iter().flatten());
        Counters {
            clients: self.clients.counters(),
            datagrams,
            faults: self.conduct.counters(),
        }
    }

    fn obey(&mut self, now: Instant) {
        if self.stop.wants_drain() {
            self.drain(now);
        }
        if self.stop.wants_abort() {
            self.abort();
        }
    }

    fn expire(&mut self, now: Instant, stamp: Stamp) {
        self.clients.expire(&mut self.service, now, stamp);
        self.send_overdue(now);
        while let Some(timer) = self.deadlines.expire(now) {
            match timer {
                Timer::Drain => self.abort(),
                Timer::Listener(index) => {
                    if let Some(listener) = &mut self.sockets.listeners[index] {
                        listener.backlog.resume_at(now);
                    }
                }
                Timer::Datagrams(index) => {
                    if let Some(datagrams) = &mut self.sockets.datagrams[index] {
                        datagrams.mark();
                    }
                }
                Timer::Stats => {
                    log::info!("{} connected; {}", self.clients.len(), self.counters());
                    if let Some(interval) = self.config.stats_interval {
                        self.deadlines.arm(now + interval, Timer::Stats);
                    }
                }
            }
        }
    }

    /// Whether something can be done without waiting for an event or a deadline.
    fn is_runnable(&self, now: Instant) -> bool {
        let mut datagrams = self.sockets.datagrams.iter().flatten();
        self.clients.is_runnable()
            || datagrams.any(|datagrams| datagrams.is_runnable())
            || self.may_accept(now)
    }

    /// The one place that decides how long to sleep. The service wants to be called again at `wake`.
    fn next(&self, wake: Option<Instant>, now: Instant) -> Next {
        let drained =
            self.phase == Phase::Draining && self.clients.len() == 0 && self.sockets.are_closed();
        if drained {
            return Next::Stop;
        }
        if self.is_runnable(now) {
            return Next::until(Some(now), now);
        }
        let deadlines = [
            self.accepts_next(now),
            self.clients.next_deadline(),
            self.deadlines.next(),
            self.conduct.next(),
            wake,
        ];
        Next::until(deadlines.into_iter().flatten().min(), now)
    }
}

impl<S: Service, C: Conduct, P: Probe> Handler for Server<S, C, P> {
    #[inline]
    fn ready(&mut self, event: &Event) {
        let key = Key::from_token(event.token());
        self.clients.probe.marked(key.map(Key::client));
        match key {
            Some(key) => self.clients.ready(key, event.readiness()),
            None => {
                if let Some(index) = fixed_index(event.token()) {
                    self.sockets.mark(index as usize);
                }
            }
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        self.clients.probe.turn_began();
        let next = self.take_turn(registry, now);
        self.clients.probe.turn_ended();
        next
    }
}

impl<S: Service, C: Conduct, P: Probe> Server<S, C, P> {
    #[inline(always)]
    fn take_turn(&mut self, registry: &Registry, now: Instant) -> Next {
        self.obey(now);
        if self.conduct.expire(now) {
            return Next::until(Some(now), now);
        }
        let stamp = self.clients.stamp(now);
        self.expire(now, stamp);
        if self.phase == Phase::Stopped {
            return Next::Stop;
        }
        // First, so that what has come due is sent in this turn.
        self.service.wake(now);
        self.clients.carry_out(&mut self.service);
        self.clients.serve(&mut self.service, now, stamp);
        let wake = self.service.wake(now);
        self.clients.carry_out(&mut self.service);
        self.answer_datagrams(now);
        self.accept(registry, now);
        self.next(wake, now)
    }
}
