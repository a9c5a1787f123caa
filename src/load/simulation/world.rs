//! The modelled machine and network of a load: time, planned actions, and the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::log::{Entry, What};
use super::settings::{Fault, MachineSettings, Settings, chance};
use super::tcp::Stream;
use super::udp::Flow;
use crate::connection::Readiness;
use crate::reactor::{Event, Token};
use crate::service::Random;

/// The most calls between a reading of the clock and a message that is sent at that time: some may be interrupted.
const CALLS_MAX: u64 = 32;

/// A planned action.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// A server has accepted, or refused.
    Accept {
        stream: usize,
    },
    /// Bytes have come to a server.
    Serve {
        stream: usize,
        bytes: Vec<u8>,
    },
    /// Bytes of a reply have come back.
    Deliver {
        stream: usize,
        bytes: Vec<u8>,
    },
    /// The server's end has come.
    DeliverEof {
        stream: usize,
    },
    /// The server has reset it.
    DeliverReset {
        stream: usize,
    },
    /// There is room to write again, or something to read that was left.
    Wake {
        token: Token,
        readiness: Readiness,
    },
    /// A server dies.
    Die {
        server: usize,
    },
    /// A datagram has come to a server, and back.
    ServeDatagram {
        flow: usize,
        bytes: Vec<u8>,
    },
    DeliverDatagram {
        flow: usize,
        bytes: Vec<u8>,
    },
    /// An ICMP error has come.
    Refuse {
        flow: usize,
    },
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) start: Instant,
    /// Nanoseconds since then.
    now: u64,
    /// What the load knows the time to be.
    seen: u64,
    pub(super) random: Random,
    pub(super) settings: Settings,
    actions: BTreeMap<(u64, u64), Action>,
    count: u64,
    pub(super) streams: Vec<Stream>,
    pub(super) flows: Vec<Flow>,
    events: Vec<Event>,
    /// When the timer goes off.
    heartbeat: Option<u64>,
    pub(super) log: Vec<Entry>,
    /// Entries that get the time of the next look at the clock.
    unstamped: Vec<usize>,
    /// Calls on sockets so far, and when the clock was last read.
    pub(super) calls: u64,
    calls_at_reading: u64,
}

