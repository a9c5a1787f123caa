//! Whether one source says the same thing over and over: the sign of two echoes answering each other.

use std::time::{Duration, Instant};

/// For how long a source that repeated itself too often is ignored.
const QUARANTINE: Duration = Duration::from_secs(60);

/// A payload that has not come again for this long is no loop that matters.
const LOOP_PERIOD: Duration = Duration::from_millis(500);

/// After how many other payloads another one is watched for. So many forged datagrams can circulate
/// between two servers at once without hiding each other.
const LOOP_WIDTH: u32 = 64;

/// One payload of a source that is watched for, and how often it has come.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    payload: u64,
    count: u32,
    /// When it came last, and how many others have since.
    seen: Instant,
    others: u32,
    ignored_until: Instant,
}

impl Repeat {
    /// Watches for `payload`.
    pub(super) const fn new(payload: u64, now: Instant) -> Self {
        Self {
            payload,
            count: 0,
            seen: now,
            others: 0,
            ignored_until: now,
        }
    }

    /// Counts `payload`, which came now, and says whether it may be answered: not after `limit`
    /// repeats of one, and then for a while not at all.
    pub(super) fn admit(&mut self, payload: u64, limit: u32, now: Instant) -> bool {
        if self.ignored_until > now {
            return false;
        }
        if self.payload != payload {
            self.others += 1;
            if self.others < LOOP_WIDTH {
                return true;
            }
            *self = Self::new(payload, now);
        }
        if now.duration_since(self.seen) > LOOP_PERIOD {
            self.count = 0;
        }
        (self.seen, self.others) = (now, 0);
        if self.count < limit {
            self.count += 1;
            return true;
        }
        (self.count, self.ignored_until) = (0, now + QUARANTINE);
        false
    }

    /// Until when the source is ignored, if it is.
    pub(super) const fn ignored_until(&self) -> Instant {
        self.ignored_until
    }
}
