//! How fast clients are let in.

use std::time::{Duration, Instant};

/// How many may come at once after a while without any, in time's worth of the rate.
const BURST: Duration = Duration::from_millis(100);

/// A token bucket for connections, as the time at which it would be full again (the generic cell rate algorithm); or no
/// limit.
///
/// Those for whom there is none wait in the kernel: nobody is turned away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The time one takes, and the burst, which is at least that.
    limit: Option<(Duration, Duration)>,
    paid_until: Instant,
}

impl Pace {
    /// At most `rate` in a second, above 0; or any number.
    pub(super) fn new(rate: Option<f64>, now: Instant) -> Self {
        let limit = rate.map(|rate| {
            let each = Duration::from_secs_f64(1.0 / rate).max(Duration::from_nanos(1));
            (each, BURST.max(each))
        });
        Self {
            limit,
            paid_until: now,
        }
    }

    /// How many may be let in now.
    pub(super) fn room(&self, now: Instant) -> usize {
        let Some((each, burst)) = self.limit else {
            return usize::MAX;
        };
        let free = (now + burst).saturating_duration_since(self.paid_until.max(now));
        (free.as_nanos() / each.as_nanos()) as usize
    }

    /// `count` have been let in, of those for whom there was [room](Self::room).
    pub(super) fn let_in(&mut self, count: u64, now: Instant) {
        if let Some((each, _)) = self.limit {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            self.paid_until = self.paid_until.max(now) + each * count;
        }
    }

    /// When there is room for one more. `None`: now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let (each, burst) = self.limit?;
        let next = (self.paid_until + each).checked_sub(burst)?;
        (next > now).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_let_in_at_the_rate_behind_a_burst() {
        let start = Instant::now();
        for rate in [0.5, 3.0, 10.0, 250.0, 100_000.0] {
            let mut pace = Pace::new(Some(rate), start);
            let (mut now, mut count, end) = (start, 0, start + Duration::from_secs(60));
            while now < end {
                let room = pace.room(now).min(64);
                assert!(room > 0, "called at {:?}, in vain", now - start);
                pace.let_in(room as u64, now);
                count += room;
                now = pace.next(now).unwrap_or(now);
            }
            let most = (rate * 60.0 + rate * 0.1).ceil() as usize + 1;
            assert!(count <= most, "{count} of {most}, at {rate}");
            assert!(count >= (rate * 60.0) as usize, "{count}, at {rate}");
        }
    }

    #[test]
    fn after_a_while_without_any_there_is_a_burst_and_no_more() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(100.0), start);
        assert_eq!(pace.room(start), 10);
        pace.let_in(10, start);
        assert_eq!(pace.room(start), 0);
        let later = start + Duration::from_secs(3600);
        assert_eq!((pace.room(later), pace.next(later)), (10, None));
    }

    #[test]
    fn without_a_rate_there_is_always_room() {
        let now = Instant::now();
        let mut pace = Pace::new(None, now);
        pace.let_in(1_000_000, now);
        assert_eq!((pace.room(now), pace.next(now)), (usize::MAX, None));
    }
}
