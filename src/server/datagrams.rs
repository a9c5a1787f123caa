//! Datagrams, answered.

use std::time::Instant;

use super::{Conduct, Phase, Server, Timer};
use crate::service::Service;

impl<S: Service, C: Conduct> Server<S, C> {
    /// Answers what has been received, within the budget of each socket.
    pub(super) fn answer_datagrams(&mut self, now: Instant) {
        for (index, slot) in self.sockets.datagrams.iter_mut().enumerate() {
            let Some(datagrams) = slot else { continue };
            if datagrams.is_runnable() {
                let paused_until = datagrams.answer(
                    now,
                    &mut self.datagram_counters,
                    |source, datagram| self.guard.admit(source, datagram, now),
                    |source, message, reply| {
                        self.service.overhear(source, message);
                        self.suffix.answer(reply);
                    },
                    |source, answer, outlet| {
                        self.conduct.answer(index, source, answer, now, outlet);
                    },
                );
                if let Some(until) = paused_until {
                    self.deadlines.arm(until, Timer::Datagrams(index));
                }
            }
            if self.phase == Phase::Draining && !datagrams.is_runnable() {
                *slot = None;
            }
        }
    }
}
