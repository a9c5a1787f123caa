//! One flow of datagrams of a load.

use std::io::ErrorKind;
use std::time::Duration;

use super::answers::InFlight;
use super::backoff;
use super::draft::{Draft, PlainReply, RepliesTo, is_numbered};
use super::expired::Expired;
use super::flight::Flight;
use super::jitter::Jitter;
use super::messages::State;
use super::outcome::{Datagrams, Mismatch, MismatchKind, Step};
use super::pacer::{Due, Pacer};
use super::plan::Reply;
use super::refusals::Refusals;
use super::shared::Shared;
use super::socket::After;
use super::window::{Seen, Window};
use super::{elapsed, nanoseconds};
use crate::probe::Probe;
use crate::reactor::UdpSocket;

/// How many datagrams one flow may receive, and send, in a turn before it is the next one's.
const BUDGET: usize = 256;

/// How long a flow waits after the kernel did not take a datagram.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A reply without a number is taken for one to an expired message for this many times the time limit.
const LATE_TIMES: u64 = 3;

/// One flow of datagrams: a socket that talks to one server, and the numbers it has given to what it sent.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) number: usize,
    pub(super) socket: UdpSocket,
    pub(super) readable: bool,
    /// An error of its own may have made the poll forget it.
    pub(super) forgotten: bool,
    pub(super) writable: bool,
    pub(super) pacer: Pacer,
    draft: Draft,
    /// How many have been sent: the number of the next.
    sent: u64,
    received: u64,
    /// Datagrams that are awaited.
    pub(super) flight: Flight,
    /// Datagrams whose time limit has passed. They may still be replied to.
    expired: Expired,
    /// Wrong replies that do not show which message they reply to.
    unattributed: u64,
    pub(super) refusals: Refusals,
    /// How often in a row the kernel did not take a datagram.
    failures: u32,
    window: Window,
    jitter: Jitter,
}

impl Flow {
    pub(super) fn new(
        number: usize,
        socket: UdpSocket,
        run: u32,
        pacer: Pacer,
        shared: &Shared<impl Probe>,
    ) -> Self {
        Self {
            number,
            socket,
            readable: false,
            forgotten: false,
            writable: true,
            pacer,
            draft: Draft::new(
                shared.salt(number),
                run,
                number as u32,
                is_numbered(&shared.plan),
            ),
            sent: 0,
            received: 0,
            flight: Flight::default(),
            expired: Expired::new(&shared.plan),
            unattributed: 0,
            refusals: Refusals::default(),
            failures: 0,
            window: Window::of(&shared.plan),
            jitter: Jitter::default(),
        }
    }

    /// How many datagrams were received, and sent.
    pub(super) const fn moved(&self) -> [u64; 2] {
        [self.received, self.sent]
    }

    /// How many datagrams were sent, and how much the times of answers vary, in nanoseconds.
    pub(super) const fn figures(&self) -> (u64, f64) {
        (self.sent, self.jitter.get())
    }

    /// Takes answers, and sends what is due.
    pub(super) fn turn(&mut self, shared: &mut Shared<impl Probe>) -> After {
        let mut now = shared.now();
        let mut left = BUDGET;
        while self.readable && left > 0 {
            left -= 1;
            self.receive(shared, &mut now);
        }
        let after = self.send(shared);
        if self.readable { After::Turn } else { after }
    }

    fn receive(&mut self, shared: &mut Shared<impl Probe>, now: &mut u64) {
        shared.recorder.outcome.client.reads += 1;
        let size = match self.socket.recv(&mut shared.room) {
            Ok(size) => size,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                shared.recorder.outcome.client.would_block += 1;
                return;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            // It concerns a datagram that was sent before, and which gets no reply.
            Err(error) => {
                (self.readable, self.forgotten) = (false, true);
                self.refusals.note(&error, self.sent);
                return shared.recorder.error(Step::Read, &error);
            }
        };
        *now = shared.now();
        self.refusals.heard();
        shared.recorder.received(*now, size);
        datagrams(shared).received += 1;
        self.received += 1;
        if self.draft.numbered {
            self.receive_numbered(size, shared, *now);
        } else {
            self.receive_plain(size, shared, *now);
        }
    }

