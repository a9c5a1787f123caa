//! All sockets of a load: which are served, opened and closed, and when.

use std::io;
use std::time::Instant;

use crate::connection::Stream;
use crate::load::connections::close::{close, count_established};
use crate::load::connections::connect_state::CloseCause;
use crate::load::connections::finish::finish;
use crate::load::connections::opener::Opener;
use crate::load::connections::slots::{Slot, Socket, SocketSlots};
use crate::load::connections::timers::{Timer, Timers};
use crate::load::connections::untried_addresses::UntriedAddresses;
use crate::load::host::Host;
use crate::load::next_step::NextStep;
use crate::load::plan::{Close, Plan, Reply};
use crate::load::result::outcome::Step;
use crate::load::result::overflow::{Drops, inodes};
use crate::load::shared::Shared;
use crate::load::time::{elapsed, nanoseconds};
use crate::probe::{Probe, What};
use crate::reactor::{Key, Registry};

/// How long duplicates are waited for after the last reply, in nanoseconds.
const QUIET: u64 = 50_000_000;

/// All sockets of a load.
pub(crate) struct ConnectionTable<P, H: Host> {
    /// Observes everything that is done.
    pub(crate) probe: P,
    pub(crate) slots: SocketSlots<H>,
    pub(crate) timers: Timers,
    pub(crate) opener: Opener,
    /// Addresses of servers from which no datagram has come.
    pub(crate) untried: UntriedAddresses,
    /// How many connections and flows are open.
    pub(crate) connected: usize,
    /// An interval has ended.
    pub(crate) interval_ended: bool,
    /// Sockets with messages that may have reached their time limits.
    overdue: Vec<Key>,
    /// Flows that the poll may have forgotten.
    forgotten: Vec<Key>,
    /// How many datagrams the kernel had dropped at each of our ports when the measuring began.
    drops_before: Drops,
}

impl<P: Probe, H: Host> ConnectionTable<P, H> {
    /// The sockets of `plan`, none of them open, for a load that begins at `start`. `entropy` differs from run to run.
    pub(crate) fn new(plan: &Plan, start: Instant, entropy: u64, probe: P) -> Self {
        Self {
            probe,
            slots: SocketSlots::new(plan.connections + plan.idle),
            timers: Timers::new(start),
            opener: Opener::new(plan, entropy),
            untried: UntriedAddresses::new(plan),
            connected: 0,
            interval_ended: false,
            overdue: Vec::new(),
            forgotten: Vec::new(),
            drops_before: Drops::default(),
        }
    }

    /// Serves every socket that is on the ready list now, once.
    pub(crate) fn serve(&mut self, shared: &mut Shared<H>, now: u64) {
        let list = self.slots.take_ready();
        for &key in &list {
            self.serve_one(key, shared, now);
        }
        self.slots.served(list);
    }

    #[inline]
    fn serve_one(&mut self, key: Key, shared: &mut Shared<H>, now: u64) {
        let Some(slot) = self.slots.serve(key) else {
            return;
        };
        let began = self.probe.now();
        let next = match &mut slot.socket {
            Socket::Stream(connection) => {
                if !connection.socket.is_connected() {
                    return self.serve_connecting(key, shared, now);
                }
                self.probe.serve_began(key.client());
                let next = connection.turn(shared, &mut self.probe);
                if P::ON {
                    let served = CloseCause::served(&next, connection.is_blocked());
                    self.probe.serve_ended(key.client(), served);
                }
                next
            }
            Socket::Flow(flow) => {
                let moved = flow.moved();
                let next = flow.turn(shared);
                if flow.forgotten {
                    self.forgotten.push(key);
                }
                if P::ON {
                    let [received, sent] = flow.moved();
                    let what = What::Datagrams {
                        received: (received - moved[0]) as u32,
                        sent: (sent - moved[1]) as u32,
                    };
                    self.probe.did(None, what, began);
                }
                Ok(next)
            }
        };
        // Without a reply to come, there is no time limit to pass.
        if !slot.expiry_armed && slot.socket.has_in_flight() && shared.plan.reply != Reply::None {
            slot.expiry_armed = true;
            let until = shared.now() + nanoseconds(shared.plan.timeout);
            self.timers.arm(shared.instant(until), Timer::Expiry(key));
        }
        match next {
            Ok(NextStep::Wait) => {}
            Ok(NextStep::Again) => self.slots.queue(key),
            Ok(NextStep::At(at)) if at >= slot.due_at => {}
            Ok(NextStep::At(at)) => {
                slot.due_at = at;
                self.timers.arm(shared.instant(at), Timer::Due(key));
            }
            Err(cause) => self.close(key, cause, shared),
        }
    }

