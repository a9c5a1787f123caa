//! SIGINT and SIGTERM, as events of the server's own loop.

use std::io;
use std::time::Instant;

use echoloop::reactor::{EXTERNAL, Event, Handler, Interest, Next, Reactor, Registry};
use echoloop::server::Server;
use echoloop::service::Service;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

/// A server that drains at the first signal and stops at the second.
pub(crate) struct Signalled<S> {
    server: Server<S>,
    signals: Signals,
    pending: bool,
    draining: bool,
    stopped_by: Option<i32>,
}

impl<S: Service> Signalled<S> {
    /// Catches signals for `server`, as long as `reactor` runs it.
    pub(crate) fn new(reactor: &Reactor, server: Server<S>) -> io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        reactor
            .registry()
            .register(&mut signals, EXTERNAL, Interest::READABLE)?;
        Ok(Self {
            server,
            signals,
            pending: false,
            draining: false,
            stopped_by: None,
        })
    }

    /// The server.
    pub(crate) fn server(&self) -> &Server<S> {
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

    /// The second signal, if one ended the drain.
    pub(crate) fn stopped_by(&self) -> Option<i32> {
        self.stopped_by
    }
}

impl<S: Service> Handler for Signalled<S> {
    fn ready(&mut self, event: &Event) {
        if event.token() == EXTERNAL {
            self.pending = true;
        } else {
            self.server.ready(event);
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if std::mem::take(&mut self.pending) {
            let signals: Vec<i32> = self.signals.pending().collect();
            for signal in signals {
                if self.draining {
                    self.stopped_by = Some(signal);
                    self.server.abort();
                    break;
                }
                self.drain(now);
            }
        }
        self.server.turn(registry, now)
    }
}
