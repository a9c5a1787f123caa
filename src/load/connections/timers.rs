//! What a load has to do at a certain time, whatever events come.

use std::time::Instant;

use crate::reactor::{Deadlines, Key};

/// How many timers a connection may have, expired ones included; and how many there may be in any case. With more, those
/// whose connection is gone are dropped: connections that come and go must not pile them up.
const TIMERS_PER_CONNECTION: usize = 8;
const TIMERS_MIN: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Timer {
    /// A connection is to be served: its next message is due, or `--churn` ends it.
    Due(Key),
    /// A message in flight may have reached its time limit.
    Expiry(Key),
    /// The time limit of an attempt to connect.
    Connect(Key),
    /// The time limit of a greeting.
    Greeting(Key),
    /// The connection of this number may be tried again.
    Retry(usize),
    /// Another connection may be opened.
    Open,
    /// An interval has ended.
    Interval,
}

/// The timers of a load.
#[derive(Debug)]
pub(crate) struct Timers {
    deadlines: Deadlines<Timer>,
}

impl Timers {
    /// None, of a load that begins at `start`.
    pub(crate) const fn new(start: Instant) -> Self {
        Self {
            deadlines: Deadlines::new(start),
        }
    }

    pub(crate) fn arm(&mut self, at: Instant, timer: Timer) {
        self.deadlines.arm(at, timer);
    }

    /// Has the current interval end at `at`.
    pub(crate) fn restart_interval(&mut self, at: Instant) {
        self.deadlines
            .retain(|timer| !matches!(timer, Timer::Interval));
        self.deadlines.arm(at, Timer::Interval);
    }

    /// Takes one that is due at `now`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Timer> {
        self.deadlines.expire(now)
    }

    /// When the first is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Once there are many for `connections` connections, drops those of which `is_needed` says that they do nothing any more.
    pub(crate) fn prune(&mut self, connections: usize, is_needed: impl FnMut(&Timer) -> bool) {
        if self.deadlines.len() > TIMERS_MIN + TIMERS_PER_CONNECTION * connections {
            self.deadlines.retain(is_needed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::reactor::Token;

    /// Connections that come and go leave their timers behind until those are due.
    #[test]
    fn timers_of_closed_connections_are_dropped_once_they_pile_up() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let gone = |number: usize| Key::from_token(Token(number)).unwrap();
        let far = start + Duration::from_secs(3600);
        timers.arm(far, Timer::Interval);
        timers.arm(far, Timer::Retry(0));
        for number in 0..100_000 {
            for timer in [Timer::Connect, Timer::Expiry, Timer::Due] {
                timers.arm(far, timer(gone(number)));
            }
            timers.prune(0, |timer| {
                matches!(timer, Timer::Interval | Timer::Retry(_))
            });
            assert!(timers.deadlines.len() <= TIMERS_MIN + 3);
        }
        let mut left = 0;
        while let Some(timer) = timers.expire(far) {
            left += usize::from(matches!(timer, Timer::Interval | Timer::Retry(0)));
        }
        assert_eq!(left, 2);
    }
}
