//! When one connection may send its next message.

use std::time::Duration;

use super::answers::InFlight;
use super::arrivals::Arrivals;
use super::nanoseconds;
use super::plan::Plan;
use super::recorder::Recorder;
use super::shared::Shared;
use crate::probe::Probe;

/// When messages may be sent on one connection: its part of the schedule, or when it is free.
#[derive(Debug)]
pub(super) struct Pacer {
    arrivals: Option<Arrivals>,
    /// Since when another message could be sent, as far as the connection is concerned.
    free: u64,
    /// Nothing could be sent when it was last tried, because the connection was not free.
    held: bool,
}

/// What a pacer says of the next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is due, and has been since then.
    Since(u64),
    /// It will be.
    At(u64),
    /// There will be none.
    Never,
}

impl Pacer {
    pub(super) fn new(connection: usize, plan: &Plan) -> Self {
        let &Plan {
            arrival,
            connections,
            seed,
            ..
        } = plan;
        // Those that are idle have no part in the schedule.
        let scheduled = plan.is_open() && connection < connections;
        let arrivals = || Arrivals::new(arrival, connection, connections, seed);
        Self {
            arrivals: scheduled.then(arrivals),
            free: 0,
            held: true,
        }
    }

    /// The next message, for a connection that is free at `now`. Messages that are too late are dropped and counted.
    #[inline]
    pub(super) fn next(&mut self, shared: &mut Shared<impl Probe>, now: u64) -> Due {
        let (Some(arrivals), Some(profile)) = (&mut self.arrivals, &shared.plan.rate) else {
            let due = self.free.max(shared.origin);
            let due = due.saturating_add(nanoseconds(shared.plan.think));
            return if now >= shared.due_until || shared.left == Some(0) {
                Due::Never
            } else if due <= now {
                Due::Since(now)
            } else {
                Due::At(due)
            };
        };
        loop {
            let due = shared
                .origin
                .saturating_add(nanoseconds(arrivals.due(profile)));
            if due >= shared.due_until || shared.left == Some(0) {
                return Due::Never;
            }
            if due > now {
                return Due::At(due);
            }
            match shared.plan.deadline {
                Some(deadline) if now - due > nanoseconds(deadline) => {
                    take_one(&mut shared.left, &shared.recorder, due);
                    shared.recorder.shed(due);
                    arrivals.advance();
                }
                _ => return Due::Since(due),
            }
        }
    }

    /// The message that is due is sent at `now`: what is to be known of it.
    #[inline]
    pub(super) fn send(
        &mut self,
        due: u64,
        size: usize,
        now: u64,
        shared: &mut Shared<impl Probe>,
    ) -> InFlight {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.advance();
        }
        let message = InFlight {
            due,
            sent: now,
            size,
        };
        take_one(&mut shared.left, &shared.recorder, due);
        shared.recorder.in_flight += 1;
        shared.recorder.sent(&message, self.free);
        message
    }

    /// What was due before `from` and could not be sent is not sent any more: it is not measured, and would only be in
    /// the way of what is.
    pub(super) fn skip_to(&mut self, from: u64, shared: &Shared<impl Probe>) {
        if let (Some(arrivals), Some(profile)) = (&mut self.arrivals, &shared.plan.rate) {
            let since = Duration::from_nanos(from.saturating_sub(shared.origin));
            arrivals.skip_to(since.as_secs_f64(), profile);
        }
    }

    /// The connection could not take another message when it was last asked to.
    pub(super) const fn hold(&mut self) {
        self.held = true;
    }

    /// The connection can take another message from `now` on, if it could not before.
    #[inline]
    pub(super) const fn release(&mut self, now: u64) {
        if self.held {
            (self.free, self.held) = (now, false);
        }
    }

    /// Messages that were due and have not been sent by the end, at `now`.
    pub(super) fn give_up(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        while let (Some(arrivals), Some(profile)) = (&mut self.arrivals, &shared.plan.rate) {
            let due = shared
                .origin
                .saturating_add(nanoseconds(arrivals.due(profile)));
            if due >= shared.due_until.min(now) || shared.left == Some(0) {
                return;
            }
            take_one(&mut shared.left, &shared.recorder, due);
            shared.recorder.never_sent(due, now);
            arrivals.advance();
        }
    }
}

/// One message less is left, if they are counted, and if what is due at `due` is one of them.
#[inline]
const fn take_one(left: &mut Option<u64>, recorder: &Recorder, due: u64) {
    if let Some(left) = left
        && recorder.measures(due)
    {
        *left = left.saturating_sub(1);
    }
}
