//! When messages are due: a rate over time, and its inverse.
//!
//! Computed, not accumulated: message number `k` of a load has one due time, whatever has happened before.
//! Holds no clock.

use std::time::Duration;

/// A total rate of messages over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Invariant: not empty, and the last one has no end.
    steps: Vec<Step>,
}

/// A stretch of time in which the rate is the same, or changes evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    /// Seconds since the beginning.
    start: f64,
    /// How many messages are due before it begins.
    before: f64,
    /// Messages a second at its beginning.
    rate: f64,
    /// By how much that grows in a second.
    slope: f64,
    /// How long it lasts, in seconds: infinite for the last.
    length: f64,
}

impl Step {
    /// How many messages are due in its first `seconds`.
    fn count(&self, seconds: f64) -> f64 {
        self.rate * seconds + self.slope * seconds * seconds / 2.0
    }

    /// The time at which its `count`th message is due.
    fn seconds(&self, count: f64) -> f64 {
        if count <= 0.0 {
            return 0.0;
        }
        if self.slope == 0.0 {
            return count / self.rate;
        }
        // The root of the quadratic that stays exact as the slope goes to nothing.
        let root = (self.rate * self.rate + 2.0 * self.slope * count).max(0.0);
        2.0 * count / (self.rate + root.sqrt())
    }
}

impl Profile {
    /// The same rate for ever.
    pub fn constant(rate: f64) -> Self {
        Self::of([(rate, 0.0, f64::INFINITY)])
    }

    /// From one rate to another, evenly over `time`; then it stays.
    pub fn ramp(from: f64, to: f64, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        Self::of([
            (from, (to - from) / seconds, seconds),
            (to, 0.0, f64::INFINITY),
        ])
    }

    /// One rate after the other, each for its time; the last one stays.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn steps(steps: &[(f64, Duration)]) -> Self {
        let last = steps.last().expect("at least one step").0;
        let steps = steps
            .iter()
            .map(|&(rate, time)| (rate, 0.0, time.as_secs_f64()));
        Self::of(steps.chain([(last, 0.0, f64::INFINITY)]))
    }

    fn of(stretches: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let (mut start, mut before) = (0.0, 0.0);
        let steps = stretches.into_iter().map(|(rate, slope, length)| {
            let step = Step {
                start,
                before,
                rate,
                slope,
                length,
            };
            start += length;
            before += step.count(length);
            step
        });
        Self {
            steps: steps.collect(),
        }
    }

    /// The same, after its first rate has been there for `time`.
    pub(crate) fn preceded_by(&self, time: Duration) -> Self {
        if time.is_zero() {
            return self.clone();
        }
        let first = (self.steps[0].rate, 0.0, time.as_secs_f64());
        let steps = self.steps.iter();
        let rest = steps.map(|step| (step.rate, step.slope, step.length));
        Self::of(std::iter::once(first).chain(rest))
    }

    /// How many messages are due in the first `seconds`.
    pub fn count(&self, seconds: f64) -> f64 {
        let step = self.find(|step| step.start <= seconds);
        step.before + step.count(seconds - step.start)
    }

    /// When message number `count` is due, in seconds. It need not be a whole number.
    pub fn due(&self, count: f64) -> f64 {
        let step = self.find(|step| step.before <= count);
        step.start + step.seconds(count - step.before)
    }

    /// Messages a second at a time.
    pub fn rate_at(&self, seconds: f64) -> f64 {
        let step = self.find(|step| step.start <= seconds);
        step.rate + step.slope * (seconds - step.start)
    }

    /// The most messages there are in a second.
    pub fn peak(&self) -> f64 {
        let rates = self.steps.iter().map(|step| {
            let end = if step.length.is_finite() {
                step.rate + step.slope * step.length
            } else {
                step.rate
            };
            step.rate.max(end)
        });
        rates.fold(0.0, f64::max)
    }

    /// The fewest messages there are in a second, without times of none.
    pub fn lowest(&self) -> f64 {
        let rates = self.steps.iter().flat_map(|step| {
            let end = if step.length.is_finite() {
                step.rate + step.slope * step.length
            } else {
                step.rate
            };
            [step.rate, end]
        });
        rates
            .filter(|rate| *rate > 0.0)
            .fold(f64::INFINITY, f64::min)
    }

    /// The last step that is not `later`.
    fn find(&self, begun: impl Fn(&Step) -> bool) -> &Step {
        let mut steps = self.steps.iter().rev();
        steps.find(|step| begun(step)).unwrap_or(&self.steps[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_constant_rate_is_due_at_equal_distances() {
        let profile = Profile::constant(20_000.0);
        for k in [0, 1, 2, 12_345, 200_000_000] {
            let due = profile.due(f64::from(k));
            assert!((due - f64::from(k) * 50e-6).abs() < 1e-9, "{k}: {due}");
        }
        assert_eq!(profile.count(2.5), 50_000.0);
    }

    #[test]
    fn a_ramp_offers_its_mean_and_then_stays() {
        for (from, to) in [(0.0, 1000.0), (1000.0, 3000.0), (3000.0, 1000.0)] {
            let profile = Profile::ramp(from, to, SECOND * 10);
            assert!((profile.count(10.0) - (from + to) * 5.0).abs() < 1e-6);
            assert_eq!(profile.rate_at(20.0), to);
            assert_eq!(profile.peak(), from.max(to));
        }
    }

    #[test]
    fn steps_follow_each_other_and_the_last_one_stays() {
        let profile = Profile::steps(&[(1000.0, SECOND * 10), (2000.0, SECOND * 10)]);
        assert_eq!(profile.count(10.0), 10_000.0);
        assert_eq!(profile.count(20.0), 30_000.0);
        assert_eq!(profile.count(30.0), 50_000.0);
        assert_eq!(profile.rate_at(9.9), 1000.0);
        assert_eq!(profile.rate_at(10.0), 2000.0);
    }

    #[test]
    fn what_precedes_a_profile_has_its_first_rate_and_moves_the_rest() {
        let profile = Profile::ramp(0.0, 1000.0, SECOND * 10);
        let moved = profile.preceded_by(SECOND * 2);
        assert_eq!(moved.count(2.0), 0.0);
        assert!((moved.count(12.0) - 5000.0).abs() < 1e-6);
        assert!(moved.due(0.0) >= 2.0, "nothing is due at a rate of nothing");
        let moved = Profile::constant(100.0).preceded_by(SECOND);
        assert_eq!(moved.count(3.0), 300.0);
    }

    #[test]
    fn counting_and_due_times_are_inverse() {
        let profiles = [
            Profile::constant(333.0),
            Profile::ramp(0.0, 5000.0, SECOND * 3),
            Profile::ramp(5000.0, 10.0, SECOND * 3),
            Profile::steps(&[(10.0, SECOND), (100_000.0, SECOND), (1.0, SECOND)]),
        ];
        for profile in &profiles {
            let mut before = 0.0;
            for k in 1..20_000 {
                let count = f64::from(k) / 3.0;
                let due = profile.due(count);
                assert!(due >= before, "time goes on: {profile:?}");
                let back = profile.count(due);
                assert!((back - count).abs() < 1e-5, "{count}, {back}: {profile:?}");
                before = due;
            }
        }
    }
}
