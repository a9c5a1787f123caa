//! What watches over each client by deadline: silence, unsent bytes, a lingering close.
//!
//! A deadline is never moved. When it comes, what the client has done since decides whether it was
//! meant, so a client that is active pays nothing for being watched.

use std::time::{Duration, Instant};

use super::iteration::{CLIENT_COST, DEADLINE_COST};
use super::{Client, Clients, CloseReason, Key, Probe, Service, Stamp, State, Stream};

/// How long a client must be quiet, when the server is stopping, to be taken as finished. Input that
/// is on its way when the server is told to stop is still answered.
pub(super) const DRAIN_QUIET: Duration = Duration::from_millis(100);

/// How long an ending conversation waits for the client's end of file.
///
/// Until then input is read and discarded, because closing with input unread makes the kernel send a
/// reset, which can destroy replies that the client has not received yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linger {
    /// A client that sends nothing for this long is closed...
    pub(super) quiet: Duration,
    /// ...and one that goes on sending is after this long.
    pub(super) most: Duration,
}

/// In ordinary times, as nginx.
pub(super) const LINGER: Linger = Linger {
    quiet: Duration::from_secs(5),
    most: Duration::from_secs(30),
};

/// When the server is stopping: many a client never ends by itself, and somebody waits for us.
pub(super) const LINGER_STOPPING: Linger = Linger {
    quiet: Duration::from_secs(1),
    most: Duration::from_secs(5),
};

/// How soon a socket for which the kernel had no memory is tried again: no event will say when.
pub(super) const STARVED_RETRY: Duration = Duration::from_millis(10);

/// How long after the last try a client that takes nothing is closed: by then it has had its turn.
pub(super) const STALL_PROBE: Duration = Duration::from_millis(1);

/// How many deadlines of clients that have left are kept before they are looked for and dropped.
/// Without that, clients that come and go would leave one each for the whole idle timeout.
const FORGOTTEN_MAX: usize = 1024;

/// What a deadline of a client watches over.
#[derive(Clone, Copy, Debug)]
pub(super) enum Watch {
    FirstByte,
    Idle,
    Linger,
    Starved,
    Stall,
    /// A write has been tried, although the kernel has not reported room.
    StallProbed,
}

impl<S: Stream, P: Probe> Clients<S, P> {
    /// Arms the deadlines that a client which does not keep up, or is leaving, needs.
    pub(super) fn watch(&mut self, key: Key, now: Instant) {
        let stamp = Stamp::new(self.start, now);
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        if client.peer.connection.take_progress() {
            client.taken = stamp;
        }
        if client.peer.connection.wants_write()
            && !client.stall_watched
            && let Some(timeout) = self.write_stall_timeout
        {
            client.stall_watched = true;
            self.deadlines.arm(now + timeout, (key, Watch::Stall));
        }
        if client.peer.connection.is_shut() && !client.linger_watched {
            client.linger_watched = true;
            (client.active, client.taken) = (stamp, stamp);
            self.deadlines
                .arm(now + self.linger.quiet, (key, Watch::Linger));
        }
    }

    /// Arms the deadline that brings back a client for which the kernel had no memory.
    pub(super) fn watch_starved(&mut self, key: Key, now: Instant) {
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        if !client.starved_watched {
            client.starved_watched = true;
            self.deadlines
                .arm(now + STARVED_RETRY, (key, Watch::Starved));
        }
    }

