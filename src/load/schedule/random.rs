//! Randomness that can be replayed, in the shapes a load needs it in.

pub(crate) use crate::service::Random;

/// A time between two arrivals of which there is one a unit of time on average.
pub(crate) fn exponential(random: &mut Random) -> f64 {
    -(1.0 - random.unit()).ln()
}

/// Scatters the bits of a number: two that are near each other become two that have nothing in common.
pub(crate) const fn mix(number: u64) -> u64 {
    Random::new(number).bits()
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
        let times: Vec<f64> = (0..100_000).map(|_| exponential(&mut random)).collect();
        let mean = times.iter().sum::<f64>() / 1e5;
        let beyond = times.iter().filter(|&&time| time > 3.0).count() as f64 / 1e5;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
        assert!((beyond - (-3.0f64).exp()).abs() < 0.003, "{beyond}");
    }
}
