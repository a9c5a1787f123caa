//! One flow of datagrams of a load.

use std::time::Duration;

use crate::connection::Transfer;
use crate::load::datagrams::awaited::AwaitedDatagrams;
use crate::load::datagrams::expired::ExpiredDatagrams;
use crate::load::datagrams::jitter::Jitter;
use crate::load::datagrams::payload::{DatagramPayload, PlainReply, RepliesTo, is_numbered};
use crate::load::datagrams::refusals::Refusals;
use crate::load::datagrams::sequence_window::{Seen, SequenceWindow};
use crate::load::host::Host;
use crate::load::next_step::NextStep;
use crate::load::plan::Reply;
use crate::load::result::messages::State;
use crate::load::result::outcome::{Mismatch, MismatchKind, Step};
use crate::load::schedule::backoff;
use crate::load::schedule::message::SentMessage;
use crate::load::schedule::pacer::{Due, Pacer};
use crate::load::shared::Shared;
use crate::load::time::{elapsed, nanoseconds};
use crate::reactor::{ConnectedDatagrams, Interest};

/// What the socket of a flow is watched for.
pub(crate) const FLOW_INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How many datagrams one flow may receive, and send, in a turn before it is the next one's.
const BUDGET: usize = 256;

/// How long a flow waits after the kernel did not take a datagram.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A reply without a number is taken for one to an expired message for this many times the time limit.
const LATE_TIMES: u64 = 3;

/// One flow of datagrams: a socket that talks to one server, and the numbers it has given to what it sent.
#[derive(Debug)]
pub(crate) struct Flow<D> {
    pub(crate) number: usize,
    pub(crate) socket: D,
    pub(crate) readable: bool,
    /// An error of its own may have made the poll forget it.
    pub(crate) forgotten: bool,
    pub(crate) writable: bool,
    pub(crate) pacer: Pacer,
    payload: DatagramPayload,
    /// How many have been sent: the number of the next.
    sent: u64,
    received: u64,
    /// Datagrams that are awaited.
    pub(crate) awaited: AwaitedDatagrams,
    /// Datagrams whose time limit has passed. They may still be replied to.
    expired: ExpiredDatagrams,
    /// Wrong replies that do not show which message they reply to.
    unattributed: u64,
    pub(crate) refusals: Refusals,
    /// A message was not replied to in time, at the address in use.
    pub(crate) has_timed_out: bool,
    /// How often in a row the kernel did not take a datagram.
    failures: u32,
    sequence: SequenceWindow,
    pub(crate) jitter: Jitter,
}

impl<D: ConnectedDatagrams> Flow<D> {
    pub(crate) fn new(
        number: usize,
        socket: D,
        run: u32,
        pacer: Pacer,
        shared: &Shared<impl Host>,
    ) -> Self {
        let (salt, numbered) = (shared.salt(number), is_numbered(&shared.plan));
        Self {
            number,
            socket,
            readable: false,
            forgotten: false,
            writable: true,
            pacer,
            payload: DatagramPayload::new(salt, run, number as u32, numbered),
            sent: 0,
            received: 0,
            awaited: AwaitedDatagrams::default(),
            expired: ExpiredDatagrams::new(&shared.plan),
            unattributed: 0,
            refusals: Refusals::default(),
            has_timed_out: false,
            failures: 0,
            sequence: SequenceWindow::of(&shared.plan),
            jitter: Jitter::default(),
        }
    }

    /// How many datagrams were received, and sent.
    pub(crate) const fn moved(&self) -> [u64; 2] {
        [self.received, self.sent]
    }

    /// Receives replies, and sends what is due.
    pub(crate) fn turn(&mut self, shared: &mut Shared<impl Host>) -> NextStep {
        let mut now = shared.now();
        let mut left = BUDGET;
        while self.readable && left > 0 {
            left -= 1;
            self.receive(shared, &mut now);
        }
        let next = self.send(shared);
        if self.readable { NextStep::Again } else { next }
    }

    fn receive(&mut self, shared: &mut Shared<impl Host>, now: &mut u64) {
        shared.recorder.outcome.client.reads += 1;
        let received = self.socket.recv(&mut shared.buffer);
        let size = match Transfer::of_datagram(received) {
            Transfer::Moved(size) => size,
            Transfer::WouldBlock => {
                self.readable = false;
                shared.recorder.outcome.client.would_block += 1;
                return;
            }
            Transfer::Interrupted | Transfer::Eof => return,
            // It concerns a datagram that was sent before, and which gets no reply.
            Transfer::Failed(error) => {
                (self.readable, self.forgotten) = (false, true);
                self.refusals.note(&error, self.sent);
                return shared.recorder.error(Step::Read, &error);
            }
        };
        *now = shared.now();
        self.refusals.heard();
        shared.recorder.received(*now, size);
        shared.recorder.datagrams().received += 1;
        self.received += 1;
        if self.payload.numbered {
            self.receive_numbered(size, shared, *now);
        } else {
            self.receive_plain(size, shared, *now);
        }
    }

