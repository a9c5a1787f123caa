//! One flow of datagrams of a load.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use super::answers::InFlight;
use super::draft::{Draft, is_numbered};
use super::elapsed;
use super::expired::Expired;
use super::header::{Header, Read};
use super::messages::State;
use super::outcome::{Datagrams, Mismatch, MismatchKind, Step};
use super::pacer::{Due, Pacer};
use super::plan::Reply;
use super::shared::Shared;
use super::window::{Seen, Window};
use crate::probe::Probe;
use crate::reactor::UdpSocket;

/// How many datagrams one flow may receive, and send, in a turn before it is the next one's.
const BUDGET: usize = 256;

/// How long a flow waits after the kernel did not take a datagram, in nanoseconds: no event will tell when it does. It
/// doubles with each failure in a row, up to a limit.
const PAUSE_MIN: u64 = 1_000_000;
const PAUSE_DOUBLINGS_MAX: u32 = 7;

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
    /// Differs from run to run.
    run: u32,
    draft: Draft,
    /// How many have been sent: the number of the next.
    sent: u64,
    received: u64,
    /// From this number on, what was sent and not given up. Answered ones are `None`.
    first: u64,
    flight: VecDeque<Option<InFlight>>,
    awaited: usize,
    /// Those that are not awaited any more, and may still be replied to.
    expired: Expired,
    /// Wrong replies of which it could not be told which message they reply to.
    unattributed: u64,
    /// Nobody listens at the server's port, as far as is known.
    refused: bool,
    /// How many datagrams had been sent when one was refused first.
    refused_after: u64,
    /// How often in a row the kernel did not take a datagram.
    failures: u32,
    window: Window,
    /// How long the last answer took, in nanoseconds.
    transit: Option<u64>,
    jitter: f64,
}

