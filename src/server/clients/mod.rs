//! All clients of a server: who is ready, who is served, who is closed and when.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::{Client, Stamp};
use super::config::Config;
use crate::connection::{CloseReason, Limits, Outcome, Pump, State};
use crate::probe::{ClientCounters, Throttle};
use crate::reactor::{
    Accepted, Deadlines, Event, Key, Registry, Slots, TcpStream, latch, stream_interests,
};
use crate::service::Service;

/// How long a client must be quiet, when the server is stopping, to be taken as finished. Input that
/// is on its way when the server is told to stop is still answered.
const DRAIN_QUIET: Duration = Duration::from_millis(100);

/// Once our side is shut, a client that sends nothing for this long is closed without its end of file...
const LINGER_QUIET: Duration = Duration::from_secs(1);

/// ...and one that goes on sending is after this long. Until then its input is read and discarded,
/// because closing with input unread makes the kernel send a reset, which can destroy replies that
/// the client has not read yet. nginx waits 5 s and 30 s; an echo has less to lose.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// How soon a socket for which the kernel had no memory is tried again: no event will say when.
const STARVED_RETRY: Duration = Duration::from_millis(10);

/// How long after the last try a client that takes nothing is closed: by then it has had its turn.
const STALL_PROBE: Duration = Duration::from_millis(1);

/// The slots of all clients, their ready list and their deadlines.
#[derive(Debug)]
pub(super) struct Clients {
    /// When the loop began.
    start: Instant,
    slots: Slots<Client>,
    /// Clients for which something can be done now, each once.
    ready: Vec<Key>,
    /// The ready list of the turn before, emptied: the two take turns, so that neither is allocated anew.
    spare: Vec<Key>,
    deadlines: Deadlines<(Key, Watch)>,
    pump: Pump,
    /// How long a client may be idle, and why it is then hung up on.
    idle: Option<(Duration, CloseReason)>,
    write_stall_timeout: Option<Duration>,
    counters: ClientCounters,
    rejections: Throttle,
    /// A client has left since [`take_left`](Self::take_left) was last called.
    left: bool,
}

/// What a deadline of a client watches over.
#[derive(Clone, Copy, Debug)]
enum Watch {
    Idle,
    Linger,
    Starved,
    Stall,
    /// A write has been tried, although the kernel has not reported room.
    StallProbed,
}

impl Clients {
    pub(super) fn new(config: &Config) -> Self {
        let limits = Limits {
            recv_size: config.recv_size,
            read_ahead: config.read_ahead,
            budget: config.read_budget,
            watermarks: config.watermarks,
        };
        Self {
            start: Instant::now(),
            slots: Slots::new(config.max_conns),
            ready: Vec::new(),
            spare: Vec::new(),
            deadlines: Deadlines::new(),
            pump: Pump::new(limits),
            idle: config
                .idle_timeout
                .map(|timeout| (timeout, CloseReason::IdleTimeout)),
            write_stall_timeout: config.write_stall_timeout,
            counters: ClientCounters::default(),
            rejections: Throttle::default(),
            left: false,
        }
    }

    /// An event for the client that `key` names, if it is still there.
    #[inline]
    pub(super) fn ready(&mut self, key: Key, event: &Event) {
        let Some(client) = self.slots.get_mut(key) else {
            self.counters.stale_events += 1;
            return;
        };
        latch(event, &mut client.peer.readiness);
        if !client.queued {
            client.queued = true;
            self.ready.push(key);
        }
    }

    /// Takes in a connection that was just accepted, or closes it when there are too many.
    pub(super) fn admit(
        &mut self,
        registry: &Registry,
        stream: TcpStream,
        peer: SocketAddr,
        now: Instant,
    ) {
        let Ok(key) = self
            .slots
            .insert(Client::new(stream, peer, Stamp::new(self.start, now)))
        else {
            self.counters.rejected += 1;
            if let Some(others) = self.rejections.pass(now) {
                let limit = self.slots.len();
                log::warn!(
                    "rejected {peer} (and {others} before): {limit} clients are there (--max-conns)"
                );
            }
            return;
        };
        let client = self.slots.get_mut(key).expect("inserted just now");
        if let Err(error) =
            registry.register(&mut client.peer.stream, key.token(), stream_interests())
        {
            log::debug!("could not watch {peer}: {error}");
            self.counters.accept_errors += 1;
            self.slots.remove(key);
            return;
        }
        log::debug!("{peer} connected");
        self.counters.accepted += 1;
        if let Some((timeout, _)) = self.idle {
            self.deadlines.arm(now + timeout, (key, Watch::Idle));
        }
    }

