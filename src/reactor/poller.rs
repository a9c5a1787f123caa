//! What a loop waits by, and the loop.

use std::io;
use std::time::{Duration, Instant};

use mio::Registry;

use super::sleep::Sleeper;
use super::{Event, Handler, Next};
use crate::probe::Turns;

/// What a loop waits by: the system's poll and clock, or a model of both.
pub(crate) trait Poller {
    /// What time it is.
    fn now(&self) -> Instant;

    /// Where sources are registered.
    fn registry(&self) -> &Registry;

    /// Waits for events, at most `timeout` from `now` on.
    ///
    /// # Errors
    ///
    /// `Interrupted` when a signal has ended the wait; any other is the end of the loop.
    fn wait(&mut self, now: Instant, timeout: Option<Duration>) -> io::Result<()>;

    /// Hands `ready` each event that the last wait has brought, and returns how many that were.
    fn tell(&self, ready: impl FnMut(&Event)) -> usize;

    /// How many events a wait can bring.
    fn capacity(&self) -> usize;
}

/// The longest sleep where a wake-up can be lost: mio's `poll(2)` forgets one that comes from another thread while this one
/// registers or drops a source (`modify_fds` in its `selector/poll.rs` resets the notification of both).
const UNSURE: Option<Duration> = if cfg!(mio_unsupported_force_poll_poll) {
    Some(Duration::from_secs(1))
} else {
    None
};

/// The system's.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) poll: mio::Poll,
    pub(super) events: mio::Events,
    pub(super) sleeper: Sleeper,
}

impl Poller for Poll {
    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[inline]
    fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    #[inline]
    fn wait(&mut self, now: Instant, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = match UNSURE {
            None => timeout,
            Some(most) => Some(timeout.map_or(most, |timeout| timeout.min(most))),
        };
        self.sleeper
            .sleep(&mut self.poll, &mut self.events, now, timeout)
    }

    #[inline]
    fn tell(&self, mut ready: impl FnMut(&Event)) -> usize {
        let mut count = 0;
        for event in &self.events {
            count += 1;
            ready(&event.into());
        }
        count
    }

    #[inline]
    fn capacity(&self) -> usize {
        self.events.capacity()
    }
}

/// How many polls may follow one another when each is full. With 512 events each they bring one event
/// of every socket of a process with 32,768 descriptors.
const BATCHES_MAX: usize = 64;

/// The loop. Ends when `handler` says stop, or with the error of a wait.
///
/// # More events than one poll can bring
///
/// If work is left over, a full poll is followed by another, so that the handler gets all pending
/// events before its next turn. Otherwise a client with one byte would be found only after the work
/// of all clients whose events the kernel has queued before.
#[inline]
pub(crate) fn drive(
    poller: &mut impl Poller,
    turns: &mut Turns,
    handler: &mut impl Handler,
) -> io::Result<()> {
    loop {
        let now = poller.now();
        let Next::Wait(timeout) = handler.turn(poller.registry(), now) else {
            return Ok(());
        };
        turns.count += 1;
        match poller.wait(now, timeout) {
            // The next turn computes its timeout afresh, so waking early is harmless.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                turns.interrupted += 1;
                continue;
            }
            outcome => outcome?,
        }
        let mut batches = 1;
        while poll_is_full(poller, turns, handler)
            && timeout == Some(Duration::ZERO)
            && batches < BATCHES_MAX
        {
            batches += 1;
            match poller.wait(now, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    turns.interrupted += 1;
                    break;
                }
                outcome => outcome?,
            }
        }
    }
}

