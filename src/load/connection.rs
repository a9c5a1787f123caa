//! One TCP connection of a load.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::answers::{Answers, InFlight};
use super::messages::State;
use super::mismatch::Place;
use super::outcome::Step;
use super::pacer::{Due, Pacer};
use super::plan::{Churn, Reply};
use super::recorder::Recorder;
use super::shared::Shared;
use super::socket::{After, End, Socket};
use super::{elapsed, nanoseconds};
use crate::connection::{Readiness, Stream};
use crate::probe::{Probe, What};
use crate::reactor::Dial;
use crate::service::ClientId;

/// How many bytes one connection may move in a turn before it is the next one's.
const BUDGET: usize = 256 * 1024;

/// One TCP connection of a load, being opened or in use.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) number: usize,
    /// It is held open, and nothing is sent.
    silent: bool,
    pub(super) socket: Socket,
    pub(super) readiness: Readiness,
    pub(super) pacer: Pacer,
    pub(super) answers: Answers,
    /// How far into the pattern messages have been begun, and how far they have been written.
    begun: u64,
    written: u64,
    /// Messages sent.
    messages: u64,
    /// Messages replied to.
    pub(super) replies: u64,
    /// What a probe knows it by, and how many bytes of answered messages it has been told of.
    pub(super) who: Option<ClientId>,
    told: u64,
    /// When the attempt was made; then when it was connected.
    pub(super) since: u64,
}

impl Connection {
    pub(super) fn new(
        number: usize,
        dial: Dial,
        pacer: Pacer,
        shared: &Shared<impl Probe>,
    ) -> Self {
        let salt = shared.salt(number);
        Self {
            number,
            silent: number >= shared.plan.connections,
            socket: Socket::Dialling(dial),
            readiness: Readiness::new(),
            pacer,
            answers: Answers::new(salt),
            begun: salt,
            written: salt,
            messages: 0,
            replies: 0,
            who: None,
            told: 0,
            since: shared.now(),
        }
    }

    /// Moves what can be moved: takes answers, and sends what is due.
    #[inline]
    pub(super) fn turn<P: Probe>(&mut self, shared: &mut Shared<P>) -> After {
        let stream = match std::mem::replace(&mut self.socket, Socket::Gone) {
            Socket::Connected(stream) => stream,
            other => {
                self.socket = other;
                return After::Nothing;
            }
        };
        let mut told = shared.probe.stream(stream);
        let after = self.talk(&mut told, shared);
        self.socket = Socket::Connected(P::into_inner(told));
        after.unwrap_or_else(After::End)
    }

    #[inline]
    fn talk(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Probe>,
    ) -> Result<After, End> {
        let mut now = shared.now();
        let mut spent = 0;
        loop {
            if self.readiness.is_readable() {
                spent += self.receive(stream, shared, &mut now)?;
            }
            let after = self.send(stream, shared, now, &mut spent)?;
            if self.readiness.is_readable() || matches!(after, After::Turn) {
                if spent >= BUDGET {
                    return Ok(After::Turn);
                }
                now = shared.now();
                continue;
            }
            return Ok(after);
        }
    }

