//! How clients are served in one loop iteration, and how much is done in one.

use std::time::Instant;

use super::{Clients, Key, Outcome, Probe, Service, Stamp, Stream, Turn};
use crate::connection::Connection;
use crate::probe::Served;

/// What it costs to serve a client, however little it has to say, in bytes that could be moved in
/// that time: a read and a write take some 7 µs. To copy 64 KiB both ways takes some 75 µs with the
/// bytes in the cache, and 200 µs beside thousands that never read: pages that are touched for the
/// first time, and a kernel that is short of memory.
pub(super) const CLIENT_COST: usize = 4 * 1024;

/// What it costs to close one.
pub(super) const CLOSE_COST: i64 = 8 * 1024;

/// What it costs to close one that has not read everything: the kernel frees up to megabytes, in some
/// 40 µs.
pub(super) const CLOSE_UNSENT_COST: i64 = 32 * 1024;

/// What it costs to look at one whose deadline has come.
pub(super) const DEADLINE_COST: i64 = 64;

/// What it costs to look at one among all.
pub(super) const LOOK_COST: i64 = 8;

/// The part of the budget that deadlines may take.
const DEADLINES_PART: i64 = 4;

/// The part of the budget that is kept for the clients that an earlier iteration left over, if there
/// are any, and the part that is kept for bulk clients.
const WAITING_PART: i64 = 4;

/// In which order new clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServingOrder {
    FirstCome,
    LastCome,
}

/// What an iteration may still do for clients, as bytes moved.
///
/// Not as time: a look at the clock costs more than this, a virtual machine can stop for longer than
/// any iteration, and the work of an iteration is the same each time, so that tests can bound it.
#[derive(Debug)]
pub(super) struct IterationBudget {
    whole: i64,
    left: i64,
    /// How many bytes the pump had moved beside small messages when they were added up.
    bulk_bytes: u64,
}

impl IterationBudget {
    pub(super) fn new(budget: usize) -> Self {
        let budget = i64::try_from(budget).unwrap_or(i64::MAX);
        Self {
            whole: budget,
            left: budget,
            bulk_bytes: 0,
        }
    }

    pub(super) const fn add(&mut self, cost: i64) {
        self.left -= cost;
    }

    /// Counts the bytes that the pump has moved since, except those of small messages. `bulk_bytes`
    /// is the total.
    pub(super) const fn add_bulk(&mut self, bulk_bytes: u64) {
        self.left -= (bulk_bytes - self.bulk_bytes) as i64;
        self.bulk_bytes = bulk_bytes;
    }

    /// Whether the budget is enough for this number of clients with small messages.
    const fn is_enough_for(&self, clients: usize) -> bool {
        (clients * CLIENT_COST) as i64 <= self.left
    }

    /// The part that was kept for waiting clients can be spent now, and is enough for at least one.
    fn give_back_part(&mut self) {
        self.left = (self.left + self.whole / WAITING_PART).max(1);
    }

    /// Whether deadlines have taken their part of the iteration, and the others are left to the next.
    pub(super) const fn is_deadline_part_spent(&self) -> bool {
        self.left < self.whole - self.whole / DEADLINES_PART
    }
}

impl<S: Stream, P: Probe> Clients<S, P> {
    /// Serves the clients that are ready, each once, until the budget of the iteration is spent.
    #[inline(never)]
    pub(in crate::server) fn serve(
        &mut self,
        service: &mut impl Service,
        now: Instant,
        stamp: Stamp,
    ) {
        let mut new = self.ready.take_new();
        let (left_over, bulk) = (self.ready.left_over(), self.ready.bulk());
        let (mut end, mut order) = (new.len(), ServingOrder::FirstCome);
        let is_full = left_over + bulk > 0 || !self.budget.is_enough_for(end);
        if is_full {
            (end, order) = self.choose_first(&mut new);
        }
        let mut clients = new[..end].iter();
        while let Some(&key) = clients.next() {
            // Only a client that moves more than a small message can end this early, so that small
            // messages pay nothing for it.
            if self.serve_one(key, service, now, stamp)
                && !self.budget.is_enough_for(end - clients.len())
            {
                end -= clients.len();
                break;
            }
        }
        if is_full || end < new.len() {
            if order == ServingOrder::LastCome {
                new[end..].reverse();
            }
            self.budget.add((end * CLIENT_COST) as i64);
            self.serve_others(&new[end..], left_over, bulk, service, now);
        }
        self.ready.give_back(new);
        if !self.quiet.is_empty() {
            self.hang_up_on_the_quiet(service, now);
        }
        self.budget.left = self.budget.whole;
        self.pump.trim();
        if cfg!(debug_assertions) {
            self.check();
        }
    }

