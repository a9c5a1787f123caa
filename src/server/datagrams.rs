//! Datagrams, answered.

use std::time::Instant;

use super::{Conduct, Phase, Server, Timer};
use crate::probe::{Probe, What};
use crate::reactor::uncounted_drops;
use crate::service::Service;

impl<S: Service, C: Conduct, P: Probe> Server<S, C, P> {
    /// Answers what has been received, within the budget of each socket.
    ///
    /// Called in every loop iteration. The check whether there is anything to do is apart from the work,
    /// so that iterations without datagrams do not save and restore the registers that it needs.
    #[inline]
    pub(super) fn answer_datagrams(&mut self, now: Instant) {
        if !self.sockets.datagrams.is_empty() {
            self.answer_received(now);
        }
    }

    #[inline(never)]
    fn answer_received(&mut self, now: Instant) {
        let before = self.datagram_counters.received;
        let (sent_before, began) = (self.datagram_counters.answered, self.clients.probe.now());
        for index in 0..self.sockets.datagrams.len() {
            let Some(datagrams) = &mut self.sockets.datagrams[index] else {
                continue;
            };
            if datagrams.is_runnable() {
                let paused_until = datagrams.answer(
                    &mut self.batch,
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
        }
        if self.phase == Phase::Draining {
            self.close_drained();
        }
        let received = self.datagram_counters.received - before;
        if received == 0 {
            return;
        }
        self.conduct.begin(now);
        if P::ON {
            let sent = self.datagram_counters.answered - sent_before;
            let (received, sent) = (received as u32, sent as u32);
            let what = What::Datagrams { received, sent };
            self.clients.probe.did(None, what, began);
        }
    }

    /// Sends replies that were delayed long enough, up to the datagram budget of one socket.
    pub(super) fn send_overdue(&mut self, now: Instant) {
        for _ in 0..self.config.datagram_budget {
            let Some(held) = self.conduct.overdue(now) else {
                break;
            };
            if let Some(Some(datagrams)) = self.sockets.datagrams.get(held.socket) {
                let mut outlet = datagrams.outlet(&mut self.batch, &mut self.datagram_counters);
                outlet.send(held.source, &held.bytes);
            }
        }
    }

    /// Closes the sockets from which nothing more is received, after the replies that were kept and are to
    /// leave from them.
    fn close_drained(&mut self) {
        let sockets = self.sockets.datagrams.iter().flatten();
        let drained = sockets.filter(|datagrams| !datagrams.is_runnable());
        self.datagram_counters.overflowed += uncounted_drops(drained);
        for (index, socket) in self.sockets.datagrams.iter_mut().enumerate() {
            let Some(datagrams) = socket.take_if(|datagrams| !datagrams.is_runnable()) else {
                continue;
            };
            while let Some(held) = self.conduct.close(index) {
                let mut outlet = datagrams.outlet(&mut self.batch, &mut self.datagram_counters);
                outlet.send(held.source, &held.bytes);
            }
        }
    }
}
