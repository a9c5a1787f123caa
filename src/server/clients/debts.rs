//! What all clients together are owed, and the limit to it.

use super::{Clients, CloseReason, Key, Probe, Service, Stream};

/// The limit to what is kept unsent for all clients together, if there is one.
#[derive(Debug)]
pub(super) struct Debts {
    most: Option<u64>,
}

impl Debts {
    pub(super) fn new(most: Option<usize>) -> Self {
        let most = most.map(|most| most as u64);
        Self { most }
    }

    /// Whether what is owed is more than may be.
    pub(super) fn are_too_many(&self, owed: u64) -> bool {
        self.most.is_some_and(|most| owed > most)
    }
}

impl<S: Stream, P: Probe> Clients<S, P> {
    /// How many bytes all clients are owed: what was kept, less what has been written of it, or lost with a client.
    pub(in crate::server) fn owed(&self) -> u64 {
        let moved = self.pump.tally();
        moved.kept_bytes - moved.caught_up_bytes - self.counters.unsent_bytes
    }

    /// Closes those who are owed most, until a sixteenth of the limit is free again.
    ///
    /// Pausing everybody instead would let a few who never read hold up all others; and those who keep up are owed
    /// nothing, so they are not touched. (redis does the same with `maxmemory-clients`.) A sixteenth, because to look for
    /// them takes time in proportion to the number of clients.
    #[cold]
    pub(super) fn cancel_debts(&mut self, service: &mut impl Service) {
        let Some(most) = self.debts.most else {
            return;
        };
        let debtors = self.slots.entries();
        let owed = debtors.map(|(key, client)| (client.peer.connection.unsent_len(), key));
        let mut owed: Vec<(usize, Key)> = owed.filter(|&(bytes, _)| bytes > 0).collect();
        owed.sort_unstable_by_key(|&(bytes, _)| std::cmp::Reverse(bytes));
        for (_, key) in owed {
            self.close(key, CloseReason::OwedTooMuch, service);
            if self.owed() <= most - most / 16 {
                break;
            }
        }
    }
}
