//! One TCP connection of a load.

use std::io;
use std::net::SocketAddr;

use crate::connection::{Readiness, Stream, Transfer};
use crate::load::connections::connect_state::{CloseCause, ConnectState};
use crate::load::host::Host;
use crate::load::next_step::NextStep;
use crate::load::plan::{Churn, Reply};
use crate::load::result::messages::State;
use crate::load::result::outcome::Step;
use crate::load::result::recorder::Recorder;
use crate::load::schedule::message::SentMessage;
use crate::load::schedule::pacer::{Due, Pacer};
use crate::load::shared::Shared;
use crate::load::time::{elapsed, nanoseconds};
use crate::load::verify::mismatch::Place;
use crate::load::verify::reply_verifier::ReplyVerifier;
use crate::probe::{Probe, What};
use crate::reactor::Attempt;
use crate::service::ClientId;

/// How many bytes one connection may move in a turn before it is the next one's.
const BUDGET: usize = 256 * 1024;

/// How many bytes of the budget a call takes at least: a turn with small messages is not one of thousands of calls.
const CALL_COST: usize = 1024;

/// One TCP connection of a load, being opened or in use.
#[derive(Debug)]
pub(crate) struct Connection<A: Attempt> {
    pub(crate) number: usize,
    /// It is held open, and nothing is sent.
    silent: bool,
    pub(crate) socket: ConnectState<A>,
    pub(crate) readiness: Readiness,
    pub(crate) pacer: Pacer,
    pub(crate) verifier: ReplyVerifier,
    /// How far into the pattern messages have been begun, and how far they have been written.
    begun: u64,
    written: u64,
    /// Messages sent, and replied to.
    messages: u64,
    pub(crate) replies: u64,
    /// Its name for a probe.
    pub(crate) who: Option<ClientId>,
    /// Bytes of messages that were reported to the probe.
    told: u64,
    /// When the attempt was made; then when it was connected.
    pub(crate) since: u64,
}

impl<A: Attempt> Connection<A> {
    /// A connection that was begun at `since`.
    pub(crate) fn new(
        number: usize,
        attempt: A,
        pacer: Pacer,
        since: u64,
        shared: &Shared<impl Host>,
    ) -> Self {
        let salt = shared.salt(number);
        Self {
            number,
            silent: number >= shared.plan.connections,
            socket: ConnectState::Connecting(attempt),
            readiness: Readiness::new(),
            pacer,
            verifier: ReplyVerifier::new(salt),
            begun: salt,
            written: salt,
            messages: 0,
            replies: 0,
            who: None,
            told: 0,
            since,
        }
    }

    /// Moves what can be moved: receives replies, and sends what is due.
    ///
    /// # Errors
    ///
    /// Why the connection is over.
    #[inline]
    pub(crate) fn turn<P: Probe>(
        &mut self,
        shared: &mut Shared<impl Host>,
        probe: &mut P,
    ) -> Result<NextStep, CloseCause> {
        let stream = match std::mem::replace(&mut self.socket, ConnectState::Gone) {
            ConnectState::Connected(stream) => stream,
            other => {
                self.socket = other;
                return Ok(NextStep::Wait);
            }
        };
        let mut observed = probe.stream(stream);
        let next = self.transfer(&mut observed, shared, probe);
        self.socket = ConnectState::Connected(P::into_inner(observed));
        next
    }

    #[inline]
    fn transfer(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Host>,
        probe: &mut impl Probe,
    ) -> Result<NextStep, CloseCause> {
        let mut now = shared.now();
        let mut spent = 0;
        loop {
            if self.readiness.is_readable() {
                spent += self.receive(stream, shared, probe, &mut now)?;
            }
            let next = match self.send(stream, shared, now, &mut spent) {
                Err(CloseCause::Failed(Step::Write, error)) => {
                    return Err(self.read_rest(stream, shared, probe, error));
                }
                next => next?,
            };
            if self.readiness.is_readable() || next == NextStep::Again {
                if spent >= BUDGET {
                    return Ok(NextStep::Again);
                }
                now = shared.now();
                continue;
            }
            return Ok(next);
        }
    }

