//! The clients for which something can be done now, in the order in which they are served.

use std::collections::VecDeque;

use crate::reactor::Key;

/// How much room is kept when hardly any is needed.
const KEPT: usize = 1024;

/// Clients that are ready, each once: that is for the caller to see to.
///
/// # Three queues
///
/// In a single queue, a client with one byte would wait for all the work of 5,000 clients that have
/// 64 KiB each. So clients whose last turn was short are served first, then those of them that an
/// earlier iteration left over, and then bulk clients. No queue starves: a quarter of an iteration is
/// kept for each of the latter two.
#[derive(Debug, Default)]
pub(super) struct ReadyList {
    /// Clients that have become ready since the last iteration, unless they are bulk clients.
    new: Vec<Key>,
    /// The list of the iteration before, emptied. The two are swapped, so that neither is allocated
    /// again.
    spare: Vec<Key>,
    left_over: VecDeque<Key>,
    bulk: VecDeque<Key>,
}

impl ReadyList {
    /// Adds a client that is served before those that wait.
    #[inline]
    pub(super) fn push_new(&mut self, key: Key) {
        self.new.push(key);
    }

    /// Adds a client that is served after all those that wait already.
    pub(super) fn push_bulk(&mut self, key: Key) {
        self.bulk.push_back(key);
    }

    /// Takes those to be served first. To be [given back](Self::give_back).
    #[inline]
    pub(super) fn take_new(&mut self) -> Vec<Key> {
        std::mem::replace(&mut self.new, std::mem::take(&mut self.spare))
    }

    /// Takes back the memory of [`take_new`](Self::take_new).
    #[inline]
    pub(super) fn give_back(&mut self, mut new: Vec<Key>) {
        new.clear();
        self.spare = new;
    }

    /// How many clients wait that an earlier iteration left over.
    #[inline]
    pub(super) fn left_over(&self) -> usize {
        self.left_over.len()
    }

    /// How many bulk clients wait.
    #[inline]
    pub(super) fn bulk(&self) -> usize {
        self.bulk.len()
    }

    /// Clients that were to be served first have not been.
    pub(super) fn leave_over(&mut self, clients: &[Key]) {
        self.left_over.extend(clients);
    }

    /// Takes the client that has waited longest of those left over.
    pub(super) fn pop_left_over(&mut self) -> Option<Key> {
        self.left_over.pop_front()
    }

    /// Takes the bulk client that has waited longest.
    pub(super) fn pop_bulk(&mut self) -> Option<Key> {
        self.bulk.pop_front()
    }

    /// Gives back the memory of a burst that is over.
    pub(super) fn trim(&mut self) {
        if self.left_over.is_empty() && self.bulk.is_empty() {
            self.left_over.shrink_to(KEPT);
            self.bulk.shrink_to(KEPT);
            self.spare.shrink_to(KEPT);
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.left_over.is_empty() && self.bulk.is_empty()
    }
}
