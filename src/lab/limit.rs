//! When an experiment ends, whatever happens.

use std::io;
use std::time::{Duration, Instant};

use crate::reactor::{Event, Handler, Next, Reactor, Registry};

/// The longest an experiment may take.
pub const TIME_MAX: Duration = Duration::from_secs(5);

/// What is left of the time of an experiment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    end: Instant,
}

impl Limit {
    /// For an experiment that began at `start`.
    pub(super) fn from(start: Instant) -> Self {
        Self {
            end: start + TIME_MAX,
        }
    }

    /// How much time is left.
    ///
    /// # Errors
    ///
    /// `TimedOut` if there is none.
    pub(super) fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    /// Runs `handler` until it says stop.
    ///
    /// # Errors
    ///
    /// `TimedOut` if it does not in time; those of the poll.
    pub(super) fn run(&self, reactor: &mut Reactor, handler: &mut impl Handler) -> io::Result<()> {
        let mut watched = Watched {
            handler,
            end: self.end,
            barked: false,
        };
        reactor.run(&mut watched)?;
        if watched.barked {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

/// A handler with a watchdog, which stops the loop at the end of its time.
struct Watched<'a, H> {
    handler: &'a mut H,
    end: Instant,
    barked: bool,
}

impl<H: Handler> Handler for Watched<'_, H> {
    #[inline]
    fn ready(&mut self, event: &Event) {
        self.handler.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        let left = self.end.saturating_duration_since(now);
        if left.is_zero() {
            self.barked = true;
            return Next::Stop;
        }
        match self.handler.turn(registry, now) {
            Next::Stop => Next::Stop,
            Next::Wait(timeout) => Next::Wait(Some(timeout.map_or(left, |t| t.min(left)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for what never comes, or never gets to waiting.
    struct Endless(Option<Duration>);

    impl Handler for Endless {
        fn ready(&mut self, _: &Event) {}

        fn turn(&mut self, _: &Registry, _: Instant) -> Next {
            Next::Wait(self.0)
        }
    }

    #[test]
    fn a_loop_that_does_not_end_is_ended() {
        for timeout in [None, Some(Duration::ZERO)] {
            let limit = Limit {
                end: Instant::now() + Duration::from_millis(20),
            };
            let mut reactor = Reactor::new().unwrap();
            let ended = limit.run(&mut reactor, &mut Endless(timeout));
            assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(limit.left().is_err(), "not before its time");
        }
    }
}
