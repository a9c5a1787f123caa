//! Which datagrams of a flow have been answered: exactly, in constant memory.

use crate::load::plan::Plan;

/// More datagrams a second than one client can send in a closed loop, where nobody says how many.
const RATE_MAX: f64 = 500_000.0;

/// How many numbers all flows may know together, a bit for each: 8 MiB.
const NUMBERS_MAX: usize = 1 << 26;

/// The fewest numbers that a window knows.
const WIDTH_MIN: usize = 4096;

/// The most.
const WIDTH_MAX: usize = 1 << 22;

/// The numbers of a flow that were seen last, a bit for each.
///
/// Exact for everything that is not more than its width behind the highest number seen.
#[derive(Clone, Debug)]
pub(crate) struct SequenceWindow {
    bits: Box<[u64]>,
    /// One more than the highest number seen.
    end: u64,
}

/// What the number of an answer says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is the highest so far.
    InOrder,
    /// It was overtaken by so many numbers' worth (RFC 4737).
    Reordered(u64),
    /// It has come before.
    Duplicate,
    /// It is so far behind the highest that whether it has come before is not known any more.
    TooOld(u64),
}

impl SequenceWindow {
    /// A window for a flow of `plan`: for twice as many as can be on their way at once, within reason.
    pub(crate) fn of(plan: &Plan) -> Self {
        let rate = plan
            .rate
            .as_ref()
            .map_or(RATE_MAX, |profile| profile.peak());
        let in_flight = rate * plan.timeout.as_secs_f64() / plan.connections as f64;
        let numbers = (in_flight as usize + plan.pipeline).saturating_mul(2);
        Self::new(numbers.min(NUMBERS_MAX / plan.connections))
    }

    /// A window that knows at least `numbers`, within reason.
    pub(crate) fn new(numbers: usize) -> Self {
        let width = numbers.clamp(WIDTH_MIN, WIDTH_MAX).next_power_of_two();
        Self {
            bits: vec![0; width / 64].into_boxed_slice(),
            end: 0,
        }
    }

    /// An answer of this number has come.
    pub(crate) fn see(&mut self, number: u64) -> Seen {
        if number >= self.end {
            self.advance(number + 1);
            self.set(number);
            return Seen::InOrder;
        }
        let behind = self.end - 1 - number;
        if behind >= self.width() {
            return Seen::TooOld(behind);
        }
        if self.is_set(number) {
            return Seen::Duplicate;
        }
        self.set(number);
        Seen::Reordered(behind)
    }

    /// Forgets what falls out, up to a new end.
    fn advance(&mut self, end: u64) {
        if end - self.end >= self.width() {
            self.bits.fill(0);
        } else {
            for number in self.end..end {
                let (word, bit) = self.at(number);
                self.bits[word] &= !bit;
            }
        }
        self.end = end;
    }

    fn width(&self) -> u64 {
        self.bits.len() as u64 * 64
    }

    fn at(&self, number: u64) -> (usize, u64) {
        let place = number % self.width();
        ((place / 64) as usize, 1 << (place % 64))
    }

    fn set(&mut self, number: u64) {
        let (word, bit) = self.at(number);
        self.bits[word] |= bit;
    }

    fn is_set(&self, number: u64) -> bool {
        let (word, bit) = self.at(number);
        self.bits[word] & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::load::schedule::random::Random;

    /// Any order, with losses and duplicates, against a set that remembers everything.
    #[test]
    fn a_window_agrees_with_a_memory_without_end() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut next: u64 = 0;
            let numbers = (0..5_000).map(|_| match random.below(10) {
                0..=5 => {
                    next += 1 + random.below(3);
                    next
                }
                6..=8 => next.saturating_sub(random.below(300)),
                _ => next.saturating_sub(random.below(9_000)),
            });
            assert_agrees(numbers);
        }
    }

    fn assert_agrees(numbers: impl Iterator<Item = u64>) {
        let (mut window, mut seen, mut highest) = (SequenceWindow::new(0), HashSet::new(), None);
        for number in numbers {
            let behind = highest.map_or(0, |highest: u64| highest.saturating_sub(number));
            let expected = match highest {
                Some(highest) if number <= highest => {
                    if behind >= WIDTH_MIN as u64 {
                        Seen::TooOld(behind)
                    } else if seen.contains(&number) {
                        Seen::Duplicate
                    } else {
                        Seen::Reordered(behind)
                    }
                }
                _ => Seen::InOrder,
            };
            assert_eq!(window.see(number), expected, "{number}");
            if !matches!(expected, Seen::TooOld(_)) {
                seen.insert(number);
            }
            highest = highest.max(Some(number));
        }
    }

    proptest::proptest! {
        /// Leaps of any length, forwards and back.
        #[test]
        fn a_window_agrees_whatever_is_leapt_over(leaps in proptest::collection::vec((0..20_000i64, 0..14u32), 0..300)) {
            let mut next: i64 = 0;
            assert_agrees(leaps.into_iter().map(|(leap, shift)| {
                next = (next + (leap >> shift) - (9_000 >> shift)).max(0);
                next as u64
            }));
        }
    }

    #[test]
    fn a_leap_beyond_the_window_forgets_everything_in_it() {
        let mut window = SequenceWindow::new(0);
        assert_eq!(window.see(5), Seen::InOrder);
        assert_eq!(window.see(5 + 4096), Seen::InOrder);
        assert_eq!(window.see(6), Seen::Reordered(4095));
        assert_eq!(window.see(5), Seen::TooOld(4096));
        assert_eq!(window.see(1 << 40), Seen::InOrder);
        assert_eq!(window.see((1 << 40) - 1), Seen::Reordered(1));
    }
}
