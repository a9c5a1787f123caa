//! What a load has to do at a certain time, whatever events come.

use super::book::{Book, Member};
use super::nanoseconds;
use super::shared::Shared;
use super::socket::Socket;
use crate::probe::Probe;
use crate::reactor::Key;

/// How many timers a connection may have, with some whose time is over; and how many there may be in any case. With
/// more, those whose owner is gone are dropped: connections that come and go must not pile them up.
const TIMERS_MAX: usize = 8;
const TIMERS_ANYWAY: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    /// A connection's turn has come: its next message is due, or it was to be used no longer than now.
    Due(Key),
    /// What it has in flight may have been for too long.
    Expiry(Key),
    /// It may not take longer to be opened.
    Connect(Key),
    /// It may be tried again.
    Retry(usize),
    /// Another connection may be opened.
    Dial,
    /// An interval has ended.
    Interval,
}

impl Book {
    /// Looks after everyone whose deadline has come.
    pub(super) fn expire(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        let at = shared.instant(now);
        while let Some(timer) = self.deadlines.expire(at) {
            match timer {
                Timer::Due(key) => {
                    if let Some(slot) = self.slots.get_mut(key) {
                        slot.due_armed = false;
                    }
                    self.queue(key);
                }
                Timer::Expiry(key) => self.overdue.push(key),
                Timer::Connect(key) => self.expire_dial(key, shared),
                Timer::Retry(number) => {
                    let parked = self.parked[number].take();
                    self.unopened.extend(parked);
                }
                Timer::Dial => self.dial_armed = false,
                Timer::Interval => {
                    self.interval_ended = true;
                    self.deadlines
                        .arm(at + shared.plan.interval, Timer::Interval);
                }
            }
        }
    }

    /// Looks after what has been in flight for too long, behind what has been received in this turn: an answer that had
    /// come while this client itself was held up is no late one.
    pub(super) fn expire_overdue(&mut self, shared: &mut Shared<impl Probe>) {
        if self.overdue.is_empty() {
            return;
        }
        let now = shared.now();
        let mut overdue = std::mem::take(&mut self.overdue);
        for key in overdue.drain(..) {
            self.expire_answers(key, shared, now);
        }
        self.overdue = overdue;
    }

    fn expire_answers(&mut self, key: Key, shared: &mut Shared<impl Probe>, now: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let timeout = nanoseconds(shared.plan.timeout);
        let next = match &mut slot.member {
            Member::Stream(connection) => {
                let recorder = &mut shared.recorder;
                let expire = |_| recorder.timed_out();
                connection.answers.expire(now, timeout, expire)
            }
            Member::Flow(flow) => flow.expire(shared, now),
        };
        slot.expiry_armed = next.is_some();
        let is_flow = matches!(slot.member, Member::Flow(_));
        if let Some(next) = next {
            self.deadlines.arm(shared.instant(next), Timer::Expiry(key));
        }
        if is_flow {
            // What was given up makes room for the next.
            self.queue(key);
        }
    }

    /// Drops timers whose owner is gone, once there are many.
    pub(super) fn prune(&mut self) {
        if self.deadlines.len() <= TIMERS_ANYWAY + TIMERS_MAX * self.slots.len() {
            return;
        }
        let slots = &mut self.slots;
        self.deadlines.retain(|timer| match timer {
            Timer::Due(key) | Timer::Expiry(key) => slots.get_mut(*key).is_some(),
            Timer::Connect(key) => {
                let member = slots.get_mut(*key).map(|slot| &slot.member);
                matches!(member, Some(Member::Stream(connection)) if matches!(connection.socket, Socket::Dialling(_)))
            }
            Timer::Retry(_) | Timer::Dial | Timer::Interval => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::load::plan::Plan;
    use crate::reactor::Key;

    /// Connections that come and go leave their timers behind, for as long as those take to come.
    #[test]
    fn timers_of_connections_that_are_gone_are_dropped_once_they_pile_up() {
        let start = Instant::now();
        let mut book = Book::new(&Plan::new(), start);
        let gone = |number: usize| Key::from_token(crate::reactor::Token(number)).unwrap();
        let far = start + Duration::from_secs(3600);
        book.deadlines.arm(far, Timer::Interval);
        book.deadlines.arm(far, Timer::Retry(0));
        for number in 0..100_000 {
            for timer in [Timer::Connect, Timer::Expiry, Timer::Due] {
                book.deadlines.arm(far, timer(gone(number)));
            }
            book.prune();
            assert!(book.deadlines.len() <= TIMERS_ANYWAY + 3);
        }
        let mut left = 0;
        while let Some(timer) = book.deadlines.expire(far) {
            left += usize::from(matches!(timer, Timer::Interval | Timer::Retry(0)));
        }
        assert_eq!(left, 2);
    }
}
