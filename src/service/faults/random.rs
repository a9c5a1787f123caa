//! Chance that can be had again.

use std::time::Duration;

/// Splitmix64: small, and the same everywhere. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// What follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits, each as likely 0 as 1.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to below 1, every one as likely.
    pub const fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        ((self.bits() as u128 * limit as u128) >> 64) as u64
    }

    /// A time of this `mean`, exponentially distributed: at most 37 times the mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        // Of 1 less the number, which is never 0.
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator's published values: a seed means the same in every version.
    #[test]
    fn a_seed_is_for_ever() {
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_are_spread_evenly_from_0_to_below_1() {
        let mut random = Random::new(1);
        let mut tenths = [0; 10];
        for _ in 0..100_000 {
            tenths[(random.unit() * 10.0) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|count| (9_700..10_300).contains(count)),
            "{tenths:?}"
        );
    }

    /// Of an exponential distribution the median is ln 2 of the mean, and one in e^5 is above 5 of it.
    #[test]
    fn times_are_exponentially_distributed() {
        let (mut random, mean) = (Random::new(1), Duration::from_millis(2));
        let mut times: Vec<_> = (0..10_000).map(|_| random.exponential(mean)).collect();
        times.sort_unstable();
        let sum: Duration = times.iter().sum();
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.05;
        assert!(near((sum / 10_000).as_secs_f64(), 0.002), "{sum:?}");
        assert!(
            near(times[5_000].as_secs_f64(), 0.002 * 2.0f64.ln()),
            "{:?}",
            times[5_000]
        );
        let long = times.iter().filter(|&&time| time > mean * 5).count();
        assert!((50..85).contains(&long), "{long}");
    }
}
