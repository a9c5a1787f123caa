//! How fast clients are let in.

use std::time::{Duration, Instant};

use crate::service::{Bucket, Refill};

/// How many may come at once after a while without any, in time's worth of the rate.
const BURST: Duration = Duration::from_millis(100);

/// A limit to how many connections are accepted in a while, or none.
///
/// Those for whom there is no room wait in the kernel: nobody is turned away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    refill: Option<Refill>,
    bucket: Bucket,
}

impl Pace {
    /// At most `rate` in a second, above 0; or any number.
    pub(super) fn new(rate: Option<f64>, now: Instant) -> Self {
        Self {
            refill: rate.map(|rate| Refill::new(Duration::from_secs_f64(1.0 / rate), BURST)),
            bucket: Bucket::new(now),
        }
    }

    /// How many may be let in now.
    pub(super) fn room(&self, now: Instant) -> usize {
        let holds = |refill| self.bucket.holds(refill, now);
        self.refill.map_or(usize::MAX, holds)
    }

    /// `count` have been let in, of those for whom there was [room](Self::room).
    pub(super) fn let_in(&mut self, count: u64, now: Instant) {
        if let Some(refill) = self.refill {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.bucket.take(count, refill, now);
        }
    }

    /// When there is room for one more. `None`: now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.bucket.next(self.refill?, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_rate_there_is_always_room() {
        let now = Instant::now();
        let mut pace = Pace::new(None, now);
        pace.let_in(1_000_000, now);
        assert_eq!((pace.room(now), pace.next(now)), (usize::MAX, None));
    }
}