    /// There is more to do than this iteration can. Puts the `new` clients that are served first at
    /// the beginning, and returns how many that are.
    ///
    /// With more of them than can be served, the last to come have waited least so far, and can still
    /// be served in time. The others are served in the order in which they came.
    #[cold]
    #[inline(never)]
    fn choose_first(&mut self, new: &mut [Key]) -> (usize, ServingOrder) {
        for waiting in [self.ready.left_over(), self.ready.bulk()] {
            if waiting > 0 {
                self.budget.left -= self.budget.whole / WAITING_PART;
            }
        }
        if self.budget.is_enough_for(new.len()) {
            return (new.len(), ServingOrder::FirstCome);
        }
        new.reverse();
        // However small the budget, one is served.
        let most = self.budget.left.max(0) as usize / CLIENT_COST;
        (new.len().min(most + 1), ServingOrder::LastCome)
    }

    /// Serves those that wait until the budget is spent, `new` clients left over by this iteration
    /// among them. Before it, `left_over` others of that kind and `bulk` bulk clients waited.
    #[cold]
    #[inline(never)]
    fn serve_others(
        &mut self,
        new: &[Key],
        left_over: usize,
        bulk: usize,
        service: &mut impl Service,
        now: Instant,
    ) {
        self.ready.leave_over(new);
        if left_over > 0 {
            self.budget.give_back_part();
        }
        let mut is_full = false;
        for _ in 0..self.ready.left_over() {
            if self.budget.left <= 0 {
                is_full = true;
                break;
            }
            if let Some(key) = self.ready.pop_left_over() {
                self.serve_again(key, service, now);
            }
        }
        if bulk > 0 {
            self.budget.give_back_part();
        }
        for _ in 0..bulk {
            if self.budget.left <= 0 {
                is_full = true;
                break;
            }
            if let Some(key) = self.ready.pop_bulk() {
                let received = self.pump.tally().received_bytes;
                self.serve_again(key, service, now);
                if self.pump.tally().received_bytes == received {
                    // A client that yielded had no more to say, and is a bulk client still.
                    self.set_bulk(key);
                }
            }
        }
        self.counters.full_iterations += u64::from(is_full);
        self.ready.trim();
    }

    /// Serves a client, where that is not done for every message.
    #[inline(never)]
    pub(super) fn serve_again(&mut self, key: Key, service: &mut impl Service, now: Instant) {
        self.budget.add(CLIENT_COST as i64);
        self.serve_one(key, service, now, Stamp::new(self.start, now));
    }

    // Inlined, although it is called from several places: one of them serves every message.
    //
    // Returns whether it was more than a small message.
    #[inline(always)]
    fn serve_one(
        &mut self,
        key: Key,
        service: &mut impl Service,
        now: Instant,
        stamp: Stamp,
    ) -> bool {
        let Some(client) = self.slots.get_mut(key) else {
            return false;
        };
        client.turn = Turn::Quiet;
        client.active = stamp;
        self.probe.serve_began(key.client());
        let outcome = self.pump.run(&mut client.peer, |message, reply| {
            service.receive(key.client(), message, reply)
        });
        if P::ON {
            let served = served(outcome, &client.peer.connection);
            self.probe.serve_ended(key.client(), served);
        }
        if outcome != Outcome::Waiting {
            self.pumped(key, outcome, service, now);
            return true;
        }
        false
    }
}

/// The end of one client's turn, for a probe.
fn served(outcome: Outcome, connection: &Connection) -> Served {
    match outcome {
        Outcome::Closed(_) => Served::Over,
        Outcome::Yielded => Served::Yielded,
        Outcome::Blocked | Outcome::Starved if connection.has_unsent() => Served::Blocked,
        Outcome::Blocked | Outcome::Starved => Served::Held,
        Outcome::Waiting | Outcome::WaitingBulk => Served::Done,
    }
}