    /// An attempt to connect may have been decided.
    #[cold]
    #[inline(never)]
    fn serve_connecting(&mut self, key: Key, shared: &mut Shared<H>, now: u64) {
        let Some(Socket::Stream(connection)) = self.slots.socket_mut(key) else {
            return;
        };
        if connection.socket.awaits_greeting() {
            return self.serve_greeting(key, shared, now);
        }
        match connection.socket.connects() {
            Ok(false) => {}
            Ok(true) => {
                let connected_at = shared.now();
                let took = elapsed(connection.since, connected_at);
                let connect = &mut shared.recorder.outcome.latency.connect;
                connect.saturating_record(took.max(1));
                connection.since = connected_at;
                if P::ON {
                    connection.who = Some(key.client());
                    if let Some(local) = connection.local() {
                        self.probe.opened(key.client(), local);
                    }
                }
                self.connected += 1;
                count_established(connection.pacer.server(), self.connected, shared);
                if shared.greeting.is_some() {
                    connection.socket.await_greeting();
                    let until = shared.instant(connected_at) + shared.plan.connect_timeout;
                    self.timers.arm(until, Timer::Greeting(key));
                    return self.serve_greeting(key, shared, now);
                }
                self.begin_use(key, shared, now);
            }
            Err(error) => self.close(key, CloseCause::Failed(Step::Connect, error), shared),
        }
    }

    /// Messages may be sent on the connection that `key` names.
    pub(crate) fn begin_use(&mut self, key: Key, shared: &mut Shared<H>, now: u64) {
        self.opener.connecting -= 1;
        if let Some(Socket::Stream(connection)) = self.slots.socket_mut(key)
            && let Some(at) = connection.used_up_at(shared)
        {
            self.timers.arm(shared.instant(at), Timer::Due(key));
        }
        self.serve_one(key, shared, now);
    }

    /// A connection is over. It is opened again: after a pause, if it could not be opened or was of no use.
    #[cold]
    #[inline(never)]
    pub(crate) fn close(&mut self, key: Key, cause: CloseCause, shared: &mut Shared<H>) {
        let now = shared.now();
        let places = matches!(cause, CloseCause::Mismatched(..)).then(|| self.slots.places());
        let Some(Slot {
            socket: Socket::Stream(connection),
            failures,
            ..
        }) = self.slots.remove(key)
        else {
            return;
        };
        if let Some(stream) = connection.socket.stream() {
            if shared.plan.close == Close::Reset || places.is_some() {
                let _ = stream.reset_on_close();
            }
            self.probe.closed(key.client(), cause.name());
            self.connected -= 1;
        }
        if !connection.socket.is_connected() {
            self.opener.connecting -= 1;
        }
        let places = places.unwrap_or_default();
        let closed = close(*connection, cause, failures, &places, shared, now);
        if closed.has_withdrawn {
            // Others may have found nothing left to send.
            self.slots.queue_all();
        }
        if closed.error.is_some() {
            self.opener.last_error = closed.error;
        }
        let timers = &mut self.timers;
        self.opener.open_again(closed.pending, shared, timers, now);
    }

    /// Does what is due at `now`.
    pub(crate) fn expire(&mut self, shared: &mut Shared<H>, now: u64) {
        let at = shared.instant(now);
        while let Some(timer) = self.timers.expire(at) {
            match timer {
                Timer::Due(key) => {
                    if let Some(slot) = self.slots.get_mut(key) {
                        slot.due_at = u64::MAX;
                    }
                    self.slots.queue(key);
                }
                Timer::Expiry(key) => self.overdue.push(key),
                Timer::Connect(key) if self.slots.is_connecting(key) => {
                    let error = io::ErrorKind::TimedOut.into();
                    self.close(key, CloseCause::Failed(Step::Connect, error), shared);
                }
                Timer::Greeting(key) if self.slots.awaits_greeting(key) => {
                    self.close(key, CloseCause::NoGreeting, shared);
                }
                Timer::Connect(_) | Timer::Greeting(_) => {}
                Timer::Retry(number) => self.opener.pending.resume(number),
                Timer::Open => self.opener.timer_expired(),
                Timer::Interval => {
                    self.interval_ended = true;
                    self.timers.arm(at + shared.plan.interval, Timer::Interval);
                }
            }
        }
        self.slots.prune(&mut self.timers);
    }