    /// Reads once. Returns how many bytes came.
    #[inline]
    fn receive<P: Probe>(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<P>,
        now: &mut u64,
    ) -> Result<usize, End> {
        shared.recorder.outcome.client.reads += 1;
        let count = match stream.read(&mut shared.room) {
            Ok(0) => return Err(End::Eof),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readiness.read_blocked();
                shared.recorder.outcome.client.would_block += 1;
                return Ok(0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(0),
            Err(error) => return Err(End::Failed(Step::Read, error)),
        };
        *now = shared.now();
        if count < shared.room.len() {
            self.readiness.read_short();
        }
        let Shared {
            expected,
            recorder,
            room,
            probe,
            epoch,
            ..
        } = shared;
        recorder.received(*now, count);
        let (pacer, told, who) = (&mut self.pacer, &mut self.told, self.who);
        let replies = &mut self.replies;
        let server = pacer.server();
        let replied = |message: InFlight| {
            *replies += 1;
            recorder.replied(server, &message, *now);
            pacer.release(*now, recorder);
            if P::ON {
                let what = What::Message {
                    offset: *told,
                    size: message.size,
                    late: message.sent.saturating_sub(message.due),
                };
                *told += u64::from(message.size);
                probe.did(who, what, *epoch + message.due);
            }
        };
        let taken = self.answers.receive(&room[..count], expected, replied);
        taken.map_err(|wrong| {
            let end = count.min(wrong.at + 64);
            End::Mismatched(wrong, room[wrong.at..end].to_vec())
        })?;
        Ok(count)
    }

    /// Sends what is due, as far as the connection takes it.
    #[inline]
    fn send(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Probe>,
        now: u64,
        spent: &mut usize,
    ) -> Result<After, End> {
        if self.silent {
            return Ok(After::Nothing);
        }
        loop {
            if !self.write(stream, shared, now, spent)? {
                // What is due by then waits for room.
                self.pacer.hold(now);
                return Ok(After::Nothing);
            }
            self.pacer.release(now, &shared.recorder);
            if self.is_used_up(shared, now) && self.answers.is_empty() {
                return Err(End::Churned);
            }
            let before = self.begun;
            let after = self.begin(shared, now);
            if self.begun == before {
                return Ok(after);
            }
            if *spent >= BUDGET {
                return Ok(After::Turn);
            }
        }
    }

    /// Begins as many messages as are due and may be in flight. If there are none, says what is to be waited for.
    #[inline]
    fn begin(&mut self, shared: &mut Shared<impl Probe>, now: u64) -> After {
        while self.answers.len() < shared.plan.pipeline {
            if self.begun - self.written >= BUDGET as u64 || self.is_used_up(shared, now) {
                return After::Nothing;
            }
            let due = match self.pacer.next(shared, now) {
                Due::Since(due) => due,
                Due::At(at) => return After::TurnAt(at),
                Due::Never => return After::Nothing,
            };
            let size = shared.draw_size();
            let message = self.pacer.send(due, size, now, shared);
            self.messages += 1;
            self.begun += size as u64;
            self.answers.await_one(message);
        }
        self.pacer.hold(now);
        After::Nothing
    }

    /// Writes what has been begun. Says whether that is all written.
    #[inline]
    fn write(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Probe>,
        now: u64,
        spent: &mut usize,
    ) -> Result<bool, End> {
        while self.written < self.begun {
            if !self.readiness.is_writable() {
                return Ok(false);
            }
            let left = usize::try_from(self.begun - self.written).unwrap_or(usize::MAX);
            let piece = shared.expected.pattern.at(self.written, left);
            shared.recorder.outcome.client.writes += 1;
            match stream.write(piece) {
                Ok(count) => {
                    if count < piece.len() {
                        self.readiness.write_short();
                    }
                    self.written += count as u64;
                    *spent += count;
                    shared.recorder.wrote(now, count);
                    if shared.plan.reply == Reply::None {
                        self.complete_written(&mut shared.recorder, now);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readiness.write_blocked();
                    shared.recorder.outcome.client.would_block += 1;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // What the server has said before is still to be read, and often says why.
                    self.readiness.latch_read_closed();
                    return self.last_words(stream, shared, now, error);
                }
            }
        }
        Ok(self.readiness.is_writable())
    }

    /// No reply is expected: messages end when they have been written.
    fn complete_written(&mut self, recorder: &mut Recorder, now: u64) {
        while let Some(&message) = self.answers.first() {
            if self.answers.place() + u64::from(message.size) > self.written {
                return;
            }
            self.answers.complete_first();
            recorder.written(self.pacer.server(), &message, now);
        }
    }

    /// It is over at `now`, for good or for this connection: every message in flight ends. `state` says how, of one of
    /// which any byte was given to the kernel. Returns how many are to be sent again, because none was.
    pub(super) fn end_messages(
        &mut self,
        recorder: &mut Recorder,
        now: u64,
        state: impl Fn(&InFlight) -> State,
    ) -> u64 {
        let (server, mut withdrawn) = (self.pacer.server(), 0);
        self.answers.abandon(self.written, |message, any_written| {
            if any_written {
                recorder.leave(&message, now);
                recorder.settle(server, &message, state(&message));
            } else {
                recorder.withdraw(server, &message, now);
                withdrawn += u64::from(message.measured);
            }
        });
        withdrawn
    }

    /// A write has failed: whether reading tells more of it.
    #[cold]
    fn last_words(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Probe>,
        mut now: u64,
        error: io::Error,
    ) -> Result<bool, End> {
        while self.readiness.is_readable() {
            self.receive(stream, shared, &mut now)?;
        }
        Err(End::Failed(Step::Write, error))
    }

    /// Whether it has been used for as long as it may be.
    #[inline]
    fn is_used_up(&self, shared: &Shared<impl Probe>, now: u64) -> bool {
        match shared.plan.churn {
            None => false,
            Some(Churn::Messages(most)) => self.messages >= most,
            Some(Churn::After(time)) => {
                self.messages > 0 && elapsed(self.since, now) >= nanoseconds(time)
            }
        }
    }

    /// Whether it is held open, and nothing is sent.
    pub(super) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Our own address, once it is connected.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.socket.local()
    }

    /// Whether a message was sent, all or in part.
    pub(super) const fn has_sent(&self) -> bool {
        self.messages > 0
    }

    /// Whether something that has been begun is still to be written.
    pub(super) const fn is_blocked(&self) -> bool {
        self.written < self.begun
    }

    /// Where in the pattern it is.
    pub(super) const fn place(&self) -> Place {
        let next = self.answers.place();
        Place {
            connection: self.number,
            next,
            in_flight: self.begun - next,
        }
    }

    /// When it will have been used for as long as it may be, if that is a matter of time.
    pub(super) fn used_up_at(&self, shared: &Shared<impl Probe>) -> Option<u64> {
        match shared.plan.churn {
            Some(Churn::After(time)) if !self.silent => {
                Some(self.since.saturating_add(nanoseconds(time)))
            }
            _ => None,
        }
    }
}
