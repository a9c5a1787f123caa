//! A server that signals end.

use std::io;
use std::time::Instant;

use echoloop::probe::{Off, Probe, Recorder};
use echoloop::reactor::{Event, Handler, Next, Reactor, Registry};
use echoloop::server::{Conduct, Honest, Server};
use echoloop::service::Service;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};

use crate::signals::Signals;
use crate::study::Recorded;

/// A server that drains at the first signal and stops at the second.
pub(crate) struct Signalled<S, C: Conduct = Honest, P: Probe = Off> {
    server: Server<S, C, P>,
    signals: Signals,
    draining: bool,
    continued: bool,
    stopped_by: Option<i32>,
}

impl<S: Service, C: Conduct, P: Probe> Signalled<S, C, P> {
    /// Catches signals for `server`, as long as `reactor` runs it. With `terminal`, those of one too: that it
    /// was closed, or is ours again. (Otherwise SIGHUP is left as it was found: see nohup(1).)
    pub(crate) fn new(
        reactor: &Reactor,
        server: Server<S, C, P>,
        terminal: bool,
    ) -> io::Result<Self> {
        let mut caught = vec![SIGINT, SIGTERM];
        if terminal {
            caught.extend([SIGHUP, SIGCONT]);
        }
        let signals = Signals::new(reactor.registry(), &caught)?;
        Ok(Self {
            server,
            signals,
            draining: false,
            continued: false,
            stopped_by: None,
        })
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

    /// Whether another signal has come since the server has stopped.
    pub(crate) fn is_signalled_again(&mut self, registry: &Registry) -> bool {
        let again = self.pending(registry).first().copied();
        self.stopped_by = self.stopped_by.or(again);
        again.is_some()
    }

    /// The signals to stop that have come since this was last asked.
    fn pending(&mut self, registry: &Registry) -> Vec<i32> {
        let mut signals = self.signals.take(registry);
        let all = signals.len();
        signals.retain(|&signal| signal != SIGCONT);
        self.continued |= signals.len() < all;
        signals
    }

    /// The second signal, if one ended the drain.
    pub(crate) fn stopped_by(&self) -> Option<i32> {
        self.stopped_by
    }
}

impl<S: Service, C: Conduct, P: Probe> Handler for Signalled<S, C, P> {
    fn ready(&mut self, event: &Event) {
        if !self.signals.ready(event) {
            self.server.ready(event);
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        for signal in self.pending(registry) {
            if self.draining {
                self.stopped_by = Some(signal);
                self.server.abort();
                break;
            }
            self.drain(now);
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
