//! When a SIGTERM came last. timeout(1) sends one to the program and one to its process group, which
//! contains the program: they are one request to stop.

use std::time::{Duration, Instant};

use signal_hook::consts::SIGTERM;

/// A second SIGTERM counts only so long after the first. Shorter than it takes to start kill(1).
pub(crate) const AGAIN: Duration = Duration::from_micros(500);

/// The same for a thread, which may run late.
pub(crate) const AGAIN_LATE: Duration = Duration::from_millis(50);

/// When the last SIGTERM came that counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastTerm(Option<Instant>);

impl LastTerm {
    /// No SIGTERM has come.
    pub(crate) const NONE: Self = Self(None);

    /// Whether `signal`, received `now`, is a SIGTERM less than `again` after the last one that counts.
    /// Any other SIGTERM counts.
    pub(crate) fn is_repeated_by(&mut self, signal: i32, now: Instant, again: Duration) -> bool {
        if signal != SIGTERM {
            return false;
        }
        let is_repeated = self.0.is_some_and(|last| now < last + again);
        if !is_repeated {
            self.0 = Some(now);
        }
        is_repeated
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::SIGINT;

    use super::*;

    #[test]
    fn sigterm_that_follows_another_at_once_does_not_count() {
        let start = Instant::now();
        let mut last = LastTerm::NONE;
        let mut is_repeated = |signal, micros| {
            let now = start + Duration::from_micros(micros);
            last.is_repeated_by(signal, now, AGAIN)
        };
        assert!(!is_repeated(SIGTERM, 0));
        assert!(is_repeated(SIGTERM, 100));
        assert!(is_repeated(SIGTERM, 499));
        assert!(!is_repeated(SIGINT, 499));
        assert!(!is_repeated(SIGTERM, 500));
        assert!(is_repeated(SIGTERM, 999));
        assert!(!is_repeated(SIGTERM, 1_000));
    }
}