    /// An answer that carries its number.
    fn receive_numbered(&mut self, size: usize, shared: &mut Shared<impl Host>, now: u64) {
        let datagram = &shared.buffer[..size];
        let replies_to = self
            .payload
            .replies_to(datagram, self.sent, &shared.expected);
        let counts = shared.recorder.datagrams();
        let number = match replies_to {
            RepliesTo::Right(number) => number,
            RepliesTo::Altered(number, at) => {
                counts.corrupt += 1;
                self.sequence.see(number);
                self.replied_wrongly(number, shared, now);
                return self.mismatch(now, at, size, MismatchKind::Altered, shared);
            }
            RepliesTo::Damaged(at, kind) => {
                counts.corrupt += 1;
                self.replied_wrongly_to_any(shared, now);
                return self.mismatch(now, at, size, kind, shared);
            }
            RepliesTo::Foreign(kind) => {
                counts.foreign += 1;
                self.replied_wrongly_to_any(shared, now);
                return self.mismatch(now, 0, size, kind, shared);
            }
            RepliesTo::OtherRun => return counts.foreign += 1,
        };
        self.replied_rightly(number, shared, now);
    }

    /// A wrong reply to datagram `number`.
    fn replied_wrongly(&mut self, number: u64, shared: &mut Shared<impl Host>, now: u64) {
        if let Some(message) = self.awaited.take(number) {
            self.end(&message, State::Mismatched, shared, now);
        } else if let Some(message) = self.expired.take(number) {
            shared.recorder.datagrams().late += 1;
            shared
                .recorder
                .settle(self.pacer.server(), &message, State::Mismatched);
        }
    }

