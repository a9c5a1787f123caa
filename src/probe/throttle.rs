//! A brake on log lines that a peer can cause.

use std::time::{Duration, Instant};

/// At most one line of its kind in this time.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one line through in ten seconds, and counts the others.
///
/// For lines that are written by default: nobody outside may be able to buy one for the price of a
/// packet. (Who asks for more with `-v` gets a line for each client.) Each kind of line
/// has a throttle of its own, so that a flood of one does not hide another.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    silent_until: Option<Instant>,
    suppressed: u64,
}

impl Throttle {
    /// Whether a line may be written at `now`; if so, how many of its kind were not since the last.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.silent_until.is_some_and(|until| now < until) {
            self.suppressed += 1;
            return None;
        }
        self.silent_until = Some(now + INTERVAL);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_an_interval_and_the_rest_are_counted() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.pass(start), Some(0));
        for _ in 0..5 {
            assert_eq!(throttle.pass(start + INTERVAL / 2), None);
        }
        assert_eq!(throttle.pass(start + INTERVAL), Some(5));
        assert_eq!(throttle.pass(start + INTERVAL * 2), Some(0));
    }
}