    /// Serves everyone who is on the ready list now, once. Who has more to do goes to its end.
    #[inline(never)]
    pub(super) fn serve(&mut self, service: &mut impl Service, now: Instant) {
        let stamp = Stamp::new(self.start, now);
        let mut serving = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare));
        for &key in &serving {
            self.serve_one(key, service, now, stamp);
        }
        serving.clear();
        self.spare = serving;
    }

    #[inline]
    fn serve_one(&mut self, key: Key, service: &mut impl Service, now: Instant, stamp: Stamp) {
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        client.queued = false;
        client.active = stamp;
        let outcome = self.pump.run(&mut client.peer, |message, reply| {
            service.receive(message, reply)
        });
        // Where something can be done and nothing will bring the client back, it would be forgotten.
        debug_assert!(
            !matches!(outcome, Outcome::Blocked | Outcome::Waiting) || !client.peer.is_runnable(),
            "a client was forgotten"
        );
        if outcome != Outcome::Waiting {
            self.pumped(key, outcome, now);
        }
    }

    /// Sees to it that a client which is not just waiting for input comes back.
    #[cold]
    #[inline(never)]
    fn pumped(&mut self, key: Key, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Blocked | Outcome::Waiting => {}
            Outcome::Closed(reason) => return self.close(key, reason),
            Outcome::Starved => {
                self.counters.starved += 1;
                self.deadlines
                    .arm(now + STARVED_RETRY, (key, Watch::Starved));
            }
            Outcome::Yielded => {
                self.counters.yields += 1;
                self.queue(key);
            }
        }
        self.watch(key, now);
    }

    /// Arms the deadlines that a client which does not keep up, or is leaving, needs.
    fn watch(&mut self, key: Key, now: Instant) {
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
            self.deadlines.arm(now + LINGER_QUIET, (key, Watch::Linger));
        }
    }

    /// Looks after every client whose deadline has come.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((key, watch)) = self.deadlines.expire(now) {
            if self.slots.get_mut(key).is_none() {
                continue;
            }
            match watch {
                Watch::Idle => self.expire_idle(key, now),
                Watch::Linger => self.expire_linger(key, now),
                Watch::Starved => self.queue(key),
                Watch::Stall => self.expire_stall(key, now, false),
                Watch::StallProbed => self.expire_stall(key, now, true),
            }
        }
    }

    fn expire_idle(&mut self, key: Key, now: Instant) {
        let (Some(client), Some((timeout, reason))) = (self.slots.get_mut(key), self.idle) else {
            return;
        };
        let due = client.active.instant(self.start) + timeout;
        if !client.peer.connection.is_open() {
            // Its unsent bytes, or the wait for its end, are watched by other deadlines.
        } else if client.peer.connection.has_unsent() || client.queued {
            self.deadlines.arm(now + timeout, (key, Watch::Idle));
        } else if due > now {
            self.deadlines.arm(due, (key, Watch::Idle));
        } else {
            client.peer.connection.finish(reason);
            self.queue(key);
        }
    }

    fn expire_linger(&mut self, key: Key, now: Instant) {
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        let quiet = client.active.instant(self.start) + LINGER_QUIET;
        let due = quiet.min(client.taken.instant(self.start) + LINGER_MAX);
        if due > now {
            self.deadlines.arm(due, (key, Watch::Linger));
        } else if let State::Draining { reason, .. } = client.peer.connection.state() {
            self.close(key, reason);
        }
    }

    fn expire_stall(&mut self, key: Key, now: Instant, probed: bool) {
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
            self.close(key, CloseReason::WriteStalled);
        } else {
            // The kernel reports room only once a third of a buffer of megabytes is free, which can
            // take a slow reader minutes. Whether it has taken anything, a write in this turn tells.
            client.peer.readiness.latch_writable();
            self.deadlines
                .arm(now + STALL_PROBE, (key, Watch::StallProbed));
            self.queue(key);
        }
    }

    /// From now on every client that has been quiet for a moment is hung up on.
    pub(super) fn drain(&mut self, now: Instant) {
        self.idle = Some((DRAIN_QUIET, CloseReason::Drained));
        for key in self.slots.keys() {
            self.deadlines.arm(now + DRAIN_QUIET, (key, Watch::Idle));
        }
    }

    /// Closes every client. Those that were only waited for have lost nothing.
    pub(super) fn abort(&mut self) {
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            let Some(client) = self.slots.get_mut(key) else {
                continue;
            };
            let reason = match client.peer.connection.state() {
                State::Draining {
                    reason, shut: true, ..
                } => reason,
                _ => CloseReason::Aborted,
            };
            self.close(key, reason);
        }
    }

    /// What has become of clients so far, and of their bytes.
    pub(super) fn counters(&self) -> ClientCounters {
        ClientCounters {
            moved: self.pump.tally().clone(),
            ..self.counters.clone()
        }
    }

    /// Counts what came of one attempt to accept.
    pub(super) fn accepted(&mut self, accepted: &Accepted) {
        self.counters.accept_errors += accepted.failed;
        self.counters.accept_yields += u64::from(accepted.budget_spent);
        self.counters.accept_pauses += u64::from(accepted.paused.is_some());
    }

    /// How many clients there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many more there may be.
    pub(super) fn free(&self) -> usize {
        self.slots.free()
    }

    /// Whether anyone can be served now.
    pub(super) fn is_runnable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the first deadline is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Whether a client has left since this was last asked.
    pub(super) fn take_left(&mut self) -> bool {
        std::mem::take(&mut self.left)
    }

    fn queue(&mut self, key: Key) {
        let Some(client) = self.slots.get_mut(key) else {
            return;
        };
        if !client.queued {
            client.queued = true;
            self.ready.push(key);
        }
    }

    /// The one place where a client leaves. Its socket is not duplicated anywhere, so dropping it
    /// ends its registration; an event already on its way finds a stale key.
    fn close(&mut self, key: Key, reason: CloseReason) {
        let Some(client) = self.slots.remove(key) else {
            return;
        };
        self.left = true;
        self.counters
            .closed(reason, client.peer.connection.unsent_len());
        log::debug!("{} left: {reason}", client.address);
        debug_assert_eq!(
            self.counters.live(),
            self.slots.len() as u64,
            "every client is counted once"
        );
    }
}
