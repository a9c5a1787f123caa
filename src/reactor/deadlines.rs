//! Every timer of a loop, in one place.
//!
//! Holds no clock: `now` is an argument, so tests own the time.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Stamp;

/// Timers ordered by when they are due.
///
/// A timer can't be taken back. Whoever is called judges, with the time and state of that moment,
/// whether it is still meant, and arms a new one if it is too early: a timer for a connection that is
/// active all the time costs nothing while it is active. A timer whose owner is gone holds a stale
/// [`Key`](super::Key), which finds nothing.
#[derive(Debug)]
pub struct Deadlines<T> {
    start: Instant,
    heap: BinaryHeap<Reverse<Timer<T>>>,
}

#[derive(Debug)]
struct Timer<T> {
    at: Stamp,
    what: T,
}

impl<T> Deadlines<T> {
    /// No timers, in a loop that begins at `start`. Nothing is due before.
    pub const fn new(start: Instant) -> Self {
        Self {
            start,
            heap: BinaryHeap::new(),
        }
    }

    /// Arms a timer that is due from `at` on.
    pub fn arm(&mut self, at: Instant, what: T) {
        let at = Stamp::new(self.start, at);
        self.heap.push(Reverse(Timer { at, what }));
    }

    /// Drops every timer that `keep` does not want, and the memory they took. Takes time in proportion
    /// to the number of timers.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.heap.retain(|Reverse(timer)| keep(&timer.what));
        self.heap.shrink_to(self.heap.len() * 2);
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// When the first timer is due.
    pub fn next(&self) -> Option<Instant> {
        self.heap
            .peek()
            .map(|Reverse(timer)| timer.at.instant(self.start))
    }

    /// Whether a timer is due at `now`, counted from the same start.
    #[inline]
    pub fn is_due(&self, now: Stamp) -> bool {
        self.heap
            .peek()
            .is_some_and(|Reverse(timer)| timer.at <= now)
    }

    /// Takes the first timer that is due at `now`. Timers due at the same time come in any order.
    pub fn expire(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(timer)| timer.what)
    }
}

impl<T> Ord for Timer<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

impl<T> PartialOrd for Timer<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Timer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Timer<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_come_in_order_and_never_early() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        for ms in [30, 10, 20, 10] {
            deadlines.arm(at(ms), ms);
        }
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(deadlines.expire(at(9)), None);
        let mut due = Vec::new();
        while let Some(ms) = deadlines.expire(at(20)) {
            due.push(ms);
        }
        assert_eq!(due, [10, 10, 20]);
        assert_eq!(deadlines.next(), Some(at(30)));
    }

    #[test]
    fn timers_that_are_dropped_are_gone_with_their_memory() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        assert!(deadlines.is_empty());
        for number in 0..1_000u64 {
            deadlines.arm(start + Duration::from_millis(number), number);
        }
        deadlines.retain(|number| number % 100 == 7);
        assert_eq!((deadlines.len(), deadlines.is_empty()), (10, false));
        assert!((20..100).contains(&deadlines.heap.capacity()));
        let end = start + Duration::from_secs(1);
        let left: Vec<u64> = std::iter::from_fn(|| deadlines.expire(end)).collect();
        assert_eq!(left, [7, 107, 207, 307, 407, 507, 607, 707, 807, 907]);
    }

    /// Pitfall 39: the cost of timers must not grow with the number of clients.
    #[test]
    fn pitfall_39_a_hundred_thousand_timers_agree_with_a_sorted_list() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        let mut model: Vec<u64> = (0..100_000u64)
            .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40)
            .collect();
        for &us in &model {
            deadlines.arm(start + Duration::from_micros(us), us);
        }
        model.sort_unstable();
        let mut due = Vec::new();
        while let Some(next) = deadlines.next() {
            due.extend(std::iter::from_fn(|| deadlines.expire(next)));
            assert!(
                deadlines.next().is_none_or(|later| later > next),
                "a firing must advance the time"
            );
        }
        assert_eq!(due, model);
    }
}