/// Hands over the events of one poll. Returns whether there may be more.
#[inline]
fn poll_is_full(poller: &impl Poller, turns: &mut Turns, handler: &mut impl Handler) -> bool {
    let count = poller.tell(|event| handler.ready(event));
    let is_full = count == poller.capacity();
    turns.events += count as u64;
    turns.full_batches += u64::from(is_full);
    is_full
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use mio::Token;

    use super::*;
    use crate::connection::Readiness;
    use crate::reactor::Reactor;

    /// Waits that end as they are told to: with that many events, or an error.
    struct Script {
        poll: mio::Poll,
        ends: Vec<Result<usize, ErrorKind>>,
        brought: usize,
    }

    impl Poller for Script {
        fn now(&self) -> Instant {
            Instant::now()
        }

        fn registry(&self) -> &Registry {
            self.poll.registry()
        }

        fn wait(&mut self, _: Instant, _: Option<Duration>) -> io::Result<()> {
            self.brought = self.ends.remove(0)?;
            Ok(())
        }

        fn tell(&self, mut ready: impl FnMut(&Event)) -> usize {
            for _ in 0..self.brought {
                ready(&Event::new(Token(0), Readiness::of(true, true)));
            }
            self.brought
        }

        fn capacity(&self) -> usize {
            4
        }
    }

    /// Stops after some turns.
    struct Turning {
        left: usize,
        events: usize,
        wait: Option<Duration>,
    }

    impl Handler for Turning {
        fn ready(&mut self, _: &Event) {
            self.events += 1;
        }

        fn turn(&mut self, _: &Registry, _: Instant) -> Next {
            match self.left.checked_sub(1) {
                Some(left) => self.left = left,
                None => return Next::Stop,
            }
            Next::Wait(self.wait)
        }
    }

    fn drive_through(
        ends: &[Result<usize, ErrorKind>],
        turns: usize,
        wait: Option<Duration>,
    ) -> (io::Result<()>, Turns, usize) {
        let mut poller = Script {
            poll: mio::Poll::new().unwrap(),
            ends: ends.to_vec(),
            brought: 0,
        };
        let mut turning = Turning {
            left: turns,
            events: 0,
            wait,
        };
        let mut counted = Turns::default();
        let end = drive(&mut poller, &mut counted, &mut turning);
        (end, counted, turning.events)
    }

    #[test]
    fn every_turn_event_full_batch_and_interruption_is_counted() {
        let interrupted = Err(ErrorKind::Interrupted);
        let ends = [Ok(3), Ok(4), interrupted, Ok(0), interrupted, Ok(4)];
        let (end, counted, events) = drive_through(&ends, ends.len(), None);
        end.unwrap();
        assert_eq!(events, 11);
        let expected = Turns {
            count: 6,
            events: 11,
            full_batches: 2,
            interrupted: 2,
        };
        assert_eq!(counted, expected);
    }

    #[test]
    fn handler_with_work_left_over_gets_all_events_before_its_next_turn() {
        let interrupted = Err(ErrorKind::Interrupted);
        let many = vec![Ok(4); BATCHES_MAX];
        for (ends, turns) in [
            (&[Ok(4), Ok(4), Ok(1)][..], 1),
            (&[Ok(4), Ok(0), Ok(2)], 2),
            (&[Ok(4), interrupted, Ok(3)], 2),
            (&many, 1),
        ] {
            let (end, counted, events) = drive_through(ends, turns, Some(Duration::ZERO));
            end.unwrap();
            let interrupted = ends.iter().filter(|end| end.is_err()).count();
            assert_eq!(counted.interrupted, interrupted as u64);
            let all: usize = ends.iter().filter_map(|end| end.ok()).sum();
            assert_eq!(events, all, "{ends:?}");
        }
    }

    #[test]
    fn a_wait_that_fails_is_the_end_of_the_loop() {
        let (end, counted, events) = drive_through(&[Ok(1), Err(ErrorKind::InvalidInput)], 9, None);
        assert_eq!(end.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!((counted.count, counted.interrupted, events), (2, 0, 1));
    }

    #[test]
    fn a_poll_is_full_when_it_has_brought_as_many_events_as_it_can() {
        for (capacity, full) in [(2, 1), (3, 0)] {
            let mut reactor = Reactor::with_events(capacity).unwrap();
            // Both are ready to be written to.
            let mut sockets: [mio::net::UdpSocket; 2] =
                std::array::from_fn(|_| "127.0.0.1:0".parse().unwrap())
                    .map(|address| mio::net::UdpSocket::bind(address).unwrap());
            for socket in &mut sockets {
                let (registry, token) = (reactor.registry(), crate::reactor::EXTERNAL);
                registry
                    .register(socket, token, mio::Interest::WRITABLE)
                    .unwrap();
            }
            let mut turning = Turning {
                left: 1,
                events: 0,
                wait: None,
            };
            reactor.run(&mut turning).unwrap();
            assert_eq!(turning.events, 2);
            assert_eq!(reactor.turns().full_batches, full);
        }
    }
}
