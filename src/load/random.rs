//! Randomness that can be replayed.

/// Splitmix64 (Steele, Lea and Flood, 2014): small, and the same everywhere. Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of `seed`. Streams of different seeds have nothing in common that shows.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `limit`, which is not 0.
    pub(super) const fn below(&mut self, limit: u64) -> u64 {
        ((self.next() as u128 * limit as u128) >> 64) as u64
    }

    /// A number from 0 up to, and never, 1.
    pub(super) const fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A time between two arrivals of which there is one a unit of time on average.
    pub(super) fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }
}

/// Scatters the bits of a number.
pub(super) const fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly_and_exponential_times_have_their_mean_and_tail() {
        let mut random = Random::new(7);
        let mut counts = [0; 10];
        for _ in 0..100_000 {
            counts[random.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)));
        let times: Vec<f64> = (0..100_000).map(|_| random.exponential()).collect();
        let mean = times.iter().sum::<f64>() / 1e5;
        let beyond = times.iter().filter(|&&time| time > 3.0).count() as f64 / 1e5;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((beyond - (-3.0f64).exp()).abs() < 0.003, "{beyond}");
    }
}