    /// The right reply to datagram `number`, if it has not come before.
    fn replied_rightly(&mut self, number: u64, shared: &mut Shared<impl Host>, now: u64) {
        let seen = self.sequence.see(number);
        let counts = shared.recorder.datagrams();
        match (seen, self.awaited.take(number)) {
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
                            let server = self.pacer.server();
                            shared.recorder.replied_late(server, &message, now);
                        }
                    }
                }
            }
        }
    }

    /// A wrong reply that does not say what it replies to: to the only message in flight, or to one of them. One that
    /// gets no other reply is taken for it then.
    fn replied_wrongly_to_any(&mut self, shared: &mut Shared<impl Host>, now: u64) {
        match self.awaited.first() {
            Some((number, message)) if self.awaited.len() == 1 => {
                self.awaited.take(number);
                self.end(&message, State::Mismatched, shared, now);
            }
            _ => self.unattributed += 1,
        }
    }

    /// A reply without a number: to the only datagram in flight.
    fn receive_plain(&mut self, size: usize, shared: &mut Shared<impl Host>, now: u64) {
        let answer = &shared.buffer[..size];
        let reply = self.payload.replies_to_last(answer, &shared.expected);
        let awaited = self.awaited.first();
        let (PlainReply::Last | PlainReply::Wrong(..), Some((number, message))) = (reply, awaited)
        else {
            // To one that has expired, or a duplicate.
            shared.recorder.datagrams().late += 1;
            let is_right = !matches!(reply, PlainReply::Wrong(..));
            let limit = nanoseconds(shared.plan.timeout).saturating_mul(LATE_TIMES);
            let oldest = now.saturating_sub(limit);
            if let Some(message) = is_right.then(|| self.expired.take_last(oldest)).flatten() {
                let server = self.pacer.server();
                shared.recorder.replied_late(server, &message, now);
            }
            return;
        };
        self.awaited.take(number);
        if let PlainReply::Wrong(at, kind) = reply {
            shared.recorder.datagrams().corrupt += 1;
            self.end(&message, State::Mismatched, shared, now);
            return self.mismatch(now, at, size, kind, shared);
        }
        self.replied(&message, shared, now);
    }

    fn replied(&mut self, message: &SentMessage, shared: &mut Shared<impl Host>, now: u64) {
        shared.recorder.replied(self.pacer.server(), message, now);
        self.jitter.add(elapsed(message.sent, now));
        self.pacer.release(now, &shared.recorder.pauses);
    }

    /// A datagram in flight ends in `state`.
    fn end(&mut self, of: &SentMessage, state: State, shared: &mut Shared<impl Host>, now: u64) {
        let server = self.pacer.server();
        shared.recorder.end(server, of, state, now);
        self.pacer.release(now, &shared.recorder.pauses);
    }

    /// Does not await any more what has been in flight for too long. Returns when the next will have been.
    pub(crate) fn expire(&mut self, shared: &mut Shared<impl Host>, now: u64) -> Option<u64> {
        let timeout = nanoseconds(shared.plan.timeout);
        loop {
            let (number, message) = self.awaited.first()?;
            let until = message.sent.saturating_add(timeout);
            if until > now {
                return Some(until);
            }
            self.awaited.take(number);
            self.has_timed_out = true;
            shared.recorder.timed_out();
            shared.recorder.stop_waiting(&message, now);
            self.pacer.release(now, &shared.recorder.pauses);
            if shared.recorder.in_flight() == 0 {
                shared.recorder.progress.gave_up_on_all(now);
            }
            if let Some(oldest) = self.expired.push(number, message) {
                self.lose(&oldest, shared);
            }
        }
    }

    /// No reply to `message` has come. A wrong reply that does not show its message is taken for its reply.
    fn lose(&mut self, message: &SentMessage, shared: &mut Shared<impl Host>) {
        if self.unattributed > 0 {
            self.unattributed -= 1;
            return shared
                .recorder
                .settle(self.pacer.server(), message, State::Mismatched);
        }
        shared.recorder.datagrams().lost += 1;
        shared
            .recorder
            .settle(self.pacer.server(), message, State::Lost);
    }

    /// The run is over at `now`: nothing is awaited any more.
    pub(crate) fn abandon(&mut self, shared: &mut Shared<impl Host>, now: u64) {
        while let Some(message) = self.expired.pop() {
            self.lose(&message, shared);
        }
        let aborted = shared.recorder.outcome.aborted;
        while let Some((number, message)) = self.awaited.first() {
            self.awaited.take(number);
            shared.recorder.stop_waiting(&message, now);
            // Replies were waited for, unless the run was ended at once.
            if aborted && self.unattributed == 0 {
                shared
                    .recorder
                    .settle(self.pacer.server(), &message, State::UnansweredAtEnd);
            } else {
                self.lose(&message, shared);
            }
        }
    }

    fn send(&mut self, shared: &mut Shared<impl Host>) -> NextStep {
        let most = if self.payload.numbered {
            shared.plan.pipeline
        } else {
            1
        };
        let silent = shared.plan.reply == Reply::None;
        for _ in 0..BUDGET {
            let now = shared.now();
            if !self.writable || (self.awaited.len() >= most && !silent) {
                self.pacer.hold(now);
                return NextStep::Wait;
            }
            self.pacer.release(now, &shared.recorder.pauses);
            let due = match shared.next_due(&mut self.pacer, now) {
                Due::Since(due) => due,
                Due::At(at) => return NextStep::At(at),
                Due::Never => return NextStep::Wait,
            };
            let size = shared.draw_size();
            let datagram = self.payload.write(self.sent, size, &shared.expected);
            shared.recorder.outcome.client.writes += 1;
            match Transfer::of_datagram(self.socket.send(datagram)) {
                Transfer::Moved(_) => self.note_sent(due, size, now, shared),
                Transfer::Interrupted | Transfer::Eof => {}
                Transfer::WouldBlock => {
                    self.writable = false;
                    shared.recorder.outcome.client.would_block += 1;
                }
                // Either of a datagram before (a pending ICMP error is reported once, udp(7)), or of this one. It was not
                // sent in either case, and is tried again: at once the first time.
                Transfer::Failed(error) => {
                    self.refusals.note(&error, self.sent);
                    shared.recorder.error(Step::Write, &error);
                    shared.recorder.progress.failed(now);
                    if self.failures > 0 {
                        let pause = backoff::pause(self.failures, PAUSE_MIN, PAUSE_MAX);
                        self.failures = self.failures.saturating_add(1);
                        self.pacer.hold(now);
                        return NextStep::At(now + pause.as_nanos() as u64);
                    }
                    self.failures = 1;
                }
            }
        }
        NextStep::Again
    }

    fn note_sent(&mut self, due: u64, size: usize, now: u64, shared: &mut Shared<impl Host>) {
        let message = shared.send(&mut self.pacer, due, size, now);
        self.sent += 1;
        self.failures = 0;
        shared.recorder.wrote(now, size);
        if shared.plan.reply == Reply::None {
            self.refusals.sent_without_reply();
            return shared.recorder.written(self.pacer.server(), &message, now);
        }
        self.awaited.push(self.sent - 1, message);
    }

    fn mismatch(
        &self,
        now: u64,
        at: usize,
        size: usize,
        kind: MismatchKind,
        shared: &mut Shared<impl Host>,
    ) {
        let got = shared.buffer[at.min(size)..size.min(at + 16)].to_vec();
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