/// What a flow needs after its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    Turn,
    TurnAt(u64),
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
            run,
            draft: Draft::new(
                shared.salt(number),
                run,
                number as u32,
                is_numbered(&shared.plan),
            ),
            sent: 0,
            received: 0,
            first: 0,
            flight: VecDeque::new(),
            awaited: 0,
            expired: Expired::new(&shared.plan),
            unattributed: 0,
            refused: false,
            refused_after: u64::MAX,
            failures: 0,
            window: Window::of(&shared.plan),
            transit: None,
            jitter: 0.0,
        }
    }

    /// How many datagrams are in flight.
    pub(super) const fn awaited(&self) -> usize {
        self.awaited
    }

    /// Whether the last that was heard from the server is that nobody listens there (an ICMP error).
    pub(super) const fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether one of the first datagrams was refused already.
    pub(super) const fn was_refused_at_once(&self) -> bool {
        self.refused && self.refused_after <= 2
    }

    fn note_refusal(&mut self, error: &io::Error) {
        if error.kind() == ErrorKind::ConnectionRefused {
            self.refused = true;
            self.refused_after = self.refused_after.min(self.sent);
        }
    }

    /// When the message was sent that has been in flight for longest.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.flight
            .iter()
            .flatten()
            .next()
            .map(|message| message.sent)
    }

    /// How many datagrams were received, and sent.
    pub(super) const fn moved(&self) -> [u64; 2] {
        [self.received, self.sent]
    }

    /// How many datagrams were sent, and how much the times of answers vary, in nanoseconds.
    pub(super) const fn figures(&self) -> (u64, f64) {
        (self.sent, self.jitter)
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
                self.note_refusal(&error);
                return shared.recorder.error(Step::Read, &error);
            }
        };
        *now = shared.now();
        self.refused = false;
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
        let suffix = match &shared.plan.reply {
            Reply::Suffix(suffix) => suffix.len(),
            _ => 0,
        };
        let asked = size.saturating_sub(suffix);
        let header = match Header::read(&shared.room[..size], asked, self.run) {
            Read::Ours(header)
                if header.flow == self.number as u32 && header.number < self.sent =>
            {
                header
            }
            Read::Damaged => {
                datagrams(shared).corrupt += 1;
                // Most often a server adds something to its replies, and --reply does not say so.
                let sent = Header::sent_size(&shared.room[..size], self.run);
                let (at, kind) = sent.map_or((0, MismatchKind::Altered), |sent| {
                    (sent, MismatchKind::Surplus)
                });
                self.mismatch(at, size, kind, shared);
                return self.replied_wrongly_to_any(shared, now);
            }
            Read::Ours(header) => {
                datagrams(shared).foreign += 1;
                let kind = match usize::try_from(header.flow) {
                    Ok(other) if other != self.number => MismatchKind::Foreign(other),
                    _ => MismatchKind::Altered,
                };
                self.mismatch(0, size, kind, shared);
                return self.replied_wrongly_to_any(shared, now);
            }
            // Of a run before, from the same port: nobody's fault.
            Read::Foreign => {
                datagrams(shared).foreign += 1;
                return;
            }
        };
        let answer = &shared.room[..size];
        let difference = self
            .draft
            .difference(header.number, asked, answer, &shared.expected);
        let seen = self.window.see(header.number);
        if let Some(at) = difference {
            datagrams(shared).corrupt += 1;
            self.mismatch(at, size, MismatchKind::Altered, shared);
            if let Some(message) = self.take(header.number) {
                self.done(&message, shared, now);
                self.settle(&message, State::Mismatched, shared);
            } else if let Some(message) = self.expired.take(header.number) {
                datagrams(shared).late += 1;
                self.settle(&message, State::Mismatched, shared);
            }
            return;
        }
        let counts = datagrams(shared);
        match (seen, self.take(header.number)) {
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
                        if let Some(message) = self.expired.take(header.number) {
                            self.replied_late(&message, shared, now);
                        }
                    }
                }
            }
        }
    }

    /// A wrong reply that does not say what it replies to: to the only message in flight, or to one of them. One that
    /// gets no other reply is taken for it then.
    fn replied_wrongly_to_any(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        match self.flight.front().copied().flatten() {
            Some(message) if self.awaited == 1 => {
                self.flight[0] = None;
                self.done(&message, shared, now);
                self.settle(&message, State::Mismatched, shared);
            }
            _ => self.unattributed += 1,
        }
    }

    /// A reply without a number: to the only datagram in flight.
    fn receive_plain(&mut self, size: usize, shared: &mut Shared<impl Probe>, now: u64) {
        let answer = &shared.room[..size];
        let difference = self.draft.difference_from_last(answer, &shared.expected);
        let Some(message) = self.flight.front().copied().flatten() else {
            // To the last one, which has expired, or a duplicate.
            datagrams(shared).late += 1;
            if let (None, Some(message)) = (difference, self.expired.take_last()) {
                self.replied_late(&message, shared, now);
            }
            return;
        };
        if difference.is_some() && self.draft.answers_before(answer, &shared.expected) {
            datagrams(shared).late += 1;
            if let Some(message) = self.expired.take_last() {
                self.replied_late(&message, shared, now);
            }
            return;
        }
        self.flight.clear();
        if let Some((at, wrong_size)) = difference {
            datagrams(shared).corrupt += 1;
            let kind = wrong_size.map_or(MismatchKind::Altered, MismatchKind::Size);
            self.mismatch(at, size, kind, shared);
            self.done(&message, shared, now);
            return self.settle(&message, State::Mismatched, shared);
        }
        self.replied(&message, shared, now);
    }

    /// Datagram `number`, if it is still awaited. Whoever takes it is done with it.
    fn take(&mut self, number: u64) -> Option<InFlight> {
        let index = number.checked_sub(self.first)?;
        self.flight.get_mut(usize::try_from(index).ok()?)?.take()
    }

    fn replied(&mut self, message: &InFlight, shared: &mut Shared<impl Probe>, now: u64) {
        shared.recorder.replied(self.server(), message, now);
        let transit = elapsed(message.sent, now);
        if let Some(before) = self.transit.replace(transit) {
            self.jitter += (transit.abs_diff(before) as f64 - self.jitter) / 16.0;
        }
        self.free_one(shared, now);
    }

    /// The reply to a message that was not awaited any more.
    fn replied_late(&self, message: &InFlight, shared: &mut Shared<impl Probe>, now: u64) {
        shared.recorder.replied_to(self.server(), message, now);
    }

    /// A datagram that was taken out of flight is not awaited any more.
    fn done(&mut self, message: &InFlight, shared: &mut Shared<impl Probe>, now: u64) {
        shared.recorder.leave(message, now);
        self.free_one(shared, now);
    }

    fn settle(&self, message: &InFlight, state: State, shared: &mut Shared<impl Probe>) {
        shared.recorder.settle(self.server(), message, state);
    }

    /// One datagram less is awaited, which makes room for the next.
    fn free_one(&mut self, shared: &Shared<impl Probe>, now: u64) {
        self.awaited -= 1;
        self.pacer.release(now, &shared.recorder);
        self.trim();
    }

    const fn server(&self) -> u32 {
        self.pacer.server()
    }

    /// Forgets those before the first that is still awaited.
    fn trim(&mut self) {
        while let Some(None) = self.flight.front() {
            self.flight.pop_front();
            self.first += 1;
        }
    }

    /// Does not await any more what has been in flight for too long. Returns when the next will have been.
    pub(super) fn expire(&mut self, shared: &mut Shared<impl Probe>, now: u64) -> Option<u64> {
        let timeout = shared.plan.timeout.as_nanos() as u64;
        loop {
            self.trim();
            let message = self.flight.front().copied().flatten()?;
            let until = message.sent.saturating_add(timeout);
            if until > now {
                return Some(until);
            }
            let number = self.first;
            self.flight[0] = None;
            shared.recorder.timed_out();
            self.done(&message, shared, now);
            if let Some(oldest) = self.expired.push(number, message) {
                self.lose(&oldest, shared);
            }
        }
    }

    /// No reply to `message` has come. If one has come of which nobody knows to what, it is taken for that.
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
        for message in std::mem::take(&mut self.flight).into_iter().flatten() {
            shared.recorder.leave(&message, now);
            // Replies were waited for, unless the run was ended at once.
            if aborted && self.unattributed == 0 {
                self.settle(&message, State::UnansweredAtEnd, shared);
            } else {
                self.lose(&message, shared);
            }
        }
        self.awaited = 0;
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
            if !self.writable || (self.awaited >= most && !silent) {
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
                    self.note_refusal(&error);
                    shared.recorder.error(Step::Write, &error);
                    let failures = self.failures;
                    self.failures = failures.saturating_add(1);
                    if failures > 0 {
                        let pause = PAUSE_MIN << (failures - 1).min(PAUSE_DOUBLINGS_MAX);
                        self.pacer.hold(now);
                        return After::TurnAt(now + pause);
                    }
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
            return shared.recorder.written(self.server(), &message, now);
        }
        if !self.draft.numbered {
            self.first = self.sent - 1;
        }
        self.flight.push_back(Some(message));
        self.awaited += 1;
    }

    fn mismatch(
        &self,
        at: usize,
        size: usize,
        kind: MismatchKind,
        shared: &mut Shared<impl Probe>,
    ) {
        let got = shared.room[at.min(size)..size.min(at + 16)].to_vec();
        let local = self.socket.local_addr().ok();
        let connection = self.number;
        shared.recorder.mismatch(|| Mismatch {
            connection,
            local,
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