impl World {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        let mut world = Self {
            start: Instant::now(),
            now: 0,
            seen: 0,
            random: Random::new(seed),
            actions: BTreeMap::new(),
            count: 0,
            streams: Vec::new(),
            flows: Vec::new(),
            events: Vec::new(),
            heartbeat: None,
            log: Vec::new(),
            unstamped: Vec::new(),
            calls: 0,
            calls_at_reading: 0,
            settings,
        };
        for server in 0..world.settings.servers.len() {
            if let Some(at) = world.settings.servers[server].dies_at {
                world.at(at, Action::Die { server });
            }
        }
        world
    }

    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    /// A look at the clock, which may take its time.
    pub(super) fn read_clock(&mut self) -> Instant {
        // The load begins at 0, and the log with it.
        if let Some((one_in, most)) = self.settings.machine.hiccup
            && self.now > 0
            && chance(&mut self.random, one_in)
        {
            let from = self.now;
            let time = self.random.below(most + 1);
            self.advance_to(from + time);
            self.note_pause(from);
        }
        (self.seen, self.calls_at_reading) = (self.now, self.calls);
        for entry in self.unstamped.drain(..) {
            self.log[entry].at = self.now;
        }
        self.start + Duration::from_nanos(self.now)
    }

    fn note_pause(&mut self, from: u64) {
        self.log(What::Paused { from });
        if let Some(entry) = self.log.last_mut() {
            entry.at = self.now;
        }
    }

    /// Writes down what has just been done.
    pub(super) fn log(&mut self, what: What) {
        self.log.push(Entry {
            at: self.seen,
            what,
        });
    }

    /// Writes down what has just been received.
    pub(super) fn log_received(&mut self, what: What) {
        self.unstamped.push(self.log.len());
        self.log(what);
    }

    /// Has `action` happen at `at`, after all that happens then already.
    pub(super) fn at(&mut self, at: u64, action: Action) {
        self.count += 1;
        self.actions.insert((at.max(self.now), self.count), action);
    }

    /// Lets the time pass until `to`.
    fn advance_to(&mut self, to: u64) {
        while let Some((&(at, number), _)) = self.actions.first_key_value() {
            if at > to {
                break;
            }
            let action = self.actions.remove(&(at, number)).unwrap();
            self.now = self.now.max(at);
            self.perform(action);
        }
        self.now = self.now.max(to);
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Accept { stream } => self.accept(stream),
            Action::Serve { stream, bytes } => self.serve(stream, &bytes),
            Action::Deliver { stream, bytes } => self.deliver(stream, &bytes),
            Action::DeliverEof { stream } => self.deliver_eof(stream),
            Action::DeliverReset { stream } => self.deliver_reset(stream),
            Action::Wake { token, readiness } => self.event(Some(token), readiness),
            Action::Die { server } => self.die(server),
            Action::ServeDatagram { flow, bytes } => self.serve_datagram(flow, &bytes),
            Action::DeliverDatagram { flow, bytes } => self.deliver_datagram(flow, bytes),
            Action::Refuse { flow } => self.refuse(flow),
        }
    }

    /// An event for what was registered with `token`.
    pub(super) fn event(&mut self, token: Option<Token>, readiness: Readiness) {
        if let Some(token) = token {
            self.events.push(Event::new(token, readiness));
        }
    }

    /// Waits for events, at most for `timeout`.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) {
        let until = timeout.map(|timeout| self.now.saturating_add(timeout.as_nanos() as u64));
        let wake = [until, self.heartbeat];
        let latest = wake.into_iter().flatten().min();
        while self.events.is_empty() {
            let next = self.actions.keys().next().map(|&(at, _)| at);
            let Some(to) = [next, latest].into_iter().flatten().min() else {
                panic!("the load waits for ever");
            };
            self.advance_to(to);
            if latest.is_some_and(|latest| self.now >= latest) {
                break;
            }
        }
        if self.heartbeat.is_some_and(|at| at <= self.now) {
            self.heartbeat = None;
        }
        if let Some((one_in, most)) = self.settings.machine.oversleep
            && timeout != Some(Duration::ZERO)
            && chance(&mut self.random, one_in)
        {
            let from = self.now;
            let time = self.random.below(most + 1);
            self.advance_to(from + time);
            self.note_pause(from);
        }
        if let Some(one_in) = self.settings.machine.spurious_one_in
            && chance(&mut self.random, one_in)
        {
            self.spurious();
        }
    }

    /// An event that means nothing, for a socket that is open.
    fn spurious(&mut self) {
        let streams = self.streams.iter().filter_map(Stream::token);
        let tokens: Vec<Token> = streams
            .chain(self.flows.iter().filter_map(|flow| flow.token))
            .collect();
        if !tokens.is_empty() {
            let token = tokens[self.random.below(tokens.len() as u64) as usize];
            let readiness = Readiness::of(chance(&mut self.random, 2), chance(&mut self.random, 2));
            self.event(Some(token), readiness);
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) const fn set_heartbeat(&mut self, after: Duration) {
        self.heartbeat = Some(self.now + after.as_nanos() as u64);
    }

    pub(super) const fn machine(&self) -> &MachineSettings {
        &self.settings.machine
    }

    /// A call on a socket, which takes its time.
    pub(super) fn call(&mut self) {
        self.calls += 1;
        self.advance_to(self.now + self.settings.machine.call);
    }

    /// A message is being sent: its time is that of the last reading of the clock.
    pub(super) fn check_clock(&self) {
        let calls = self.calls - self.calls_at_reading;
        assert!(calls <= CALLS_MAX, "{calls} calls since the clock was read");
    }

    /// Whether a call is to be interrupted, or to come to a part of what it could.
    pub(super) fn is_short(&mut self) -> bool {
        let one_in = self.settings.machine.short_one_in;
        one_in.is_some_and(|one_in| chance(&mut self.random, one_in))
    }

    /// Whether a call is to fail for want of memory or ports.
    pub(super) fn is_lacking(&mut self) -> bool {
        let one_in = self.settings.machine.lacks_one_in;
        one_in.is_some_and(|one_in| chance(&mut self.random, one_in))
    }

    /// What a server does to the next message, if anything.
    pub(super) fn fault(&mut self, server: usize) -> Option<Fault> {
        let (kinds, one_in) = self.settings.servers[server].faults.as_ref()?;
        if !chance(&mut self.random, *one_in) {
            return None;
        }
        let index = self.random.below(kinds.len() as u64) as usize;
        Some(kinds[index])
    }

    /// How long a server takes for the next reply.
    pub(super) fn delay(&mut self, server: usize) -> u64 {
        let (least, most) = self.settings.servers[server].delay;
        least + self.random.below(most - least + 1)
    }
}