    /// Looks after the clients whose deadlines have come: all of them, unless that would take up a
    /// quarter of the iteration. The others come next time.
    #[inline]
    pub(in crate::server) fn expire(
        &mut self,
        service: &mut impl Service,
        now: Instant,
        stamp: Stamp,
    ) {
        if self.deadlines.is_due(stamp) {
            self.expire_due(service, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn expire_due(&mut self, service: &mut impl Service, now: Instant) {
        while let Some((key, watch)) = self.deadlines.expire(now) {
            self.budget.add(DEADLINE_COST);
            if self.slots.get_mut(key).is_some() {
                self.expire_one(key, watch, service, now);
            }
            // After the first one: evictions of the last iteration may have taken their part.
            if self.budget.is_deadline_part_spent() {
                return;
            }
        }
    }

    fn expire_one(&mut self, key: Key, watch: Watch, service: &mut impl Service, now: Instant) {
        match watch {
            Watch::FirstByte => self.expire_first_byte(key, service, now),
            Watch::Idle => self.expire_idle(key, now),
            Watch::Linger => self.expire_linger(key, service, now),
            Watch::Starved => self.expire_starved(key),
            Watch::Stall => self.expire_stall(key, service, now, false),
            Watch::StallProbed => self.expire_stall(key, service, now, true),
        }
    }

    /// From now on every client that has been quiet for a moment is hung up on. Answers promised are not
    /// waited for.
    pub(in crate::server) fn drain(&mut self, now: Instant) {
        self.idle = Some((DRAIN_QUIET, CloseReason::Drained));
        self.linger = LINGER_STOPPING;
        self.pump.ignore_deferrals();
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            if let Some(client) = self.slots.get_mut(key)
                && client.peer.connection.deferred() > 0
            {
                client.peer.connection.forget_deferred();
                self.queue(key);
            }
            self.deadlines.arm(now + DRAIN_QUIET, (key, Watch::Idle));
            self.deadlines
                .arm(now + LINGER_STOPPING.quiet, (key, Watch::Linger));
        }
    }

    /// When the first deadline is due.
    pub(in crate::server) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Drops the deadlines of clients that have left, once they outnumber the others.
    pub(super) fn forget_watches(&mut self) {
        // A client has at most five of its own, and two from when the server was told to stop.
        if self.deadlines.len() > 7 * self.slots.len() + FORGOTTEN_MAX {
            let slots = &mut self.slots;
            self.deadlines
                .retain(|(key, _)| slots.get_mut(*key).is_some());
        }
    }

    fn expire_idle(&mut self, key: Key, now: Instant) {
        let (Some(client), Some((timeout, _))) = (self.slots.get_mut(key), self.idle) else {
            return;
        };
        let due = client.active.instant(self.start) + timeout;
        let connection = &client.peer.connection;
        if !connection.is_going_on() {
            // Its unsent bytes, or the wait for its end, are watched by other deadlines.
        } else if connection.has_unsent() || connection.deferred() > 0 || client.is_queued() {
            self.deadlines.arm(now + timeout, (key, Watch::Idle));
        } else if due > now {
            self.deadlines.arm(due, (key, Watch::Idle));
        } else {
            self.budget.add(CLIENT_COST as i64);
            self.quiet.push(key);
        }
    }

    /// Hangs up on those who have been quiet for too long.
    #[cold]
    #[inline(never)]
    pub(super) fn hang_up_on_the_quiet(&mut self, service: &mut impl Service, now: Instant) {
        let Some((timeout, reason)) = self.idle else {
            return;
        };
        for key in std::mem::take(&mut self.quiet) {
            // It may have been served since, in the same turn and for another reason.
            let served = |client: &Client<_>| client.active.instant(self.start) + timeout > now;
            let silent = !self.slots.get_mut(key).is_some_and(|client| served(client))
                && self.turns_out_silent(key, service, now);
            let Some(client) = self.slots.get_mut(key) else {
                continue;
            };
            if silent {
                client.peer.connection.finish(reason);
                self.queue(key);
            } else {
                self.deadlines.arm(now + timeout, (key, Watch::Idle));
            }
        }
    }

    /// Whether a client that is thought to be silent is, when it is asked: a poll brings so many events and no more, and a
    /// signal can end one early. Input that was there has been answered. Nobody who has left is silent.
    pub(super) fn turns_out_silent(
        &mut self,
        key: Key,
        service: &mut impl Service,
        now: Instant,
    ) -> bool {
        let Some(client) = self.slots.get_mut(key) else {
            return false;
        };
        client.peer.readiness.latch_readable();
        let received = self.pump.tally().received_bytes;
        self.serve_again(key, service, now);
        let silent = self.pump.tally().received_bytes == received;
        let client = self.slots.get_mut(key);
        silent && client.is_some_and(|client| client.peer.connection.keeps_up())
    }

    /// Hangs up on a client that has not sent a byte, not even one that nobody was told of yet.
    fn expire_first_byte(&mut self, key: Key, service: &mut impl Service, now: Instant) {
        let unheard = |client: &Client<_>| {
            client.peer.readiness.is_unheard() && client.peer.connection.keeps_up()
        };
        if self
            .slots
            .get_mut(key)
            .is_some_and(|client| unheard(client))
            && self.turns_out_silent(key, service, now)
            && let Some(client) = self.slots.get_mut(key)
        {
            client.peer.connection.finish(CloseReason::FirstByteTimeout);
            self.queue(key);
        }
    }

    fn expire_linger(&mut self, key: Key, service: &mut impl Service, now: Instant) {
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        let quiet = client.active.instant(self.start) + self.linger.quiet;
        let due = quiet.min(client.taken.instant(self.start) + self.linger.most);
        if !client.peer.connection.is_shut() {
            // It is owed something still, which other deadlines watch over. Behind that comes a wait of its own.
        } else if due > now {
            self.deadlines.arm(due, (key, Watch::Linger));
        } else if let State::Draining { reason, .. } = client.peer.connection.state() {
            self.close(key, reason, service);
        }
    }

    fn expire_starved(&mut self, key: Key) {
        if let Some(client) = self.slots.get_mut(key) {
            client.starved_watched = false;
        }
        self.queue(key);
    }

    fn expire_stall(&mut self, key: Key, service: &mut impl Service, now: Instant, probed: bool) {
        let Some(timeout) = self.write_stall_timeout else {
            return;
        };
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        let due = client.taken.instant(self.start) + timeout;
        if !client.peer.connection.wants_write() {
            client.stall_watched = false;
        } else if due > now {
            self.deadlines.arm(due, (key, Watch::Stall));
        } else if probed {
            self.close(key, CloseReason::WriteStalled, service);
        } else {
            // The kernel reports room only once a third of a buffer of megabytes is free, which can
            // take a slow reader minutes. Whether it has taken anything, a write in this turn tells.
            client.peer.readiness.latch_writable();
            self.deadlines
                .arm(now + STALL_PROBE, (key, Watch::StallProbed));
            self.queue(key);
        }
    }
}
