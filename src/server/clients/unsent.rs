//! The pending output of all clients together, and its limit.

use super::iteration::LOOK_COST;
use super::{Clients, CloseReason, Key, Probe, Service, Stream};

/// The limit for the unsent bytes of all clients together, if there is one.
#[derive(Debug)]
pub(super) struct UnsentLimit {
    most: Option<u64>,
    /// The clients with the most unsent bytes, as of the last look at all of them; the largest last.
    ///
    /// A look takes time in proportion to the number of clients, so one serves for a hundredth of
    /// them. They are closed one at a time, as the limit is reached again: to close many at once
    /// would hold up the loop.
    largest: Vec<(usize, Key)>,
}

impl UnsentLimit {
    pub(super) fn new(most: Option<usize>) -> Self {
        let most = most.map(|most| most as u64);
        Self {
            most,
            largest: Vec::new(),
        }
    }

    /// Whether this number of unsent bytes is over the limit.
    pub(super) fn is_exceeded(&self, unsent: u64) -> bool {
        self.most.is_some_and(|most| unsent > most)
    }
}

impl<S: Stream, P: Probe> Clients<S, P> {
    /// The unsent bytes of all clients: bytes that were buffered, and neither written since
    /// nor lost with a client.
    pub(in crate::server) fn unsent_bytes(&self) -> u64 {
        let moved = self.pump.tally();
        moved.kept_bytes - moved.caught_up_bytes - self.counters.unsent_bytes
    }

    /// Closes the clients with the most unsent bytes, until the limit is no longer exceeded.
    ///
    /// If all were paused instead, a few clients that never read would hold up all others. Clients that keep
    /// up have no unsent bytes, and are not closed. (redis does the same with `maxmemory-clients`.)
    #[cold]
    pub(super) fn close_largest(&mut self, service: &mut impl Service) {
        while self.unsent_limit.is_exceeded(self.unsent_bytes()) {
            let Some((unsent, key)) = self.unsent_limit.largest.pop() else {
                if self.find_largest() {
                    continue;
                }
                return;
            };
            // Since it was found, it may have taken some of them, or all.
            let is_as_large = self
                .slots
                .get_mut(key)
                .is_some_and(|client| client.peer.connection.unsent_len() >= unsent);
            if is_as_large {
                self.close(key, CloseReason::OwedTooMuch, service);
            }
        }
    }

    /// Looks for the clients with the most unsent bytes. Returns whether there is any.
    fn find_largest(&mut self) -> bool {
        self.budget.add(self.slots.len() as i64 * LOOK_COST);
        let largest = &mut self.unsent_limit.largest;
        let unsent = self.slots.entries();
        let unsent = unsent.map(|(key, client)| (client.peer.connection.unsent_len(), key));
        largest.extend(unsent.filter(|&(unsent, _)| unsent > 0));
        let count = (self.slots.len() / 100).max(1);
        if largest.len() > count {
            largest.select_nth_unstable_by_key(count, |&(unsent, _)| std::cmp::Reverse(unsent));
            largest.truncate(count);
        }
        largest.sort_unstable_by_key(|&(unsent, _)| unsent);
        largest.shrink_to(count);
        !largest.is_empty()
    }
}
