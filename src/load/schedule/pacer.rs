//! When one connection may send its next message.

use std::time::Duration;

use crate::load::schedule::arrivals::Arrivals;
use crate::load::schedule::pauses::Pauses;
use crate::load::schedule::shared_schedule::Schedule;
use crate::load::time::nanoseconds;

/// When messages may be sent on one connection: its part of the schedule, or when it is free.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// `None` in a closed loop, and for a connection that sends nothing.
    arrivals: Option<Arrivals>,
    /// Which server it sends to, by its place in the plan.
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
pub(crate) enum Due {
    /// It is due, and has been since then.
    Since(u64),
    /// It will be due then.
    At(u64),
    /// There will be none.
    Never,
}

impl Pacer {
    pub(crate) const fn new(arrivals: Option<Arrivals>, server: u32) -> Self {
        Self {
            arrivals,
            server,
            free: 0,
            behind: 0,
            held: 0,
        }
    }

    /// Which server its connection goes to, by its place in the plan.
    pub(crate) const fn server(&self) -> u32 {
        self.server
    }

    /// The next message, for a connection that is free at `now`.
    #[inline]
    pub(crate) fn next(&self, schedule: &Schedule, now: u64) -> Due {
        let Some(due) = self.due(schedule) else {
            let due = self.free.max(schedule.origin);
            let due = due.saturating_add(schedule.think);
            return if now >= schedule.until || schedule.is_used_up() {
                Due::Never
            } else if due <= now {
                Due::Since(now)
            } else {
                Due::At(due)
            };
        };
        if due >= schedule.until || schedule.is_used_up() {
            return Due::Never;
        }
        if due > now {
            return Due::At(due);
        }
        Due::Since(due)
    }

    /// When the next message was due, if it is too late by now to be sent: it is to be [skipped](Self::skip).
    pub(crate) fn too_late(&self, schedule: &Schedule, now: u64) -> Option<u64> {
        let deadline = schedule.deadline?;
        let due = self.next_unsent(schedule, now)?;
        (now - due > deadline).then_some(due)
    }

    /// When the next message of an open loop is due.
    #[inline]
    fn due(&self, schedule: &Schedule) -> Option<u64> {
        let (Some(arrivals), Some(profile)) = (&self.arrivals, &schedule.profile) else {
            return None;
        };
        let since_origin = nanoseconds(arrivals.due(profile));
        Some(schedule.origin.saturating_add(since_origin))
    }

    /// The message that is due is sent at `now`. Returns when it would have been if this client had never been late.
    #[inline]
    pub(crate) fn send(&mut self, due: u64, now: u64) -> u64 {
        self.skip();
        let ideal = due.max(self.free).min(now);
        self.behind = now - ideal;
        ideal
    }

    /// The next message of an open loop is the one after it.
    #[inline]
    pub(crate) fn skip(&mut self) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.advance();
        }
    }

    /// Drops messages that were due before `from`: they are not measured, and would delay those that are.
    pub(crate) fn skip_to(&mut self, from: u64, schedule: &Schedule) {
        if let (Some(arrivals), Some(profile)) = (&mut self.arrivals, &schedule.profile) {
            let since = Duration::from_nanos(from.saturating_sub(schedule.origin));
            arrivals.skip_to(since.as_secs_f64(), profile);
        }
    }

    /// The connection can't take another message at `now`.
    #[inline]
    pub(crate) fn hold(&mut self, now: u64) {
        self.held = self.held.min(now);
    }

    /// The connection can take another message from `now` on, if it could not before. Without the lateness of this client
    /// (what it was behind already, and for how long it was paused since), it could have earlier.
    #[inline]
    pub(crate) fn release(&mut self, now: u64, pauses: &Pauses) {
        if self.held != FREE {
            let since = std::mem::replace(&mut self.held, FREE);
            let late = if self.arrivals.is_some() {
                self.behind + pauses.overlap(since, now)
            } else {
                0
            };
            self.free = now.saturating_sub(late);
        }
    }

    /// When the next message of an open loop was due, if it was before `now` and is still to be sent.
    pub(crate) fn next_unsent(&self, schedule: &Schedule, now: u64) -> Option<u64> {
        let due = self.due(schedule)?;
        let is_offered = due < schedule.until.min(now) && !schedule.is_used_up();
        is_offered.then_some(due)
    }
}
