//! A load with somebody who may stop it, and looks at what it costs.

use std::io;
use std::time::{Duration, Instant};

use echoloop::load::{Load, Stop};
use echoloop::probe::{Off, Probe, Recorder};
use echoloop::reactor::{Event, Handler, Next, Reactor, Registry};
use signal_hook::consts::{SIGHUP, SIGUSR1};

use crate::logger;
use crate::signals::Signals;
use crate::study::Recorded;

use super::competition::Competition;
use super::logs::wall_clock;
use super::usage::{Spent, Used, own_cpu, own_memory, used_by};

/// A load that ends in good order at the first signal, and at once at the second.
pub(super) struct Driven<P = Off> {
    pub(super) load: Load<P>,
    signals: Signals,
    stopping: bool,
    /// A second signal ended the run.
    pub(super) aborted: bool,
    /// The signal whose exit code the program ends with.
    pub(super) stopped_by: Option<i32>,
    server: Option<u32>,
    /// The server before any connection was there.
    server_before: Option<Used>,
    was_running: bool,
    was_measuring: bool,
    pub(super) costs: Costs,
    pub(super) competition: Competition,
}

/// What was used while it was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Costs {
    /// Something was measured.
    pub(super) measured: bool,
    /// When measuring began, from the beginning of 1970.
    pub(super) began: Option<Duration>,
    client_cpu_from: Duration,
    pub(super) client_cpu: Duration,
    /// Our own memory at the beginning and at the end.
    pub(super) memory_from: u64,
    pub(super) memory: u64,
    server_from: Option<Used>,
    pub(super) server: Option<Spent>,
    /// How much the server's memory has grown by the time that every connection was there.
    pub(super) server_growth: Option<u64>,
}

impl<P: Probe> Driven<P> {
    pub(super) fn new(load: Load<P>, server: Option<u32>) -> Self {
        let plan = load.plan();
        // A run of a number of messages may be shorter than a look at all processes takes.
        let names = matches!(plan.stop, Stop::After(_));
        let addresses: Vec<_> = plan.addresses().collect();
        let competition = Competition::new(&addresses, plan.udp, server, names);
        Self {
            load,
            signals: Signals::detached(),
            stopping: false,
            aborted: false,
            stopped_by: None,
            server,
            server_before: server.and_then(used_by),
            was_running: false,
            was_measuring: false,
            costs: Costs::default(),
            competition,
        }
    }

    /// From now on signals go to this load, which `reactor` runs.
    pub(super) fn attach(&mut self, reactor: &Reactor) -> io::Result<()> {
        self.signals.attach(reactor, false)
    }

    /// The loop was left: what follows may block, and a signal ends the program at once.
    pub(super) fn detach(&mut self) {
        self.signals.detach();
    }

    #[cold]
    #[inline(never)]
    fn obey_signals(&mut self, registry: &Registry) {
        for signal in self.signals.take(registry) {
            match signal {
                SIGUSR1 => logger::answer(format_args!("{}", self.load.counters())),
                _ if self.stopping => {
                    (self.aborted, self.stopped_by) = (true, Some(signal));
                    self.load.abort();
                }
                _ => {
                    self.stopped_by = (signal == SIGHUP).then_some(signal);
                    self.stopping = true;
                    self.load.stop();
                }
            }
        }
    }

    /// Looks at the costs when the measuring begins and ends.
    fn look(&mut self) {
        if !self.was_running && self.load.is_running() {
            self.was_running = true;
            let now = self.server.and_then(used_by);
            let grown = |(before, now): (&Used, Used)| {
                now.anonymous_bytes.saturating_sub(before.anonymous_bytes)
            };
            self.costs.server_growth = self.server_before.as_ref().zip(now).map(grown);
        }
        let measuring = self.load.is_measuring();
        if measuring == self.was_measuring {
            return;
        }
        self.was_measuring = measuring;
        let (cpu, memory, server) = (own_cpu(), own_memory(), self.server.and_then(used_by));
        let costs = &mut self.costs;
        costs.measured = true;
        if measuring {
            self.competition.begin();
            costs.began = Some(wall_clock());
            costs.client_cpu_from = cpu;
            costs.memory_from = memory;
            costs.server_from = server;
        } else {
            self.competition.end();
            costs.client_cpu = cpu.saturating_sub(costs.client_cpu_from);
            costs.memory = memory;
            let from = costs.server_from.as_ref();
            costs.server = from.zip(server).map(|(from, now)| now.since(from));
        }
    }
}

impl<P: Probe> Handler for Driven<P> {
    #[inline]
    fn ready(&mut self, event: &Event) {
        if !self.signals.ready(event) {
            self.load.ready(event);
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if self.signals.are_pending() {
            self.obey_signals(registry);
        }
        let next = self.load.turn(registry, now);
        self.look();
        next
    }
}

impl Recorded for Driven<Recorder> {
    fn recorder(&mut self) -> &mut Recorder {
        self.load.probe_mut()
    }

    fn has_started(&self) -> bool {
        self.load.is_running()
    }

    fn is_ending(&self) -> bool {
        self.stopping
    }
}
