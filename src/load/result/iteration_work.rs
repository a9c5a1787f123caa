//! What the current loop iteration does.

/// Counts of the current loop iteration, and how many system calls the one before made.
#[derive(Debug, Default)]
pub(crate) struct IterationWork {
    /// Events that came.
    pub(crate) events: u64,
    /// Attempts to connect, which are calls as well.
    pub(crate) attempts: u64,
    /// Reads and writes of all iterations before.
    calls_before: u64,
    /// System calls of the iteration before.
    last_calls: u64,
}

impl IterationWork {
    /// The iteration ends, and `calls` reads and writes were made so far. Returns how many events it had.
    pub(crate) fn end(&mut self, calls: u64) -> u64 {
        let moved = calls.saturating_sub(self.calls_before);
        self.last_calls = moved + std::mem::take(&mut self.attempts);
        self.calls_before = calls;
        std::mem::take(&mut self.events)
    }

    /// The counts of reads and writes begin again: `calls` were made so far.
    pub(crate) fn restart(&mut self, calls: u64) {
        // Those of this iteration still belong to it.
        self.attempts += calls.saturating_sub(self.calls_before);
        self.calls_before = 0;
    }

    /// System calls of the iteration before.
    pub(crate) const fn last_calls(&self) -> u64 {
        self.last_calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_iteration_counts_its_own_calls_and_events() {
        let mut work = IterationWork::default();
        (work.events, work.attempts) = (2, 1);
        assert_eq!(work.end(10), 2);
        assert_eq!(work.last_calls(), 11);
        assert_eq!(work.end(13), 0);
        assert_eq!(work.last_calls(), 3);
        work.restart(20);
        assert_eq!(work.end(2), 0);
        assert_eq!(work.last_calls(), 7 + 2, "calls before the restart count");
        assert_eq!(work.end(5), 0);
        assert_eq!(work.last_calls(), 3);
    }
}
