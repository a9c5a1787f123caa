//! All connections of a load: who is ready, who is served, who is opened and when.

use std::collections::VecDeque;
use std::io;
use std::time::Instant;

use super::connection::Connection;
use super::draft::is_numbered;
use super::ending;
use super::flow::Flow;
use super::nanoseconds;
use super::opening::Unopened;
use super::overflow::Drops;
use super::pacer::Pacer;
use super::plan::{Plan, Reply};
use super::ports::Sources;
use super::random::mix;
use super::shared::Shared;
use super::socket::{After, Socket};
use super::timers::Timer;
use crate::probe::{Probe, What};
use crate::reactor::{Deadlines, Event, Key, Slots};

/// How long duplicates are waited for behind the last answer, in nanoseconds.
const QUIET: u64 = 50_000_000;

/// One connection or flow, and what is armed for it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) member: Member,
    pub(super) queued: bool,
    /// A deadline brings it back when its next message is due.
    pub(super) due_armed: bool,
    /// A deadline looks after what is in flight.
    pub(super) expiry_armed: bool,
    /// How often in a row it could not be opened.
    pub(super) failures: u32,
}

#[derive(Debug)]
pub(super) enum Member {
    Stream(Box<Connection>),
    Flow(Box<Flow>),
}

/// All connections of a load.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) slots: Slots<Slot>,
    ready: Vec<Key>,
    spare: Vec<Key>,
    pub(super) deadlines: Deadlines<Timer>,
    pub(super) unopened: VecDeque<Unopened>,
    /// Those that wait to be tried again, by their numbers.
    pub(super) parked: Vec<Option<Unopened>>,
    pub(super) sources: Sources,
    pub(super) run: u32,
    pub(super) dialling: usize,
    pub(super) connected: usize,
    /// When the next connection may be opened, if there is a rate.
    pub(super) next_dial: u64,
    /// A timer says when that is.
    pub(super) dial_armed: bool,
    pub(super) last_error: Option<io::Error>,
    pub(super) interval_ended: bool,
    /// Those whose answers may be overdue.
    pub(super) overdue: Vec<Key>,
    /// Flows that the poll may have forgotten.
    pub(super) forgotten: Vec<Key>,
    /// How many datagrams the kernel had dropped at each of our ports when the measuring began.
    drops_before: Drops,
}

impl Book {
    pub(super) fn new(plan: &Plan, start: Instant) -> Self {
        let all = plan.connections + plan.idle;
        let unopened = (0..all).map(|number| Unopened {
            number,
            pacer: Pacer::new(number, plan),
            failures: 0,
        });
        let entropy = start.elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 32;
        let run = mix(plan.seed ^ mix(entropy ^ std::process::id() as u64));
        Self {
            slots: Slots::new(all),
            ready: Vec::new(),
            spare: Vec::new(),
            deadlines: Deadlines::new(start),
            unopened: unopened.collect(),
            parked: std::iter::repeat_with(|| None).take(all).collect(),
            sources: Sources::new(&plan.sources),
            run: run as u32,
            dialling: 0,
            connected: 0,
            next_dial: 0,
            dial_armed: false,
            last_error: None,
            interval_ended: false,
            overdue: Vec::new(),
            forgotten: Vec::new(),
            drops_before: Drops::default(),
        }
    }

