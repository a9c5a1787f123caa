//! Connections, accepted.

use std::io;
use std::time::Instant;

use super::{Conduct, Phase, Server, Timer};
use crate::probe::{Probe, What};
use crate::reactor::{Registry, stream_interests};
use crate::service::Service;

impl<S: Service, C: Conduct, P: Probe> Server<S, C, P> {
    /// Accepts connections, within the budget that all listeners share.
    pub(super) fn accept(&mut self, registry: &Registry, now: Instant) {
        let somebody_left = self.clients.take_left();
        let mut budget = self.config.accept_budget;
        let (first, count) = (self.next_listener, self.sockets.listeners.len());
        for index in (first..count).chain(0..first) {
            let Some(listener) = &mut self.sockets.listeners[index] else {
                continue;
            };
            if somebody_left {
                listener.backlog.resume();
            }
            if listener.backlog.is_runnable() {
                budget -= self.accept_at(index, budget, registry, now);
            }
            if self.phase == Phase::Draining && !(self.is_pending(index) && self.room(now) > 0) {
                self.sockets.listeners[index] = None;
            }
        }
    }

    /// Accepts connections of one listener: `most`, or fewer if there is less room. Returns how many
    /// attempts that took.
    fn accept_at(&mut self, index: usize, most: usize, registry: &Registry, now: Instant) -> usize {
        let budget = self.room(now).min(most);
        let Some(listener) = &mut self.sockets.listeners[index] else {
            return 0;
        };
        if budget == 0 {
            return 0;
        }
        let accepting = self.clients.probe.now();
        let mut accepted = listener.accept(now, budget, |(stream, address)| {
            let (stream, service) = (self.conduct.stream(stream), &mut self.service);
            self.clients
                .admit(stream, address, service, now, |stream, key| {
                    registry.register(stream, key.token(), stream_interests())
                });
        });
        // With less room than that, it was the room that ran out.
        accepted.budget_spent &= budget == most;
        self.clients.accepted(&accepted);
        if P::ON {
            let count = accepted.count as u32;
            self.clients
                .probe
                .did(None, What::Accept { count }, accepting);
        }
        if accepted.count > 0 {
            self.conduct.begin(now);
            self.next_listener = (index + 1) % self.sockets.listeners.len();
            self.pace.let_in(accepted.count, now);
        }
        if let Some((until, error)) = accepted.paused {
            self.deadlines.arm(until, Timer::Listener(index));
            if self.pauses.pass(now).is_some() {
                warn_of_pause(self.clients.len(), &error);
            }
        }
        if self.is_paced(now) {
            self.clients.accept_waits();
        }
        (accepted.count + accepted.failed) as usize
    }

    /// Whether connections may be accepted now, and somebody may be waiting.
    pub(super) fn may_accept(&self, now: Instant) -> bool {
        self.is_anybody_pending() && self.room(now) > 0
    }

    /// When somebody who waits for the accept rate may be let in.
    pub(super) fn accepts_next(&self, now: Instant) -> Option<Instant> {
        if self.is_paced(now) {
            self.pace.next(now)
        } else {
            None
        }
    }

    /// Whether it is the accept rate, and nothing else, that keeps somebody from being let in.
    fn is_paced(&self, now: Instant) -> bool {
        self.is_anybody_pending()
            && self.phase == Phase::Serving
            && self.pace.room(now) == 0
            && self.config.accept_budget_with(self.clients.free()) > 0
    }

    /// How many connections may be accepted in this turn. Whoever has connected by the time the server is told to stop is let
    /// in at any rate.
    fn room(&self, now: Instant) -> usize {
        let room = self.config.accept_budget_with(self.clients.free());
        match self.phase {
            Phase::Serving => room.min(self.pace.room(now)),
            Phase::Draining | Phase::Stopped => room,
        }
    }

    fn is_pending(&self, index: usize) -> bool {
        let listener = self.sockets.listeners[index].as_ref();
        listener.is_some_and(|listener| listener.backlog.is_runnable())
    }

    fn is_anybody_pending(&self) -> bool {
        let mut listeners = self.sockets.listeners.iter().flatten();
        listeners.any(|listener| listener.backlog.is_runnable())
    }
}

fn warn_of_pause(clients: usize, error: &io::Error) {
    log::warn!(
        "accepting pauses at {clients} clients: {error}; others wait until one leaves \
         (too many open files: raise that limit, or lower --max-conns)"
    );
}
