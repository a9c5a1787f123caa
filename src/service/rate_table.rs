//! Token buckets of any number of keys, in memory of fixed size.

/// How many tokens a second, and how many at once: a second's worth.
#[derive(Clone, Copy, Debug)]
pub(in crate::service) struct Rate {
    /// The time that one token takes to be refilled, in ns: 1 at least.
    each: u64,
    /// What a full bucket holds, in ns: one token at least.
    burst: u64,
}

/// Token buckets, each as the time at which it would be full again (the generic cell rate algorithm),
/// in ns since the start.
///
/// # No key is forgotten
///
/// The table has no entries that could be evicted. A key has one bucket in each of two rows, and shares
/// it with all other keys whose hashes fall there. It gets a token if either bucket holds one. A
/// token is taken from the fuller bucket, and from the other one only if that holds more than the
/// fuller then does (a count-min sketch with conservative update; Estan and Varghese, SIGCOMM 2002).
/// So both buckets of a key hold at most what a bucket of its own would hold, and no key gets more
/// than its rate, however many others there are.
///
/// The price: a key gets less than its rate if both of its buckets are used up by other keys. If `N`
/// other keys use up theirs, with rows of `W` buckets, the probability of that is about (N/W)².
#[derive(Debug)]
pub(super) struct RateTable {
    width: usize,
    /// Empty until the first token is taken.
    rows: Vec<u64>,
}

/// A token that is there, and not taken yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    places: [usize; 2],
    full_at: u64,
}

impl Rate {
    /// `rate` tokens a second.
    ///
    /// # Panics
    ///
    /// If `rate` is 0.
    pub(in crate::service) const fn per_second(rate: u32) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let each = SECOND / rate as u64;
        let each = if each == 0 { 1 } else { each };
        Self {
            each,
            burst: SECOND,
        }
    }

    /// When a bucket that would be full at `full_at` is full if a token is taken at `now`. `None`: it holds
    /// none.
    pub(super) fn take(self, full_at: u64, now: u64) -> Option<u64> {
        let later = full_at.max(now) + self.each;
        (later <= now + self.burst).then_some(later)
    }
}

impl RateTable {
    /// Two rows of `width` buckets.
    pub(super) const fn new(width: usize) -> Self {
        let rows = Vec::new();
        Self { width, rows }
    }

    /// A token of the key with this hash, if it has one.
    pub(super) fn token(&mut self, hash: u64, rate: Rate, now: u64) -> Option<Token> {
        if self.rows.is_empty() {
            self.rows.resize(2 * self.width, 0);
        }
        let (low, high) = (hash as u32 as usize, (hash >> 32) as usize);
        let places = [low % self.width, self.width + high % self.width];
        let [one, other] = places.map(|place| self.rows[place]);
        let full_at = rate.take(one.min(other), now)?;
        Some(Token { places, full_at })
    }

    /// Takes `token`.
    pub(super) fn take(&mut self, token: Token) {
        for place in token.places {
            self.rows[place] = self.rows[place].max(token.full_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn taken(table: &mut RateTable, hash: u64, rate: Rate, now: u64, count: usize) -> usize {
        let take = |_: &usize| {
            let token = table.token(hash, rate, now);
            token.map(|token| table.take(token)).is_some()
        };
        (0..count).filter(take).count()
    }

    #[test]
    fn key_gets_a_burst_and_then_its_rate() {
        for rate in [1, 3, 1000, 50_000] {
            let mut table = RateTable::new(8);
            let (burst, limit) = (rate as usize, Rate::per_second(rate));
            let mut get = |now| taken(&mut table, 7, limit, now, 2 * burst + 2);
            assert_eq!(get(0), burst, "{rate}");
            assert_eq!(get(1_000 * MS), burst, "{rate}, a second later");
            let half = get(1_500 * MS);
            assert!(half.abs_diff(burst / 2) <= 1, "{half} at {rate}");
            assert_eq!(
                get(1_000_000 * MS),
                burst,
                "{rate}, never more than a burst"
            );
        }
        let fastest = Rate::per_second(u32::MAX);
        assert_eq!(fastest.take(0, 0), Some(1));
    }

    #[test]
    fn token_that_is_not_taken_stays() {
        let (mut table, rate) = (RateTable::new(8), Rate::per_second(1));
        assert!(table.token(7, rate, 0).is_some());
        assert!(table.token(7, rate, 0).is_some());
        assert_eq!(taken(&mut table, 7, rate, 0, 2), 1);
    }

    /// In a table that is far too small, every key shares its buckets.
    #[test]
    fn no_key_gets_more_than_its_rate_however_many_there_are() {
        let (mut table, rate) = (RateTable::new(16), Rate::per_second(100));
        let mut of_each = [0; 1000];
        for step in 0..2000_u64 {
            for key in 0..1000_u64 {
                let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let asked = (step + key) % 7 == 0;
                let count = if asked { 5 } else { 0 };
                of_each[key as usize] += taken(&mut table, hash, rate, step * MS, count);
            }
        }
        // A burst, and what two seconds refill.
        let most = of_each.iter().max().unwrap();
        assert!(*most <= 300, "{most}");
        let sum: usize = of_each.iter().sum();
        assert!(sum >= 16 * 300, "{sum}: each bucket gives what it has");
    }

    #[test]
    fn key_that_shares_one_bucket_only_has_its_own_rate() {
        let (mut table, rate) = (RateTable::new(16), Rate::per_second(100));
        let (one, other) = (0x0000_0001_0000_0005, 0x0000_0002_0000_0005);
        assert_eq!(taken(&mut table, one, rate, 0, 200), 100);
        assert_eq!(taken(&mut table, other, rate, 0, 1), 1);
        assert_eq!(
            taken(&mut table, one, rate, 0, 200),
            0,
            "the other gives it nothing"
        );
        assert_eq!(taken(&mut table, other, rate, 0, 200), 99);
    }
}
