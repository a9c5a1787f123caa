//! All clients of a server: who is ready, who is served, who is closed and when.
//!
//! Knows streams and readiness, but no mio and no clock, so that a simulation can drive it.

mod admission;
mod client;
mod idlers;
mod iteration;
mod per_ip_counts;
mod ready_list;
mod remote;
#[cfg(test)]
pub(super) mod simulation;
mod unsent;
mod watch;

use std::fmt;
use std::time::{Duration, Instant};

use self::admission::Refusals;
use self::client::{Client, Turn};
use self::idlers::Idlers;
use self::iteration::{CLOSE_COST, CLOSE_UNSENT_COST, IterationBudget};
use self::per_ip_counts::PerIpCounts;
use self::ready_list::ReadyList;
use self::unsent::UnsentLimit;
use self::watch::{LINGER, Linger, Watch};
use super::config::{Config, OverLimit};
use crate::connection::{CloseReason, Limits, Outcome, Pump, Readiness, State, Stream};
use crate::probe::{ClientCounters, Off, Probe};
use crate::reactor::{Accepted, Deadlines, Key, Slots, Stamp};
use crate::service::{Order, Service};

/// The slots of all clients, their ready list and their deadlines.
pub(super) struct Clients<S: Stream, P: Probe = Off> {
    /// Told of everything that is done here.
    pub(super) probe: P,
    /// When the loop began.
    start: Instant,
    slots: Slots<Client<P::Stream<S>>>,
    ready: ReadyList,
    /// What this loop iteration has done for clients so far, and how much it may do.
    budget: IterationBudget,
    deadlines: Deadlines<(Key, Watch)>,
    pump: Pump,
    /// How long a client may be idle, and why it is then hung up on.
    idle: Option<(Duration, CloseReason)>,
    /// Those who have been idle for that long, by their deadlines.
    quiet: Vec<Key>,
    linger: Linger,
    write_stall_timeout: Option<Duration>,
    /// How long a client may take to send anything at all.
    first_byte_timeout: Option<Duration>,
    over_limit: OverLimit,
    per_ip_counts: PerIpCounts,
    idlers: Idlers,
    unsent_limit: UnsentLimit,
    counters: ClientCounters,
    refusals: Refusals,
    /// A client has left since [`take_left`](Self::take_left) was last called.
    left: bool,
}

