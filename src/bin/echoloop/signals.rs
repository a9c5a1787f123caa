//! Signals, as events of the server's own loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use echoloop::probe::{Off, Probe, Recorder};
use echoloop::reactor::{EXTERNAL, Event, Handler, Interest, Next, Reactor, Registry};
use echoloop::server::{Conduct, Honest, Server};
use echoloop::service::Service;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook_mio::v1_0::Signals;

use crate::SIGNALLED;
use crate::study::Recorded;

/// A server that drains at the first signal and stops at the second.
pub(crate) struct Signalled<S, C: Conduct = Honest, P: Probe = Off> {
    server: Server<S, C, P>,
    signals: Signals,
    pending: bool,
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
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if terminal {
            signals.add_signal(SIGHUP)?;
            signals.add_signal(SIGCONT)?;
        }
        reactor
            .registry()
            .register(&mut signals, EXTERNAL, Interest::READABLE)?;
        Ok(Self {
            server,
            signals,
            pending: false,
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
    pub(crate) fn is_signalled_again(&mut self) -> bool {
        let again = self.pending().first().copied();
        self.stopped_by = self.stopped_by.or(again);
        again.is_some()
    }

    /// The signals to stop that have come since this was last asked.
    fn pending(&mut self) -> Vec<i32> {
        if !std::mem::take(&mut self.pending) {
            return Vec::new();
        }
        let mut signals: Vec<i32> = self.signals.pending().collect();
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

/// From now on SIGINT and SIGTERM end the program at once: no loop looks at them any more.
pub(crate) fn end_at_once() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        register_conditional_shutdown(signal, SIGNALLED + signal, always)?;
    }
    Ok(())
}

impl<S: Service, C: Conduct, P: Probe> Handler for Signalled<S, C, P> {
    fn ready(&mut self, event: &Event) {
        if event.token() == EXTERNAL {
            self.pending = true;
        } else {
            self.server.ready(event);
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        for signal in self.pending() {
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

    fn is_ending(&self) -> bool {
        self.draining
    }
}