    /// Reads once. Returns how many bytes came.
    #[inline]
    fn receive<P: Probe>(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Host>,
        probe: &mut P,
        now: &mut u64,
    ) -> Result<usize, CloseCause> {
        shared.recorder.outcome.client.reads += 1;
        let count = match Transfer::of_read(stream.read(&mut shared.buffer)) {
            Transfer::Moved(count) => count,
            Transfer::Eof => return Err(CloseCause::Eof),
            Transfer::WouldBlock => {
                self.readiness.read_blocked();
                shared.recorder.outcome.client.would_block += 1;
                return Ok(0);
            }
            Transfer::Interrupted => return Ok(0),
            Transfer::Failed(error) => return Err(CloseCause::Failed(Step::Read, error)),
        };
        *now = shared.now();
        if count < shared.buffer.len() {
            self.readiness.read_short();
        }
        let (expected, buffer) = (&shared.expected, &shared.buffer);
        let recorder = &mut shared.recorder;
        recorder.received(*now, count);
        // When the load began, in the time of the probe.
        let began = probe.now().saturating_sub(*now);
        let (pacer, told, who) = (&mut self.pacer, &mut self.told, self.who);
        let replies = &mut self.replies;
        let server = pacer.server();
        let replied = |message: SentMessage| {
            *replies += 1;
            recorder.replied(server, &message, *now);
            pacer.release(*now, &recorder.pauses);
            if P::ON {
                let what = What::Message {
                    offset: *told,
                    size: message.size,
                    late: message.sent.saturating_sub(message.due),
                };
                *told += u64::from(message.size);
                probe.did(who, what, began + message.due);
            }
        };
        let taken = self.verifier.receive(&buffer[..count], expected, replied);
        taken.map_err(|wrong| {
            let end = count.min(wrong.at + 64);
            CloseCause::Mismatched(*now, wrong, buffer[wrong.at..end].to_vec())
        })?;
        Ok(count)
    }

    /// Sends what is due, as far as the connection takes it.
    #[inline]
    fn send(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Host>,
        now: u64,
        spent: &mut usize,
    ) -> Result<NextStep, CloseCause> {
        if self.silent {
            return Ok(NextStep::Wait);
        }
        let mut has_begun = false;
        loop {
            if !self.write(stream, shared, now, spent)? {
                // Messages that are due now wait for room.
                self.pacer.hold(now);
                return Ok(NextStep::Wait);
            }
            self.pacer.release(now, &shared.recorder.pauses);
            if self.is_used_up(shared, now) && self.verifier.is_empty() {
                return Err(CloseCause::Churned);
            }
            // Without replies, only time ends a closed loop: the clock is read again.
            if *spent >= BUDGET || (has_begun && shared.plan.reply == Reply::None) {
                return Ok(NextStep::Again);
            }
            let before = self.begun;
            let next = self.begin(shared, now);
            if self.begun == before {
                return Ok(next);
            }
            has_begun = true;
        }
    }

    /// Begins all messages that are due and may be in flight. Without any, returns when to try again.
    #[inline]
    fn begin(&mut self, shared: &mut Shared<impl Host>, now: u64) -> NextStep {
        while self.verifier.len() < shared.plan.pipeline {
            if self.begun - self.written >= BUDGET as u64 || self.is_used_up(shared, now) {
                return NextStep::Wait;
            }
            let due = match shared.next_due(&mut self.pacer, now) {
                Due::Since(due) => due,
                Due::At(at) => return NextStep::At(at),
                Due::Never => return NextStep::Wait,
            };
            let size = shared.draw_size();
            let message = shared.send(&mut self.pacer, due, size, now);
            self.messages += 1;
            self.begun += size as u64;
            self.verifier.await_one(message);
        }
        self.pacer.hold(now);
        NextStep::Wait
    }

