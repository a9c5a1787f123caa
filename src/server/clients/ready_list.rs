//! The clients for which something can be done now, in the order in which they are served.

use std::collections::VecDeque;

use crate::reactor::Key;

/// How much room is kept when hardly any is needed.
const KEPT: usize = 1024;

/// Clients that are ready, each once: that is for the caller to see to.
///
/// # Two queues
///
/// In a single queue, a client with one byte would wait for all the work of 5,000 clients that have
/// 64 KiB each. So clients whose last turn was short are served first, and bulk clients, and those
/// that an iteration left over, have a queue of their own. Neither starves: with clients in both,
/// the first takes at most three quarters of an iteration.
#[derive(Debug, Default)]
pub(super) struct ReadyList {
    /// Clients that have become ready since the last iteration, unless they are bulk clients.
    new: Vec<Key>,
    /// The list of the iteration before, emptied. The two are swapped, so that neither is allocated
    /// again.
    spare: Vec<Key>,
    waiting: VecDeque<Key>,
}

impl ReadyList {
    /// Adds a client that is served before those that wait.
    #[inline]
    pub(super) fn push_new(&mut self, key: Key) {
        self.new.push(key);
    }

    /// Adds a client that is served after those that wait already.
    pub(super) fn push_waiting(&mut self, key: Key) {
        self.waiting.push_back(key);
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

    /// How many wait, those whom an iteration has left over among them.
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Clients have not been served. They wait after the first `waiting`, and before those that have
    /// been served in this iteration and have more to do.
    pub(super) fn leave_over(&mut self, clients: &[Key], waiting: usize) {
        if !clients.is_empty() {
            let mut served = self.waiting.split_off(waiting);
            self.waiting.extend(clients);
            self.waiting.append(&mut served);
        }
    }

    /// Takes the client that has waited longest.
    pub(super) fn pop_waiting(&mut self) -> Option<Key> {
        self.waiting.pop_front()
    }

    /// Gives back the memory of a burst that is over.
    pub(super) fn trim(&mut self) {
        if self.waiting.is_empty() {
            self.waiting.shrink_to(KEPT);
            self.spare.shrink_to(KEPT);
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && self.waiting.is_empty()
    }
}