impl<S: Stream, P: Probe> fmt::Debug for Clients<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clients = f.debug_struct("Clients");
        clients
            .field("count", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl<S: Stream, P: Probe> Clients<S, P> {
    /// No clients of `service` yet, in a loop that begins at `start`.
    pub(super) fn new(config: &Config, service: &impl Service, start: Instant, probe: P) -> Self {
        let limits = Limits {
            recv_size: config.recv_size,
            read_ahead: config.read_ahead,
            // One client can't take more than all of them.
            budget: config.read_budget.min(config.iteration_budget),
            deferred: service.promises_max(),
            watermarks: config.watermarks,
        };
        let idle = |timeout| (timeout, CloseReason::IdleTimeout);
        Self {
            probe,
            start,
            slots: Slots::new(config.max_conns),
            ready: ReadyList::default(),
            budget: IterationBudget::new(config.iteration_budget),
            deadlines: Deadlines::new(start),
            pump: Pump::new(limits),
            idle: config.idle_timeout.map(idle),
            quiet: Vec::new(),
            linger: LINGER,
            write_stall_timeout: config.write_stall_timeout,
            first_byte_timeout: config.first_byte_timeout,
            over_limit: config.over_limit,
            per_ip_counts: PerIpCounts::new(config.max_conns_per_ip),
            idlers: Idlers::default(),
            unsent_limit: UnsentLimit::new(config.unsent_max),
            counters: ClientCounters::default(),
            refusals: Refusals::default(),
            left: false,
        }
    }

    /// The time of an iteration that begins `now`, as clients keep it.
    pub(super) fn stamp(&self, now: Instant) -> Stamp {
        Stamp::new(self.start, now)
    }

    /// An event said `seen` of the client that `key` names, if it is still there.
    #[inline]
    pub(super) fn ready(&mut self, key: Key, seen: Readiness) {
        let Some(client) = self.slots.get_mut(key) else {
            self.counters.stale_events += 1;
            return;
        };
        client.peer.readiness.merge(seen);
        if client.turn == Turn::Quiet {
            client.turn = Turn::Queued;
            self.ready.push_new(key);
        } else {
            self.queue(key);
        }
    }

    /// Sees to it that a client which is not just waiting for input comes back.
    #[cold]
    #[inline(never)]
    fn pumped(&mut self, key: Key, outcome: Outcome, service: &mut impl Service, now: Instant) {
        self.budget.add_bulk(self.pump.bulk_bytes());
        match outcome {
            Outcome::Blocked => {
                self.note_end(key, service);
                self.set_bulk(key);
            }
            // The first needs nothing, and does not come here.
            Outcome::Waiting | Outcome::WaitingBulk => return self.set_bulk(key),
            Outcome::Closed(reason) => return self.close(key, reason, service),
            Outcome::Starved => {
                self.counters.starved += 1;
                self.watch_starved(key, now);
            }
            Outcome::Yielded => {
                self.counters.yields += 1;
                self.set_bulk(key);
                self.queue(key);
            }
        }
        if self.unsent_limit.is_exceeded(self.unsent_bytes()) {
            self.close_largest(service);
        }
        self.watch(key, now);
    }

    /// A client has moved more than a small message, or does not take its replies as fast as they
    /// come: if there is much to do, others are served first the next time.
    fn set_bulk(&mut self, key: Key) {
        if let Some(client) = self.slots.get_mut(key)
            && client.turn == Turn::Quiet
        {
            client.turn = Turn::Bulk;
        }
    }

    /// Tells the service of a client's end that is not yet the end of the conversation.
    fn note_end(&mut self, key: Key, service: &mut impl Service) {
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        let connection = &client.peer.connection;
        let ended = matches!(
            connection.state(),
            State::Draining {
                peer_ended: true,
                ..
            }
        );
        if ended && connection.deferred() > 0 {
            service.ended(key.client());
        }
    }

    /// Does what the service has asked for, as far as it concerns clients that are still there. Who is
    /// sent something, or hung up on, is put on the ready list.
    #[inline(always)]
    pub(super) fn carry_out(&mut self, service: &mut impl Service) {
        while let Some(order) = service.order() {
            self.carry_out_one(order, service);
        }
    }

    fn carry_out_one(&mut self, order: Order, service: &mut impl Service) {
        let id = order.client();
        let key = Key::of(id);
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        match order {
            Order::Send(_, bytes) => {
                if !self.pump.may_owe(&client.peer.connection) {
                    return service.undelivered(id);
                }
                self.pump.owe(&mut client.peer, &bytes);
            }
            Order::Answer(_, bytes) => {
                if client.peer.connection.may_be_owed() {
                    self.pump.owe(&mut client.peer, &bytes);
                }
                self.pump.answered(&mut client.peer);
            }
            Order::Answered(_) => self.pump.answered(&mut client.peer),
            Order::HangUp(_) => client.peer.connection.finish(CloseReason::HungUp),
        }
        self.queue(key);
    }

    /// Closes every client. Those that are owed nothing have lost nothing.
    pub(super) fn abort(&mut self, service: &mut impl Service) {
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            let Some(client) = self.slots.get_mut(key) else {
                continue;
            };
            let owed = client.peer.connection.has_unsent() || client.peer.is_runnable();
            let reason = match client.peer.connection.state() {
                State::Draining { reason, .. } if !owed => reason,
                _ if owed => CloseReason::Aborted,
                _ => CloseReason::Drained,
            };
            self.close(key, reason, service);
        }
    }

    /// What has become of clients so far, and of their bytes.
    pub(super) fn counters(&self) -> ClientCounters {
        ClientCounters {
            moved: self.pump.tally().clone(),
            ..self.counters.clone()
        }
    }

    pub(super) const fn rejected(&self) -> u64 {
        self.counters.rejected
    }

    /// Counts what came of one attempt to accept.
    pub(super) fn accepted(&mut self, accepted: &Accepted) {
        self.counters.accept_errors += accepted.failed;
        self.counters.accept_yields += u64::from(accepted.budget_spent);
        self.counters.accept_pauses += u64::from(accepted.paused.is_some());
    }

    /// Counts that somebody has to wait for the accept rate.
    pub(super) const fn accept_waits(&mut self) {
        self.counters.accept_waits += 1;
    }

    /// How many clients there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many more there may be.
    pub(super) fn free(&self) -> usize {
        self.slots.free()
    }

    /// Whether a client can be served now.
    pub(super) fn is_runnable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a client has left since this was last asked.
    pub(super) const fn take_left(&mut self) -> bool {
        std::mem::replace(&mut self.left, false)
    }

    // Not inlined: an event of a quiet client, which is most of them, has no use for it.
    #[inline(never)]
    fn queue(&mut self, key: Key) {
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        match std::mem::replace(&mut client.turn, Turn::Queued) {
            Turn::Quiet => self.ready.push_new(key),
            Turn::Bulk => self.ready.push_bulk(key),
            Turn::Queued => {}
        }
    }

    /// The one place where a client leaves. Its socket is not duplicated anywhere, so dropping it
    /// ends its registration; an event already on its way finds a stale key.
    fn close(&mut self, key: Key, reason: CloseReason, service: &mut impl Service) {
        let Some(client) = self.slots.remove(key) else {
            return;
        };
        if matches!(reason, CloseReason::WriteStalled | CloseReason::OwedTooMuch) {
            // Otherwise the kernel keeps its unread bytes for minutes, beyond every limit. If the call
            // fails, the connection has failed already.
            let _ = client.peer.stream.reset_on_close();
        }
        self.left = true;
        self.per_ip_counts.leave(client.address.socket_addr());
        let unsent = client.peer.connection.unsent_len();
        self.budget.add(if unsent > 0 {
            CLOSE_UNSENT_COST
        } else {
            CLOSE_COST
        });
        self.counters.closed(reason, unsent);
        self.probe.closed(key.client(), reason.name());
        log::debug!("{} left: {reason}", client.address);
        service.closed(key.client(), reason);
        self.forget_watches();
    }

    /// The arming invariant, in debug builds: every client is on the ready list, or waits for an event
    /// in a direction that it needs, for a deadline, or for an answer promised. Anyone else would be forgotten.
    fn check(&mut self) {
        assert_eq!(
            self.counters.live(),
            self.slots.len() as u64,
            "each client counts once"
        );
        assert!(
            self.per_ip_counts
                .total()
                .is_none_or(|total| total == self.slots.len()),
            "each client counts for its host"
        );
        let unsent = self
            .slots
            .values()
            .map(|client| client.peer.connection.unsent_len());
        assert_eq!(
            self.unsent_bytes(),
            unsent.sum::<usize>() as u64,
            "all unsent bytes are counted"
        );
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            let Some(client) = self.slots.get_mut(key) else {
                continue;
            };
            let (connection, readiness) = (&client.peer.connection, client.peer.readiness);
            assert!(!connection.is_closed(), "a closed client is still there");
            let awaits_input = connection.wants_read() && !readiness.is_readable();
            let awaits_room = connection.wants_write() && !readiness.is_writable();
            let awaits_event = !client.peer.is_runnable() && (awaits_input || awaits_room);
            let awaits_service = connection.deferred() > 0;
            let armed =
                client.is_queued() || client.starved_watched || awaits_event || awaits_service;
            assert!(
                armed,
                "a client was forgotten: {connection:?}, {readiness:?}"
            );
            if connection.wants_write() && self.write_stall_timeout.is_some() {
                // One that waits for its turn is watched when it has had it.
                assert!(
                    client.stall_watched || client.is_queued(),
                    "no deadline watches unsent bytes"
                );
            }
            if connection.is_shut() {
                assert!(
                    client.linger_watched,
                    "nobody watches a wait for an end of file"
                );
            }
        }
    }
}