    /// An answer that carries its number.
    fn receive_numbered(&mut self, size: usize, shared: &mut Shared<impl Probe>, now: u64) {
        let datagram = &shared.room[..size];
        let replies_to = self.draft.replies_to(datagram, self.sent, &shared.expected);
        let counts = datagrams(shared);
        let number = match replies_to {
            RepliesTo::Right(number) => number,
            RepliesTo::Altered(number, at) => {
                counts.corrupt += 1;
                self.window.see(number);
                self.mismatch(now, at, size, MismatchKind::Altered, shared);
                return self.replied_wrongly(number, shared, now);
            }
            RepliesTo::Damaged(at, kind) => {
                counts.corrupt += 1;
                self.mismatch(now, at, size, kind, shared);
                return self.replied_wrongly_to_any(shared, now);
            }
            RepliesTo::Foreign(kind) => {
                counts.foreign += 1;
                self.mismatch(now, 0, size, kind, shared);
                return self.replied_wrongly_to_any(shared, now);
            }
            RepliesTo::OtherRun => return counts.foreign += 1,
        };
        self.replied_rightly(number, shared, now);
    }

    /// A wrong reply to datagram `number`.
    fn replied_wrongly(&mut self, number: u64, shared: &mut Shared<impl Probe>, now: u64) {
        if let Some(message) = self.flight.take(number) {
            self.done(&message, shared, now);
            self.settle(&message, State::Mismatched, shared);
        } else if let Some(message) = self.expired.take(number) {
            datagrams(shared).late += 1;
            self.settle(&message, State::Mismatched, shared);
        }
    }

    /// The right reply to datagram `number`, if it has not come before.
    fn replied_rightly(&mut self, number: u64, shared: &mut Shared<impl Probe>, now: u64) {
        let seen = self.window.see(number);
        let counts = datagrams(shared);
        match (seen, self.flight.take(number)) {
            (Seen::Duplicate, _) => counts.duplicate += 1,
            // Whether it has come before is not known any more.
            (Seen::TooOld(_), None) => counts.late += 1,
            (seen, message) => {
                if let Seen::Reordered(extent) | Seen::TooOld(extent) = seen {
                    counts.reordered += 1;
                    counts.reorder_extent = counts.reorder_extent.max(extent);
                }
                match message {
                    Some(message) => self.replied(&message, shared, now),
                    None => {
                        counts.late += 1;
                        if let Some(message) = self.expired.take(number) {
                            shared
                                .recorder
                                .replied_to(self.pacer.server(), &message, now);
                        }
                    }
                }
            }
        }
    }

    /// A wrong reply that does not say what it replies to: to the only message in flight, or to one of them. One that
    /// gets no other reply is taken for it then.
    fn replied_wrongly_to_any(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        match self.flight.first() {
            Some((number, message)) if self.flight.len() == 1 => {
                self.flight.take(number);
                self.done(&message, shared, now);
                self.settle(&message, State::Mismatched, shared);
            }
            _ => self.unattributed += 1,
        }
    }

    /// A reply without a number: to the only datagram in flight.
    fn receive_plain(&mut self, size: usize, shared: &mut Shared<impl Probe>, now: u64) {
        let answer = &shared.room[..size];
        let reply = self.draft.replies_to_last(answer, &shared.expected);
        let awaited = self.flight.first();
        let (PlainReply::Last | PlainReply::Wrong(..), Some((number, message))) = (reply, awaited)
        else {
            // To one that has expired, or a duplicate.
            datagrams(shared).late += 1;
            let is_right = !matches!(reply, PlainReply::Wrong(..));
            let limit = nanoseconds(shared.plan.timeout).saturating_mul(LATE_TIMES);
            let oldest = now.saturating_sub(limit);
            if let Some(message) = is_right.then(|| self.expired.take_last(oldest)).flatten() {
                let server = self.pacer.server();
                shared.recorder.replied_to(server, &message, now);
            }
            return;
        };
        self.flight.take(number);
        if let PlainReply::Wrong(at, kind) = reply {
            datagrams(shared).corrupt += 1;
            self.mismatch(now, at, size, kind, shared);
            self.done(&message, shared, now);
            return self.settle(&message, State::Mismatched, shared);
        }
        self.replied(&message, shared, now);
    }

    fn replied(&mut self, message: &InFlight, shared: &mut Shared<impl Probe>, now: u64) {
        shared.recorder.replied(self.pacer.server(), message, now);
        self.jitter.add(elapsed(message.sent, now));
        self.pacer.release(now, &shared.recorder);
    }

    /// A datagram that was taken out of flight is not awaited any more.
    fn done(&mut self, message: &InFlight, shared: &mut Shared<impl Probe>, now: u64) {
        shared.recorder.leave(message, now);
        self.pacer.release(now, &shared.recorder);
    }

    fn settle(&self, message: &InFlight, state: State, shared: &mut Shared<impl Probe>) {
        shared.recorder.settle(self.pacer.server(), message, state);
    }

