//! How many replies one address gets.

use std::time::{Duration, Instant};

/// How many replies one address may get at once when it has been silent, in time's worth of its rate.
const BURST: Duration = Duration::from_secs(1);

/// The token bucket of one address, as the time at which it would be empty of debt (the generic
/// cell rate algorithm): a bucket of [`BURST`] times the rate, refilled at the rate.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    paid_until: Instant,
}

impl Rate {
    /// A full bucket.
    pub(super) const fn new(now: Instant) -> Self {
        Self { paid_until: now }
    }

    /// Takes one reply out of a bucket that is refilled `rate` (not 0) times a second, unless it is
    /// empty.
    pub(super) fn admit(&mut self, rate: u32, now: Instant) -> bool {
        let interval = Duration::from_secs(1) / rate;
        let paid_until = self.paid_until.max(now) + interval;
        let admitted = paid_until <= now + BURST.max(interval);
        if admitted {
            self.paid_until = paid_until;
        }
        admitted
    }
}
