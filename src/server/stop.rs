//! Stopping a server from outside its loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::reactor::Waker;

const NOTHING: u8 = 0;
const DRAIN: u8 = 1;
const ABORT: u8 = 2;

/// Stops a [`Server`](super::Server) from another thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicU8>,
    waker: Waker,
}

impl Stop {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            asked: Arc::default(),
            waker,
        }
    }

    /// Asks the server to drain: see [`Server::drain`](super::Server::drain).
    ///
    /// # Errors
    ///
    /// When the loop can't be woken.
    pub fn drain(&self) -> io::Result<()> {
        self.ask(DRAIN)
    }

    /// Asks the server to stop at once, whatever its clients are owed.
    ///
    /// # Errors
    ///
    /// When the loop can't be woken.
    pub fn abort(&self) -> io::Result<()> {
        self.ask(ABORT)
    }

    pub(super) fn wants_drain(&self) -> bool {
        self.asked.load(Ordering::Relaxed) != NOTHING
    }

    pub(super) fn wants_abort(&self) -> bool {
        self.asked.load(Ordering::Relaxed) == ABORT
    }

    fn ask(&self, what: u8) -> io::Result<()> {
        // An abort is not taken back by a drain that comes later.
        self.asked.fetch_max(what, Ordering::Relaxed);
        self.waker.wake()
    }
}
