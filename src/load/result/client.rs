//! What the load itself has cost.

use std::time::Duration;

use crate::probe::Turns;

/// What the load itself has cost, while it was measured.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// How long it was at work.
    pub busy: Duration,
    /// How long it waited for something to do.
    pub waiting: Duration,
    /// From the beginning of the window until its end was known: a window that ends with the last reply ended before.
    /// What follows is of this time.
    pub observed: Duration,
    /// How long its loop was late for its own timer: it was stopped, kept off the processor, or held up by a call.
    pub paused: Duration,
    /// The longest of these pauses.
    pub longest_pause: Duration,
    /// How long the thread of its loop was runnable without running, if the kernel tells.
    pub run_queue_wait: Option<Duration>,
    /// Calls of read, write and the like, that moved something or did not.
    pub reads: u64,
    /// See [`reads`](Self::reads).
    pub writes: u64,
    /// Those of them that found nothing to read or no room to write.
    pub would_block: u64,
    /// What its loop has done.
    pub turns: Turns,
}

impl Client {
    /// An iteration was at work, after waiting for its events.
    #[inline]
    pub(crate) fn add_iteration(&mut self, waiting: Duration, busy: Duration, events: u64) {
        self.busy += busy;
        self.waiting += waiting;
        self.turns.count += 1;
        self.turns.events += events;
    }

    /// The window begins. A pause that has just ended may reach into it.
    pub(crate) fn restart(&mut self) {
        let (paused, longest_pause) = (self.paused, self.longest_pause);
        *self = Self {
            paused,
            longest_pause,
            ..Self::default()
        };
    }

    pub(crate) fn add_pause(&mut self, paused: Duration) {
        self.paused += paused;
        self.longest_pause = self.longest_pause.max(paused);
    }

    /// The part of the time that it was at work, from 0 to 1.
    pub fn busy_share(&self) -> f64 {
        let all = self.busy + self.waiting;
        if all.is_zero() {
            return 0.0;
        }
        self.busy.as_secs_f64() / all.as_secs_f64()
    }
}