    /// Writes what has been begun. Says whether that is all written.
    #[inline]
    fn write(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Host>,
        now: u64,
        spent: &mut usize,
    ) -> Result<bool, CloseCause> {
        while self.written < self.begun {
            if !self.readiness.is_writable() {
                return Ok(false);
            }
            let left = usize::try_from(self.begun - self.written).unwrap_or(usize::MAX);
            let piece = shared.expected.pattern.at(self.written, left);
            shared.recorder.outcome.client.writes += 1;
            match Transfer::of_write(stream.write(piece)) {
                Transfer::Moved(count) => {
                    if count < piece.len() {
                        self.readiness.write_short();
                    }
                    self.written += count as u64;
                    *spent += count.max(CALL_COST);
                    shared.recorder.wrote(now, count);
                    if shared.plan.reply == Reply::None {
                        self.complete_written(&mut shared.recorder, now);
                    }
                }
                Transfer::WouldBlock => {
                    self.readiness.write_blocked();
                    shared.recorder.outcome.client.would_block += 1;
                }
                Transfer::Interrupted | Transfer::Eof => {}
                Transfer::Failed(error) => {
                    return Err(CloseCause::Failed(Step::Write, error));
                }
            }
        }
        Ok(self.readiness.is_writable())
    }

    /// No reply is expected: messages end when they have been written.
    fn complete_written(&mut self, recorder: &mut Recorder, now: u64) {
        while let Some(&message) = self.verifier.first() {
            if self.verifier.place() + u64::from(message.size) > self.written {
                return;
            }
            self.verifier.complete_first();
            recorder.written(self.pacer.server(), &message, now);
        }
    }

    /// It is over at `now`: every message in flight ends, in `state` if any of its bytes was given to the kernel. Returns how
    /// many are to be sent again, because none was.
    pub(crate) fn end_messages(
        &mut self,
        recorder: &mut Recorder,
        now: u64,
        state: impl Fn(&SentMessage) -> State,
    ) -> u64 {
        let (server, mut withdrawn) = (self.pacer.server(), 0);
        self.verifier.abandon(self.written, |message, any_written| {
            if any_written {
                recorder.end(server, &message, state(&message), now);
            } else {
                recorder.withdraw(server, &message, now);
                withdrawn += u64::from(message.measured);
            }
        });
        withdrawn
    }

    /// The first message in flight got a wrong reply.
    pub(crate) fn end_mismatched(&mut self, recorder: &mut Recorder, now: u64) {
        if let Some(&message) = self.verifier.first() {
            self.verifier.complete_first();
            recorder.end(self.pacer.server(), &message, State::Mismatched, now);
        }
    }

    /// A write has failed with `error`. What the server has sent before is still read, and often tells why. Returns the cause.
    #[cold]
    fn read_rest(
        &mut self,
        stream: &mut impl Stream,
        shared: &mut Shared<impl Host>,
        probe: &mut impl Probe,
        error: io::Error,
    ) -> CloseCause {
        self.readiness.latch_read_closed();
        let mut now = shared.now();
        while self.readiness.is_readable() {
            if let Err(cause) = self.receive(stream, shared, probe, &mut now) {
                return cause;
            }
        }
        CloseCause::Failed(Step::Write, error)
    }

    /// Whether it has been used for as long as it may be.
    #[inline]
    fn is_used_up(&self, shared: &Shared<impl Host>, now: u64) -> bool {
        match shared.plan.churn {
            None => false,
            Some(Churn::Messages(most)) => self.messages >= most,
            Some(Churn::After(time)) => {
                self.messages > 0 && elapsed(self.since, now) >= nanoseconds(time)
            }
        }
    }

    /// Whether nothing is sent.
    pub(crate) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Our own address, once it is connected.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.socket.local()
    }

    /// Whether a message was sent, all or in part.
    pub(crate) const fn has_sent(&self) -> bool {
        self.messages > 0
    }

    /// Whether something that has been begun is still to be written.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.written < self.begun
    }

    /// Where in the pattern it is. A reply may be longer than its message.
    pub(crate) const fn place(&self) -> Place {
        let (connection, next) = (self.number, self.verifier.place());
        Place {
            connection,
            next,
            in_flight: self.begun.saturating_sub(next),
        }
    }

    /// When it will have been used for as long as it may be, if that is a matter of time.
    pub(crate) fn used_up_at(&self, shared: &Shared<impl Host>) -> Option<u64> {
        match shared.plan.churn {
            Some(Churn::After(time)) if !self.silent => {
                Some(self.since.saturating_add(nanoseconds(time)))
            }
            _ => None,
        }
    }
}
