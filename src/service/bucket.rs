//! How many at once, and how many in a while.

use std::time::{Duration, Instant};

/// A token bucket, as the time at which it would be full again (the generic cell rate algorithm).
///
/// How fast it is refilled, and how much it holds, whoever asks knows: so a bucket is no more than that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
}

/// How fast buckets are refilled, and how much they hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refill {
    /// The time that one token takes.
    each: Duration,
    /// What a full bucket holds, in time's worth of tokens: one at least.
    burst: Duration,
}

impl Refill {
    /// A token in each such time, and a burst of that time's worth.
    pub(crate) fn new(each: Duration, burst: Duration) -> Self {
        let each = each.max(Duration::from_nanos(1));
        let burst = burst.max(each);
        Self { each, burst }
    }
}

impl Bucket {
    /// A full one.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// How many tokens it holds.
    pub(crate) fn holds(&self, refill: Refill, now: Instant) -> usize {
        let Refill { each, burst } = refill;
        let free = (now + burst).saturating_duration_since(self.full_at.max(now));
        (free.as_nanos() / each.as_nanos()) as usize
    }

    /// Takes `count` tokens, of those that it [holds](Self::holds).
    pub(crate) fn take(&mut self, count: u32, refill: Refill, now: Instant) {
        self.full_at = self.full_at.max(now) + refill.each * count;
    }

    /// When it holds one. `None`: it does.
    pub(crate) fn next(&self, refill: Refill, now: Instant) -> Option<Instant> {
        let next = (self.full_at + refill.each).checked_sub(refill.burst)?;
        (next > now).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: Duration = Duration::from_millis(100);

    fn refill(rate: f64) -> Refill {
        Refill::new(Duration::from_secs_f64(1.0 / rate), BURST)
    }

    #[test]
    fn a_crowd_gets_the_rate_behind_a_burst() {
        let start = Instant::now();
        for rate in [0.5, 3.0, 10.0, 250.0, 100_000.0] {
            let (refill, mut bucket) = (refill(rate), Bucket::new(start));
            let (mut now, mut count, end) = (start, 0, start + Duration::from_secs(60));
            while now < end {
                let holds = bucket.holds(refill, now).min(64);
                assert!(holds > 0, "called at {:?}, in vain", now - start);
                bucket.take(holds as u32, refill, now);
                count += holds;
                now = bucket.next(refill, now).unwrap_or(now);
            }
            let most = (rate * 60.0 + rate * 0.1).ceil() as usize + 1;
            assert!(count <= most, "{count} of {most}, at {rate}");
            assert!(count >= (rate * 60.0) as usize, "{count}, at {rate}");
        }
    }

    #[test]
    fn after_a_while_without_any_there_is_a_burst_and_no_more() {
        let start = Instant::now();
        let (refill, mut bucket) = (refill(100.0), Bucket::new(start));
        assert_eq!(bucket.holds(refill, start), 10);
        bucket.take(10, refill, start);
        assert_eq!(bucket.holds(refill, start), 0);
        let later = start + Duration::from_secs(3600);
        assert_eq!(bucket.holds(refill, later), 10);
        assert_eq!(bucket.next(refill, later), None);
    }
}
