//! How much the times of replies vary.

/// The smoothed difference between the times of one reply and the next, in nanoseconds (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Jitter {
    last: Option<u64>,
    smoothed: f64,
}

impl Jitter {
    /// A reply took `time` nanoseconds.
    pub(crate) fn add(&mut self, time: u64) {
        if let Some(last) = self.last.replace(time) {
            self.smoothed += (time.abs_diff(last) as f64 - self.smoothed) / 16.0;
        }
    }

    pub(crate) const fn get(&self) -> f64 {
        self.smoothed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_have_no_jitter_and_a_difference_counts_for_a_sixteenth() {
        let mut jitter = Jitter::default();
        (0..3).for_each(|_| jitter.add(500));
        assert!(jitter.get().abs() < f64::EPSILON);
        jitter.add(660);
        assert!((jitter.get() - 10.0).abs() < 1e-9);
        jitter.add(660);
        assert!((jitter.get() - 9.375).abs() < 1e-9);
    }
}