    /// Does not await any more what has been in flight for too long. Returns when the next will have been.
    pub(super) fn expire(&mut self, shared: &mut Shared<impl Probe>, now: u64) -> Option<u64> {
        let timeout = nanoseconds(shared.plan.timeout);
        loop {
            let (number, message) = self.flight.first()?;
            let until = message.sent.saturating_add(timeout);
            if until > now {
                return Some(until);
            }
            self.flight.take(number);
            shared.recorder.timed_out();
            self.done(&message, shared, now);
            if shared.recorder.in_flight() == 0 {
                shared.recorder.progress.gave_up_on_all(now);
            }
            if let Some(oldest) = self.expired.push(number, message) {
                self.lose(&oldest, shared);
            }
        }
    }

    /// No reply to `message` has come. A wrong reply that does not show its message is taken for its reply.
    fn lose(&mut self, message: &InFlight, shared: &mut Shared<impl Probe>) {
        if self.unattributed > 0 {
            self.unattributed -= 1;
            return self.settle(message, State::Mismatched, shared);
        }
        datagrams(shared).lost += 1;
        self.settle(message, State::Lost, shared);
    }

    /// The run is over at `now`: nothing is awaited any more.
    pub(super) fn abandon(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        while let Some(message) = self.expired.pop() {
            self.lose(&message, shared);
        }
        let aborted = shared.recorder.outcome.aborted;
        while let Some((number, message)) = self.flight.first() {
            self.flight.take(number);
            shared.recorder.leave(&message, now);
            // Replies were waited for, unless the run was ended at once.
            if aborted && self.unattributed == 0 {
                self.settle(&message, State::UnansweredAtEnd, shared);
            } else {
                self.lose(&message, shared);
            }
        }
    }

    fn send(&mut self, shared: &mut Shared<impl Probe>) -> After {
        let most = if self.draft.numbered {
            shared.plan.pipeline
        } else {
            1
        };
        let silent = shared.plan.reply == Reply::None;
        for _ in 0..BUDGET {
            let now = shared.now();
            if !self.writable || (self.flight.len() >= most && !silent) {
                self.pacer.hold(now);
                return After::Nothing;
            }
            self.pacer.release(now, &shared.recorder);
            let due = match self.pacer.next(shared, now) {
                Due::Since(due) => due,
                Due::At(at) => return After::TurnAt(at),
                Due::Never => return After::Nothing,
            };
            let size = shared.draw_size();
            let datagram = self.draft.write(self.sent, size, &shared.expected);
            shared.recorder.outcome.client.writes += 1;
            match self.socket.send(datagram) {
                Ok(_) => self.note_sent(due, size, now, shared),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    shared.recorder.outcome.client.would_block += 1;
                }
                // Either of a datagram before (a pending ICMP error is reported once, udp(7)), or of this one. It was not
                // sent in either case, and is tried again: at once the first time.
                Err(error) => {
                    self.refusals.note(&error, self.sent);
                    shared.recorder.error(Step::Write, &error);
                    shared.recorder.progress.failed(now);
                    if self.failures > 0 {
                        let pause = backoff::pause(self.failures, PAUSE_MIN, PAUSE_MAX);
                        self.failures = self.failures.saturating_add(1);
                        self.pacer.hold(now);
                        return After::TurnAt(now + pause.as_nanos() as u64);
                    }
                    self.failures = 1;
                }
            }
        }
        After::Turn
    }

    fn note_sent(&mut self, due: u64, size: usize, now: u64, shared: &mut Shared<impl Probe>) {
        let message = self.pacer.send(due, size, now, shared);
        self.sent += 1;
        self.failures = 0;
        shared.recorder.wrote(now, size);
        if shared.plan.reply == Reply::None {
            self.refusals.sent_without_reply();
            return shared.recorder.written(self.pacer.server(), &message, now);
        }
        self.flight.push(self.sent - 1, message);
    }

    fn mismatch(
        &self,
        now: u64,
        at: usize,
        size: usize,
        kind: MismatchKind,
        shared: &mut Shared<impl Probe>,
    ) {
        let got = shared.room[at.min(size)..size.min(at + 16)].to_vec();
        shared.recorder.mismatch(now, || Mismatch {
            connection: self.number,
            local: self.socket.local_addr().ok(),
            offset: at as u64,
            expected: Vec::new(),
            got,
            kind,
        });
    }
}

fn datagrams(shared: &mut Shared<impl Probe>) -> &mut Datagrams {
    shared.recorder.outcome.udp.get_or_insert_default()
}
