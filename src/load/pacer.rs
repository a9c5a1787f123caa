//! When one connection may send its next message.

use std::time::Duration;

use super::answers::InFlight;
use super::arrivals::Arrivals;
use super::messages::State;
use super::nanoseconds;
use super::plan::Plan;
use super::recorder::Recorder;
use super::shared::Shared;
use crate::probe::Probe;

/// When messages may be sent on one connection: its part of the schedule, or when it is free.
#[derive(Debug)]
pub(super) struct Pacer {
    arrivals: Option<Arrivals>,
    /// Which server it sends to.
    server: u32,
    /// Since when another message could be sent, as far as the connection is concerned, if this client were never late.
    free: u64,
    /// How late the last message was sent, against that.
    behind: u64,
    /// Since when nothing can be sent because the connection is not free; or [`FREE`].
    held: u64,
}

/// Not a time: the connection is free.
const FREE: u64 = u64::MAX;

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
            ref targets,
            ..
        } = plan;
        // Those that are idle have no part in the schedule.
        let scheduled = plan.is_open() && connection < connections;
        let arrivals = || Arrivals::new(arrival, connection, connections, seed);
        Self {
            arrivals: scheduled.then(arrivals),
            server: (connection % targets.len().max(1)) as u32,
            free: 0,
            behind: 0,
            held: 0,
        }
    }

    /// Which server its connection goes to, by its place in the plan.
    pub(super) const fn server(&self) -> u32 {
        self.server
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
                    shared.recorder.not_sent(self.server, due, State::Shed);
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
        let ideal = due.max(self.free).min(now);
        self.behind = now - ideal;
        let message = InFlight {
            due,
            ideal,
            sent: now,
            // At most MESSAGE_MAX.
            size: size as u32,
            measured: shared.recorder.measures(due),
            in_window: shared.recorder.is_before_end(now),
        };
        take_one(&mut shared.left, &shared.recorder, due);
        shared.recorder.sent(self.server, &message);
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

    /// The connection can't take another message at `now`.
    #[inline]
    pub(super) fn hold(&mut self, now: u64) {
        self.held = self.held.min(now);
    }

    /// The connection can take another message from `now` on, if it could not before. Without the lateness of this client
    /// (what it was behind already, and for how long it was paused since), it could have earlier.
    #[inline]
    pub(super) fn release(&mut self, now: u64, recorder: &Recorder) {
        if self.held != FREE {
            let since = std::mem::replace(&mut self.held, FREE);
            let late = if self.arrivals.is_some() {
                self.behind + recorder.pauses.overlap(since, now)
            } else {
                0
            };
            self.free = now.saturating_sub(late);
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
            shared.recorder.not_sent(self.server, due, State::NeverSent);
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
