//! Messages in flight: one owner of their number, and a check of it.

use crate::load::time::elapsed;

/// How much the two sides of Little's law may differ, as a part of the larger, and in nanoseconds.
const TOLERANCE: f64 = 0.01;
const TOLERANCE_NS: f64 = 1_000.0;

/// How many messages are in flight. Checks itself by Little's law: the integral of this number over time is the sum of
/// the times that messages were in flight (John Little, "A Proof for the Queuing Formula: L = λW", 1961). A message that
/// is counted twice, or never leaves, breaks it.
///
/// Once nothing is in flight any more, the integral is the sum of the times at which the number fell, less those at
/// which it rose: so two sums are kept, and no product.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InFlightCount {
    count: u64,
    /// In nanoseconds. They wrap; their difference, and the sum below, do not in any run.
    entered: u64,
    left: u64,
    residence: u64,
    /// More messages have left than were there.
    underflow: bool,
}

impl InFlightCount {
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// One more is in flight from `now` on.
    #[inline]
    pub(crate) const fn enter(&mut self, now: u64) {
        self.count += 1;
        self.entered = self.entered.wrapping_add(now);
    }

    /// One less is in flight from `now` on, which was sent at `sent`.
    #[inline]
    pub(crate) const fn leave(&mut self, sent: u64, now: u64) {
        self.underflow |= self.count == 0;
        self.count = self.count.saturating_sub(1);
        self.left = self.left.wrapping_add(now);
        self.residence = self.residence.wrapping_add(elapsed(sent, now));
    }

    /// Whether the law holds, once nothing is in flight any more.
    ///
    /// # Errors
    ///
    /// Both sides, in words.
    pub(crate) fn check(&self) -> Result<(), String> {
        let integral = self.left.wrapping_sub(self.entered) as f64;
        let residence = self.residence as f64;
        let limit = TOLERANCE * integral.max(residence) + TOLERANCE_NS;
        if self.count == 0 && !self.underflow && (integral - residence).abs() <= limit {
            return Ok(());
        }
        Err(format!(
            "messages were in flight for {integral} ns by their number and for {residence} ns by their times, and {} \
             are left",
            self.count
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_enter_and_leave_once_agree_with_the_law() {
        let mut count = InFlightCount::default();
        for sent in [100, 200, 400] {
            count.enter(sent * 1_000);
        }
        for (sent, now) in [(200, 500), (100, 700), (400, 900)] {
            count.leave(sent * 1_000, now * 1_000);
        }
        assert_eq!(count.check(), Ok(()));
    }

    #[test]
    fn a_message_that_leaves_twice_or_never_is_found() {
        let times = |leaves: &[u64]| {
            let mut count = InFlightCount::default();
            (0..10).for_each(|_| count.enter(0));
            leaves
                .iter()
                .for_each(|&now| count.leave(0, now * 1_000_000));
            count.check()
        };
        assert!(times(&[1; 10]).is_ok());
        assert!(times(&[1; 9]).is_err(), "one never leaves");
        assert!(times(&[1; 11]).is_err(), "one leaves twice");
    }

    #[test]
    fn a_wrong_time_is_found() {
        let mut count = InFlightCount::default();
        count.enter(1_000_000);
        count.leave(0, 2_000_000);
        assert!(count.check().is_err());
    }
}