    /// Looks for messages that have reached their time limits, after what has come in this iteration was received: a reply that
    /// had come while this client itself was held up is not late.
    pub(crate) fn expire_overdue(&mut self, shared: &mut Shared<H>) {
        if self.overdue.is_empty() {
            return;
        }
        let now = shared.now();
        let mut overdue = std::mem::take(&mut self.overdue);
        for key in overdue.drain(..) {
            if let Some(next) = self.slots.expire_messages(key, shared, now) {
                self.timers.arm(shared.instant(next), Timer::Expiry(key));
            }
        }
        self.overdue = overdue;
    }

    /// Registers flows again that have had an error.
    pub(crate) fn watch_again(&mut self, shared: &mut Shared<H>, registry: &Registry) {
        for key in std::mem::take(&mut self.forgotten) {
            if let Err(error) = self.slots.watch_again(key, registry) {
                shared.recorder.error(Step::Read, &error);
            }
        }
    }

    /// Messages due at `from` or later are measured, and intervals are counted from now on.
    pub(crate) fn begin_measuring(&mut self, shared: &mut Shared<H>, from: u64, now: u64) {
        for pacer in self
            .slots
            .pacers_mut()
            .chain(self.opener.pending.pacers_mut())
        {
            pacer.skip_to(from, &shared.schedule);
        }
        self.timers
            .restart_interval(shared.instant(now) + shared.plan.interval);
        self.interval_ended = false;
        if shared.plan.udp && !shared.plan.warmup.is_zero() {
            let inodes = inodes(&self.slots.inodes_by_server());
            self.drops_before
                .begin(shared.host.dropped_datagrams(&inodes));
        }
        let queued = shared.host.run_queue_wait();
        shared.recorder.begin_measuring(queued, now);
    }

    /// Whether nothing is in flight, and nothing that was due is still to be sent.
    pub(crate) fn is_settled(&self, shared: &Shared<H>, now: u64) -> bool {
        if shared.recorder.in_flight() > 0 || self.slots.has_ready() {
            return false;
        }
        if shared.plan.udp {
            return self.quiet_at(shared, now).is_some_and(|at| now >= at);
        }
        // A connection that is opened again may have something to send. One that is open and can't has something in flight.
        let is_opening = self.opener.connecting > 0 || self.opener.pending.is_paused();
        !self.opener.pending.is_waiting() && (!shared.plan.is_open() || !is_opening)
    }

    /// When no duplicate of the last datagram is to be expected any more. `None`: there are no datagrams, or some are
    /// awaited or still to be sent at `now`.
    pub(crate) fn quiet_at(&self, shared: &Shared<H>, now: u64) -> Option<u64> {
        if !shared.plan.udp || shared.recorder.in_flight() > 0 {
            return None;
        }
        let last = shared.recorder.progress.last().max(shared.schedule.until);
        let has_unsent = self.slots.has_unsent(&shared.schedule, now);
        (!has_unsent).then(|| last.saturating_add(QUIET))
    }

    /// The servers of sending sockets that can't send: the last attempt to connect failed, or the last datagram was refused.
    pub(crate) fn refused(&self, plan: &Plan) -> Vec<u32> {
        let pending = self.opener.pending.iter();
        let pending =
            pending.filter(|pending| pending.failures > 0 && pending.number < plan.connections);
        let pending = pending.map(|pending| pending.pacer.server());
        pending.chain(self.slots.refused()).collect()
    }

    /// Whether the port that datagrams are sent to is closed: one of the first of every flow was refused, and no reply
    /// has ever come.
    pub(crate) fn is_port_closed(&self, shared: &Shared<H>) -> bool {
        let datagrams = shared.recorder.outcome.udp.as_ref();
        // Of several servers, others may be there.
        let several = shared.plan.targets.len() > 1;
        datagrams.is_some_and(|datagrams| datagrams.received == 0)
            && self.slots.is_refused_from_the_beginning(several)
    }

    /// The run is over at `now`: every message ends.
    pub(crate) fn finish(&mut self, shared: &mut Shared<H>, now: u64) {
        let pending = &mut self.opener.pending;
        finish(&mut self.slots, pending, &self.drops_before, shared, now);
    }
}
