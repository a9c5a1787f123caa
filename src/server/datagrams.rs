//! Datagrams, answered.

use std::time::Instant;

use super::{Conduct, Phase, Server, Timer};
use crate::service::Service;

impl<S: Service, C: Conduct> Server<S, C> {
    /// Answers what has been received, within the budget of each socket.
    pub(super) fn answer_datagrams(&mut self, now: Instant) {
        let received = self.datagram_counters.received;
        for index in 0..self.sockets.datagrams.len() {
            let Some(datagrams) = &mut self.sockets.datagrams[index] else {
                continue;
            };
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
                self.close_datagrams(index);
            }
        }
        if self.datagram_counters.received > received {
            self.conduct.begin(now);
        }
    }

    /// Sends the answers that were kept long enough.
    pub(super) fn send_overdue(&mut self, now: Instant) {
        while let Some(held) = self.conduct.overdue(now) {
            if let Some(Some(datagrams)) = self.sockets.datagrams.get(held.socket) {
                let mut outlet = datagrams.outlet(&mut self.datagram_counters);
                outlet.send(held.source, &held.bytes);
            }
        }
    }

    /// Closes a socket, behind the answers that were kept and are to leave from it.
    fn close_datagrams(&mut self, index: usize) {
        let Some(datagrams) = self.sockets.datagrams[index].take() else {
            return;
        };
        while let Some(held) = self.conduct.close(index) {
            let mut outlet = datagrams.outlet(&mut self.datagram_counters);
            outlet.send(held.source, &held.bytes);
        }
    }
}