    /// An event for the connection that `key` names, if it is still there.
    #[inline]
    pub(super) fn ready(&mut self, key: Key, event: &Event) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match &mut slot.member {
            Member::Stream(connection) => connection.readiness.merge(event.readiness()),
            Member::Flow(flow) => {
                flow.readable |= event.readiness().is_readable();
                flow.writable |= event.readiness().is_writable();
            }
        }
        if !slot.queued {
            slot.queued = true;
            self.ready.push(key);
        }
    }

    /// Serves everyone who is on the ready list now, once.
    pub(super) fn serve(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        let mut serving = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare));
        for &key in &serving {
            self.serve_one(key, shared, now);
        }
        serving.clear();
        self.spare = serving;
    }

    #[inline]
    pub(super) fn serve_one<P: Probe>(&mut self, key: Key, shared: &mut Shared<P>, now: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.queued = false;
        let began = shared.probe.now();
        let after = match &mut slot.member {
            Member::Stream(connection) => {
                if !matches!(connection.socket, Socket::Connected(_)) {
                    return self.serve_dialling(key, shared, now);
                }
                shared.probe.serve_began(key.client());
                let after = connection.turn(shared);
                if P::ON {
                    let served = after.served(connection.is_blocked());
                    shared.probe.serve_ended(key.client(), served);
                }
                after
            }
            Member::Flow(flow) => {
                let moved = flow.moved();
                let after = flow.turn(shared);
                if flow.forgotten {
                    self.forgotten.push(key);
                }
                if P::ON {
                    let [received, sent] = flow.moved();
                    let what = What::Datagrams {
                        received: (received - moved[0]) as u32,
                        sent: (sent - moved[1]) as u32,
                    };
                    shared.probe.did(None, what, began);
                }
                after
            }
        };
        if !slot.expiry_armed {
            let until = match &mut slot.member {
                Member::Stream(connection) if connection.answers.is_empty() => None,
                Member::Flow(flow) if flow.flight.len() == 0 => None,
                // It is not answered, whatever the time.
                _ if shared.plan.reply == Reply::None => None,
                _ => Some(
                    shared
                        .now()
                        .saturating_add(nanoseconds(shared.plan.timeout)),
                ),
            };
            if let Some(until) = until {
                slot.expiry_armed = true;
                self.deadlines
                    .arm(shared.instant(until), Timer::Expiry(key));
            }
        }
        match after {
            After::Nothing => {}
            After::Turn => self.queue(key),
            After::TurnAt(at) if slot.due_armed => {
                let _ = at;
            }
            After::TurnAt(at) => {
                slot.due_armed = true;
                self.deadlines.arm(shared.instant(at), Timer::Due(key));
            }
            After::End(end) => self.end(key, end, shared),
        }
    }

    /// Everyone may send from now on.
    pub(super) fn start_all(&mut self, shared: &Shared<impl Probe>, now: u64) {
        self.deadlines
            .arm(shared.instant(now) + shared.plan.interval, Timer::Interval);
        self.queue_all();
    }

    /// What is due `from` then on is measured, and intervals are counted from now on.
    pub(super) fn begin_measuring(&mut self, shared: &mut Shared<impl Probe>, from: u64, now: u64) {
        for key in self.slots.keys().collect::<Vec<_>>() {
            match self.slots.get_mut(key).map(|slot| &mut slot.member) {
                Some(Member::Stream(connection)) => connection.pacer.skip_to(from, shared),
                Some(Member::Flow(flow)) => flow.pacer.skip_to(from, shared),
                None => {}
            }
        }
        let parked = self.parked.iter_mut().flatten();
        for unopened in self.unopened.iter_mut().chain(parked) {
            unopened.pacer.skip_to(from, shared);
        }
        self.deadlines
            .retain(|timer| !matches!(timer, Timer::Interval));
        self.deadlines
            .arm(shared.instant(now) + shared.plan.interval, Timer::Interval);
        self.interval_ended = false;
        if shared.plan.udp && !shared.plan.warmup.is_zero() {
            self.drops_before.look(&self.ports_by_server());
        }
        shared.recorder.begin_measuring(now);
    }

    /// Whether an interval has ended since this was last asked.
    pub(super) const fn take_interval_end(&mut self) -> bool {
        std::mem::replace(&mut self.interval_ended, false)
    }

    pub(super) fn queue_all(&mut self) {
        let keys: Vec<Key> = self.slots.keys().collect();
        for key in keys {
            self.queue(key);
        }
    }

    /// Whether nothing is in flight, and nothing that was due is still to be sent.
    pub(super) fn is_settled(&self, shared: &Shared<impl Probe>, now: u64) -> bool {
        if shared.recorder.in_flight() > 0 || !self.ready.is_empty() {
            return false;
        }
        if let Some(quiet_at) = self.quiet_at(shared) {
            return now >= quiet_at;
        }
        // Who is being opened again may have been to send something. Who is there and can't has something in flight.
        let parked = || self.parked.iter().any(Option::is_some);
        self.unopened.is_empty() && (!shared.plan.is_open() || self.dialling == 0 && !parked())
    }

    /// When no duplicate of the last datagram is to be expected any more. `None`: there are no datagrams, or some are
    /// still awaited.
    pub(super) fn quiet_at(&self, shared: &Shared<impl Probe>) -> Option<u64> {
        let last = shared.recorder.progress.last().max(shared.due_until);
        let nothing_awaited = shared.recorder.in_flight() == 0;
        (shared.plan.udp && nothing_awaited).then(|| last.saturating_add(QUIET))
    }

    /// Which servers those that are to send can't send to: the last attempt to connect them failed, or the last datagram
    /// was refused.
    pub(super) fn refused(&self, plan: &Plan) -> Vec<u32> {
        let waiting = self.unopened.iter().chain(self.parked.iter().flatten());
        let waiting =
            waiting.filter(|unopened| unopened.failures > 0 && unopened.number < plan.connections);
        let there = self.slots.values().filter_map(|slot| match &slot.member {
            Member::Stream(connection) => {
                let is_dialling = !matches!(connection.socket, Socket::Connected(_));
                let is_refused = is_dialling && slot.failures > 0 && !connection.is_silent();
                is_refused.then(|| connection.pacer.server())
            }
            Member::Flow(flow) => flow.refusals.is_refused().then(|| flow.pacer.server()),
        });
        waiting
            .map(|unopened| unopened.pacer.server())
            .chain(there)
            .collect()
    }

    /// Whether the port that datagrams are sent to is closed: one of the first of every flow was refused, and no reply
    /// has ever come.
    pub(super) fn is_port_closed(&self, shared: &Shared<impl Probe>) -> bool {
        let received = shared.recorder.outcome.udp.as_ref();
        if received.is_none_or(|datagrams| datagrams.received > 0) {
            return false;
        }
        let flows = || {
            self.slots.values().filter_map(|slot| match &slot.member {
                Member::Flow(flow) => Some(&**flow),
                Member::Stream(_) => None,
            })
        };
        let has_sent = |flow: &&Flow| flow.moved()[1] > 0;
        // Of several servers, others may be there.
        let enough = if shared.plan.targets.len() > 1 {
            flows().all(|flow| has_sent(&flow))
        } else {
            flows().any(|flow| has_sent(&flow))
        };
        let mut sending = flows().filter(has_sent);
        enough && sending.all(|flow| flow.refusals.is_refused_from_the_beginning())
    }

    /// The ports of flows, and the servers that they send to.
    fn ports_by_server(&self) -> Vec<(u16, u32)> {
        let flows = self.slots.values().filter_map(|slot| match &slot.member {
            Member::Flow(flow) => {
                let local = flow.socket.local_addr().ok()?;
                Some((local.port(), flow.pacer.server()))
            }
            Member::Stream(_) => None,
        });
        flows.collect()
    }

    /// The run is over: messages in flight, and those still due, end in the state that applies now.
    pub(super) fn wind_up(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        shared.recorder.ended = now;
        let ports = self.ports_by_server();
        let mut jitters = 0.0;
        for key in self.slots.keys().collect::<Vec<_>>() {
            let Some(slot) = self.slots.get_mut(key) else {
                continue;
            };
            match &mut slot.member {
                Member::Stream(connection) => {
                    ending::end_of_run(connection, shared, now);
                    connection.pacer.give_up(shared, now);
                }
                Member::Flow(flow) => {
                    flow.abandon(shared, now);
                    flow.pacer.give_up(shared, now);
                    let (sent, jitter) = flow.figures();
                    let datagrams = shared.recorder.outcome.udp.get_or_insert_default();
                    datagrams.sent += sent;
                    jitters += jitter;
                }
            }
        }
        let parked = self.parked.iter_mut().filter_map(Option::take);
        for mut unopened in self.unopened.drain(..).chain(parked) {
            unopened.pacer.give_up(shared, now);
        }
        if shared.recorder.outcome.gave_up.is_some() {
            // They were meant for no server in particular.
            let messages = &mut shared.recorder.outcome.messages;
            messages.offered += shared.left.unwrap_or(0);
            messages.never_sent += shared.left.unwrap_or(0);
        }
        if let Some(datagrams) = &mut shared.recorder.outcome.udp {
            datagrams.numbered = is_numbered(&shared.plan);
            datagrams.jitter_ns = (jitters / shared.plan.connections as f64).round() as u64;
            self.drops_before
                .count_overflow(&ports, &mut shared.recorder);
        }
    }

    /// Whether every connection is there, or has been tried at least once.
    pub(super) fn is_tried(&self) -> bool {
        self.dialling == 0 && self.unopened.is_empty()
    }

    /// How many connections there are.
    pub(super) const fn connected(&self) -> usize {
        self.connected
    }

    pub(super) fn last_error(&mut self) -> io::Error {
        let none = || io::Error::from(io::ErrorKind::TimedOut);
        self.last_error.take().unwrap_or_else(none)
    }

    /// Whether something can be done without waiting for an event or a deadline.
    pub(super) fn is_runnable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the first deadline is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(super) fn queue(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if !slot.queued {
            slot.queued = true;
            self.ready.push(key);
        }
    }
}
