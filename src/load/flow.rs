//! One flow of datagrams of a load.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use super::answers::InFlight;
use super::draft::{Draft, is_numbered};
use super::header::{Header, Read};
use super::outcome::{Datagrams, Mismatch, MismatchKind, Step};
use super::pacer::{Due, Pacer};
use super::plan::Reply;
use super::shared::Shared;
use super::window::{Seen, Window};
use crate::probe::Probe;
use crate::reactor::UdpSocket;

/// How many datagrams one flow may receive, and send, in a turn before it is the next one's.
const BUDGET: usize = 256;

/// How long a flow waits when the system had no memory for a datagram, in nanoseconds: no event will tell.
const STARVED_PAUSE: u64 = 1_000_000;

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
            window: Window::of(&shared.plan),
            transit: None,
            jitter: 0.0,
        }
    }

    /// How many datagrams are in flight.
    pub(super) const fn awaited(&self) -> usize {
        self.awaited
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
            // It concerns a datagram that was sent before, and which got no answer.
            Err(error) => {
                (self.readable, self.forgotten) = (false, true);
                return shared.recorder.error(Step::Read, &error);
            }
        };
        *now = shared.now();
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
                // Most often a server adds something, and whoever asks has not said so.
                let sent = Header::sent_size(&shared.room[..size], self.run);
                let (at, kind) = sent.map_or((0, MismatchKind::Altered), |sent| {
                    (sent, MismatchKind::Surplus)
                });
                return self.mismatch(now, at, size, kind, shared);
            }
            Read::Ours(header) => {
                datagrams(shared).foreign += 1;
                let kind = match usize::try_from(header.flow) {
                    Ok(other) if other != self.number => MismatchKind::Foreign(other),
                    _ => MismatchKind::Altered,
                };
                return self.mismatch(now, 0, size, kind, shared);
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
        if let Some(at) = difference {
            datagrams(shared).corrupt += 1;
            let seen = self.window.see(header.number);
            let message = self.take(header.number);
            let due = message.map_or(now, |message| message.due);
            self.mismatch(due, at, size, MismatchKind::Altered, shared);
            match message {
                Some(_) => self.done(shared, now),
                None if matches!(seen, Seen::InOrder | Seen::Reordered(_)) => came_late(shared),
                None => {}
            }
            return;
        }
        let seen = self.window.see(header.number);
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
                    Some(message) => self.answered(&message, shared, now),
                    None => came_late(shared),
                }
            }
        }
    }

    /// An answer without a number: to the only datagram in flight.
    fn receive_plain(&mut self, size: usize, shared: &mut Shared<impl Probe>, now: u64) {
        let Some(Some(message)) = self.flight.front().copied() else {
            return came_late(shared);
        };
        let answer = &shared.room[..size];
        let difference = self.draft.difference_from_last(answer, &shared.expected);
        if difference.is_some() && self.draft.answers_before(answer, &shared.expected) {
            return came_late(shared);
        }
        self.flight.clear();
        if let Some((at, wrong_size)) = difference {
            datagrams(shared).corrupt += 1;
            let kind = wrong_size.map_or(MismatchKind::Altered, MismatchKind::Size);
            self.mismatch(message.due, at, size, kind, shared);
            return self.done(shared, now);
        }
        self.answered(&message, shared, now);
    }

    /// Datagram `number`, if it is still awaited. Whoever takes it is done with it.
    fn take(&mut self, number: u64) -> Option<InFlight> {
        let index = number.checked_sub(self.first)?;
        self.flight.get_mut(usize::try_from(index).ok()?)?.take()
    }

    fn answered(&mut self, message: &InFlight, shared: &mut Shared<impl Probe>, now: u64) {
        shared.recorder.answered(message, now);
        let transit = now - message.sent;
        if let Some(before) = self.transit.replace(transit) {
            self.jitter += (transit.abs_diff(before) as f64 - self.jitter) / 16.0;
        }
        self.done(shared, now);
    }

    /// A datagram that was taken out of flight is not awaited any more, and makes room for the next.
    fn done(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        self.awaited -= 1;
        shared.recorder.in_flight -= 1;
        self.pacer.release(now);
        self.trim();
    }

    /// Forgets those before the first that is still awaited.
    fn trim(&mut self) {
        while let Some(None) = self.flight.front() {
            self.flight.pop_front();
            self.first += 1;
        }
    }

    /// Gives up on what has been in flight for too long. Returns when the next will have been.
    pub(super) fn expire(&mut self, shared: &mut Shared<impl Probe>, now: u64) -> Option<u64> {
        let timeout = shared.plan.timeout.as_nanos() as u64;
        loop {
            self.trim();
            let message = self.flight.front().copied().flatten()?;
            let until = message.sent.saturating_add(timeout);
            if until > now {
                return Some(until);
            }
            shared.recorder.timed_out(&message);
            self.lose_first(shared, now);
        }
    }

    fn lose_first(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        if let Some(Some(message)) = self.flight.pop_front() {
            self.first += 1;
            shared.recorder.cut_off(&message);
            datagrams(shared).lost += 1;
            self.done(shared, now);
        }
    }

    /// The run is over: nothing is awaited any more.
    pub(super) fn abandon(&mut self, shared: &mut Shared<impl Probe>, now: u64) {
        loop {
            self.trim();
            if self.flight.is_empty() {
                return;
            }
            self.lose_first(shared, now);
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
            if !self.writable || (self.awaited >= most && !silent) {
                self.pacer.hold();
                return After::Nothing;
            }
            let now = shared.now();
            self.pacer.release(now);
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
                Err(error) if is_shortage(&error) => {
                    shared.recorder.error(Step::Write, &error);
                    self.pacer.hold();
                    return After::TurnAt(now + STARVED_PAUSE);
                }
                // Of a datagram before, or of this one: it is not sent again, and gets no answer.
                Err(error) => {
                    shared.recorder.error(Step::Write, &error);
                    self.note_sent(due, size, now, shared);
                }
            }
        }
        After::Turn
    }

    fn note_sent(&mut self, due: u64, size: usize, now: u64, shared: &mut Shared<impl Probe>) {
        let message = self.pacer.send(due, size, now, shared);
        self.sent += 1;
        if shared.plan.reply == Reply::None {
            shared.recorder.in_flight -= 1;
            return;
        }
        if !self.draft.numbered {
            self.first = self.sent - 1;
        }
        self.flight.push_back(Some(message));
        self.awaited += 1;
    }

    fn mismatch(
        &self,
        due: u64,
        at: usize,
        size: usize,
        kind: MismatchKind,
        shared: &mut Shared<impl Probe>,
    ) {
        let got = shared.room[at.min(size)..size.min(at + 16)].to_vec();
        let local = self.socket.local_addr().ok();
        let connection = self.number;
        shared.recorder.mismatch(due, || Mismatch {
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

/// An answer has come to what was given up for lost.
fn came_late(shared: &mut Shared<impl Probe>) {
    let counts = datagrams(shared);
    counts.late += 1;
    counts.lost = counts.lost.saturating_sub(1);
}

/// Whether the system was out of memory for a datagram, which will pass.
fn is_shortage(error: &io::Error) -> bool {
    const ENOBUFS: i32 = 105;
    error.kind() == ErrorKind::OutOfMemory || error.raw_os_error() == Some(ENOBUFS)
}
