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

/// The loop. Ends when `handler` says stop, or with the error of a wait.
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
        let count = poller.tell(|event| handler.ready(event));
        turns.events += count as u64;
        turns.full_batches += u64::from(count == poller.capacity());
    }
}
