//! Differences of times, in nanoseconds since the load began.

use std::time::Duration;

/// The time from one stamp to another, in nanoseconds; 0 if the second is not later. All times that a load measures are
/// computed here: a difference of two stamps that are not in order must not wrap.
pub(crate) const fn elapsed(from: u64, to: u64) -> u64 {
    to.saturating_sub(from)
}

/// `time` in nanoseconds, at most half of what fits, so that the sum of two does not overflow.
pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos())
        .unwrap_or(u64::MAX)
        .min(u64::MAX / 4)
}
