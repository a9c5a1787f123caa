//! Times, small.

use std::time::{Duration, Instant};

/// A time in nanoseconds since a loop began: half the size of an [`Instant`], because every client has
/// several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(u64);

impl Stamp {
    /// `now`, for a loop that began at `start`. Lasts for 584 years.
    pub fn new(start: Instant, now: Instant) -> Self {
        Self(now.saturating_duration_since(start).as_nanos() as u64)
    }

    /// The time that this is, for the same `start`.
    #[inline]
    pub fn instant(self, start: Instant) -> Instant {
        start + Duration::from_nanos(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_the_time_it_was_made_from_and_never_before_the_start() {
        let start = Instant::now();
        for later in [0, 1, 999_999_999, 1_000_000_001, 3_600_000_000_000] {
            let now = start + Duration::from_nanos(later);
            assert_eq!(Stamp::new(start, now).instant(start), now);
        }
        let earlier = start.checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(Stamp::new(start, earlier).instant(start), start);
    }
}
