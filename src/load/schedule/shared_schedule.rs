//! The schedule that all connections of a load share.

use std::time::Duration;

use crate::load::schedule::rate::Profile;
use crate::load::time::nanoseconds;

/// When messages may be sent, and how many. Times are in nanoseconds since the load began.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// The rate of an open loop, with the warm-up at its beginning. `None`: a closed loop.
    pub(crate) profile: Option<Profile>,
    /// How long a connection of a closed loop waits between a reply and its next message.
    pub(crate) think: u64,
    /// How late a message may be sent.
    pub(crate) deadline: Option<u64>,
    /// When it begins.
    pub(crate) origin: u64,
    /// Messages due at this time or later are not sent. 0 while connections are being opened.
    pub(crate) until: u64,
    /// How many more messages may be sent, in a run of a number of messages.
    pub(crate) left: Option<u64>,
}

impl Schedule {
    /// A schedule that has not begun.
    pub(crate) fn new(
        profile: Option<Profile>,
        think: Duration,
        deadline: Option<Duration>,
    ) -> Self {
        Self {
            profile,
            think: nanoseconds(think),
            deadline: deadline.map(nanoseconds),
            origin: u64::MAX,
            until: 0,
            left: None,
        }
    }

    /// Whether every message of a run of a number of messages has been sent or dropped.
    pub(crate) const fn is_used_up(&self) -> bool {
        matches!(self.left, Some(0))
    }

    /// How long the schedule still lasts at `now`, if it ends at a time.
    pub(crate) fn time_left(&self, now: u64) -> Option<Duration> {
        let left = Duration::from_nanos(self.until.saturating_sub(now));
        (self.until != u64::MAX).then_some(left)
    }

    /// One message less is left to be sent.
    #[inline]
    pub(crate) const fn take_one(&mut self) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
    }

    /// `count` messages of a closed loop were not sent after all, and are still to be.
    pub(crate) const fn put_back(&mut self, count: u64) {
        if let (Some(left), false) = (&mut self.left, self.profile.is_some()) {
            *left += count;
        }
    }
}
