//! A server that signals end.

use std::io;
use std::time::Instant;

use echoloop::probe::{Off, Probe, Recorder};
use echoloop::reactor::{Event, Handler, Next, Reactor, Registry};
use echoloop::server::{Conduct, Honest, Server};
use echoloop::service::Service;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGUSR1};

use crate::logger;
use crate::signals::Signals;
use crate::study::Recorded;

/// A server that drains at the first signal and stops at the second.
pub(crate) struct Signalled<S, C: Conduct = Honest, P: Probe = Off> {
    server: Server<S, C, P>,
    signals: Signals,
    draining: bool,
    continued: bool,
    hung_up: bool,
    stopped_by: Option<i32>,
}

impl<S: Service, C: Conduct, P: Probe> Signalled<S, C, P> {
    pub(crate) const fn new(server: Server<S, C, P>) -> Self {
        Self {
            server,
            signals: Signals::detached(),
            draining: false,
            continued: false,
            hung_up: false,
            stopped_by: None,
        }
    }

    /// From now on signals go to this server, which `reactor` runs. With `terminal`, SIGCONT as well.
    pub(crate) fn attach(&mut self, reactor: &Reactor, terminal: bool) -> io::Result<()> {
        self.signals.attach(reactor, terminal)
    }

    /// The loop was left: what follows may block, and a signal ends the program at once.
    pub(crate) fn detach(&mut self) {
        self.signals.detach();
    }

    /// The server.
    pub(crate) fn server(&self) -> &Server<S, C, P> {
        &self.server
    }

    /// What it serves.
    pub(crate) const fn service_mut(&mut self) -> &mut S {
        self.server.service_mut()
    }

    /// As the first signal does.
    pub(crate) fn drain(&mut self, now: Instant) {
        self.draining = true;
        self.server.drain(now);
    }

    /// Whether the program was stopped, and has been continued since this was last asked.
    pub(crate) const fn take_continued(&mut self) -> bool {
        std::mem::replace(&mut self.continued, false)
    }

    /// Whether another signal to stop has come since the server has stopped.
    pub(crate) fn is_signalled_again(&mut self, registry: &Registry) -> bool {
        let again = self.signals_to_stop(registry).first().copied();
        self.stopped_by = self.stopped_by.or(again);
        again.is_some()
    }

    /// The signals to stop that have come since this was last called. The others are obeyed.
    #[cold]
    #[inline(never)]
    fn signals_to_stop(&mut self, registry: &Registry) -> Vec<i32> {
        let mut signals = self.signals.take(registry);
        signals.retain(|&signal| match signal {
            SIGCONT => {
                self.continued = true;
                false
            }
            SIGUSR1 => {
                let connected = self.server.connected();
                logger::answer(format_args!(
                    "{connected} connected; {}",
                    self.server.counters()
                ));
                false
            }
            _ => true,
        });
        self.hung_up = self.hung_up || signals.contains(&SIGHUP);
        signals
    }

    #[cold]
    #[inline(never)]
    fn obey_signals(&mut self, registry: &Registry, now: Instant) {
        for signal in self.signals_to_stop(registry) {
            if self.draining {
                self.stopped_by = Some(signal);
                self.server.abort();
                break;
            }
            self.drain(now);
        }
    }

    /// The signal whose exit code the program ends with: the second one, if that ended the drain, or
    /// SIGHUP.
    pub(crate) fn stopped_by(&self) -> Option<i32> {
        self.stopped_by.or_else(|| self.hung_up.then_some(SIGHUP))
    }

    /// Whether a second signal ended the drain.
    pub(crate) const fn is_aborted(&self) -> bool {
        self.stopped_by.is_some()
    }
}

impl<S: Service, C: Conduct, P: Probe> Handler for Signalled<S, C, P> {
    fn ready(&mut self, event: &Event) {
        if !self.signals.ready(event) {
            self.server.ready(event);
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if self.signals.are_pending() {
            self.obey_signals(registry, now);
        }
        self.server.turn(registry, now)
    }
}

impl<S: Service, C: Conduct> Recorded for Signalled<S, C, Recorder> {
    fn recorder(&mut self) -> &mut Recorder {
        self.server.probe_mut()
    }

    fn has_started(&self) -> bool {
        true
    }

    fn is_ending(&self) -> bool {
        self.draining
    }
}
