//! Moves bytes between a stream and its connection.

use std::io;

use super::verdict::{Starved, absorb, read_nothing, took, write};
use super::{
    Answer, CloseReason, Connection, Limits, Outcome, Peer, Reply, SHORT_MEANS_EXHAUSTED, State,
    Stream, Tally,
};

/// The largest buffer for answers that is kept from one turn to the next.
const OUTPUT_KEPT: usize = 64 * 1024;

/// The largest small message, in bytes: what the tutorial's `recv(1024)` returns at most.
const SMALL_MAX: usize = 1024;

/// What a further read and write, and a message of many, cost in bytes that could be moved meanwhile.
const ROUND_COST: u64 = 4 * 1024;
const MESSAGE_COST: u64 = 8;
/// The most reads of one run.
const ROUNDS_MAX: usize = 64;
/// The most messages of one read: all of them are answered before the first reply is written.
const MESSAGES_MAX: usize = 1024;

/// Moves bytes between peers and their connections, one peer at a time: its buffers are shared by all
/// clients of a loop.
#[derive(Debug)]
pub struct Pump {
    limits: Limits,
    tally: Tally,
    /// The most bytes of a small message.
    small: usize,
    /// What a read counts for at least, of the budget of a run.
    round_min: usize,
    /// Bytes that were not moved as small messages.
    bulk_bytes: u64,
    /// What one system call read. Never empty: a read into no room would return 0, which would be
    /// taken for an end of file.
    input: Box<[u8]>,
    /// What a service answered other than with an echo.
    output: Vec<u8>,
    /// Answers may be promised.
    defers: bool,
}

/// Whether nothing is left to do but to wait for input.
struct IsOver(bool);

/// An answer has been seen to.
struct Delivered {
    /// It was written to its end, and the peer, which kept up, keeps up: no need to look.
    all: bool,
}

impl Pump {
    /// A pump that has moved nothing yet.
    pub fn new(limits: Limits) -> Self {
        // A read goes no further than a turn may, so that a small budget is not spent many times over at once.
        let turn = limits.budget.max(limits.recv_size.get());
        let read_max = turn.min(limits.recv_size.get().saturating_mul(MESSAGES_MAX));
        Self {
            limits,
            tally: Tally::default(),
            bulk_bytes: 0,
            small: limits.recv_size.get().min(SMALL_MAX),
            round_min: round_min(&limits),
            input: vec![0; limits.read_ahead.get().min(read_max)].into_boxed_slice(),
            output: Vec::new(),
            defers: true,
        }
    }

    /// Moves as many bytes as the latches and the budget allow: writes before reads, so that a
    /// client is asked for more only once it has taken what it is owed.
    ///
    /// Each batch that one read brings is handed to `serve` in messages of at most
    /// [`recv_size`](Limits::recv_size) bytes, in order, and answered with one write. What that
    /// write does not take is kept in the connection.
    ///
    /// A peer's error ends in [`Outcome::Closed`]. `Interrupted` is retried.
    // Inlined, and everything that does not happen to a client that keeps up is kept out of line, so
    // that a message is served without a call but those of the kernel.
    #[inline(always)]
    pub fn run<S: Stream>(
        &mut self,
        peer: &mut Peer<S>,
        mut serve: impl FnMut(&[u8], &mut Reply<'_>),
    ) -> Outcome {
        let mut spent = 0;
        loop {
            let mut most = self.input.len();
            if !peer.connection.keeps_up() {
                match self.catch_up(peer, spent) {
                    Ok(spent_since) => spent = spent_since,
                    Err(outcome) => return outcome,
                }
                most = self.room(&peer.connection);
            } else if !peer.readiness.is_readable() {
                return if spent <= self.small.max(self.round_min) {
                    Outcome::Waiting
                } else {
                    Outcome::WaitingBulk
                };
            }
            let count = match peer.stream.read(&mut self.input[..most]) {
                Ok(count) if count > 0 => count,
                nothing => match read_nothing(peer, nothing) {
                    Ok(()) => continue,
                    Err(Starved) => return Outcome::Starved,
                },
            };
            if count < most {
                peer.readiness.read_short();
            } else {
                peer.readiness.read_full();
            }
            self.tally.received_bytes += count as u64;
            // Most reads bring one small message, whose way is kept free of a loop.
            if spent + count <= self.small {
                let answer = Answer::to_one(&self.input[..count], &mut self.output, &mut serve);
                let answered = deliver(peer, answer, self.defers, &self.limits, &mut self.tally);
                let Ok(Delivered { all }) = answered else {
                    return Outcome::Starved;
                };
                // The end for most, before there is any need to look at the budget.
                if (all || peer.connection.keeps_up()) && !peer.readiness.is_readable() {
                    return Outcome::Waiting;
                }
            } else {
                match self.answer_many(peer, count, &mut serve) {
                    Err(Starved) => return Outcome::Starved,
                    Ok(IsOver(true)) => return Outcome::WaitingBulk,
                    Ok(IsOver(false)) => {}
                }
            }
            // A system call takes time however little it moves.
            spent += count.max(self.round_min);
            if spent >= self.limits.budget && has_more(peer) {
                return Outcome::Yielded;
            }
        }
    }

    /// Whether a peer that is owed `connection`'s unsent bytes may be owed more before it has taken some.
    pub fn may_owe(&self, connection: &Connection) -> bool {
        connection.may_be_owed() && connection.unsent_len() < self.limits.watermarks.high
    }

    /// From now on no promise of an answer keeps a conversation from ending.
    pub const fn ignore_deferrals(&mut self) {
        self.defers = false;
    }

    /// Owes a peer `bytes` that no message of it is answered with at once. They are written when it is
    /// run next.
    pub fn owe<S>(&mut self, peer: &mut Peer<S>, bytes: &[u8]) {
        keep(&mut peer.connection, bytes, &self.limits, &mut self.tally);
    }

    /// One of the answers that a peer was promised has been given, or will not be.
    pub const fn answered<S>(&self, peer: &mut Peer<S>) {
        peer.connection.answered(self.limits.deferred);
    }

    /// What has been moved so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many bytes were read and written so far, except those of small messages.
    pub const fn bulk_bytes(&self) -> u64 {
        self.bulk_bytes
    }

    /// How much memory for answers is kept, beyond what is kept on purpose.
    #[cfg(test)]
    pub(crate) const fn kept(&self) -> usize {
        self.output.capacity().saturating_sub(OUTPUT_KEPT)
    }

    /// Gives back the memory of an unusually large answer.
    pub fn trim(&mut self) {
        if self.output.capacity() > OUTPUT_KEPT {
            self.output = Vec::new();
        }
    }

    /// Answers the first `count` bytes of the input, which are more than one small message.
    #[inline(never)]
    fn answer_many<S: Stream>(
        &mut self,
        peer: &mut Peer<S>,
        count: usize,
        serve: impl FnMut(&[u8], &mut Reply<'_>),
    ) -> Result<IsOver, Starved> {
        let before = self.tally.sent_bytes + self.tally.kept_bytes;
        let (input, output) = (&self.input[..count], &mut self.output);
        let answer = Answer::to_many(input, output, self.limits.recv_size, serve);
        let ignored = (count - answer.answered) as u64;
        self.tally.received_bytes -= ignored;
        self.tally.discarded_bytes += ignored;
        let messages = answer.messages;
        let delivered = deliver(peer, answer, self.defers, &self.limits, &mut self.tally);
        let replies = self.tally.sent_bytes + self.tally.kept_bytes - before;
        self.bulk_bytes += count as u64 + replies + ROUND_COST + messages * MESSAGE_COST;
        let Delivered { all } = delivered?;
        let keeps_up = all || peer.connection.keeps_up();
        Ok(IsOver(keeps_up && !peer.readiness.is_readable()))
    }

    /// Does what goes before asking a peer for more: writes what it is owed, and if the conversation is
    /// ending, shuts our side and discards input. `Ok` with what has been spent if there is input to
    /// answer; otherwise, how the run ends.
    #[cold]
    #[inline(never)]
    fn catch_up<S: Stream>(
        &mut self,
        peer: &mut Peer<S>,
        mut spent: usize,
    ) -> Result<usize, Outcome> {
        loop {
            if let State::Closed(reason) = peer.connection.state() {
                return Err(Outcome::Closed(reason));
            }
            if !peer.is_runnable() {
                let waiting = peer.connection.keeps_up();
                return Err(match (waiting, spent) {
                    (true, 0) => Outcome::Waiting,
                    (true, _) => Outcome::WaitingBulk,
                    (false, _) => Outcome::Blocked,
                });
            }
            if spent >= self.limits.budget {
                return Err(Outcome::Yielded);
            }
            let moved = if peer.connection.awaits_answers_only() {
                ask(peer)
            } else if peer.connection.wants_write() && peer.readiness.is_writable() {
                self.flush(peer)
            } else if peer.connection.wants_shutdown() {
                shut(peer)
            } else if peer.connection.is_open() {
                return Ok(spent);
            } else {
                self.discard(peer)
            };
            spent += moved.map_err(|Starved| Outcome::Starved)?;
        }
    }

    /// How much may be read of a peer that is owed something: an echo of it must not take what is owed beyond the high
    /// watermark.
    #[cold]
    #[inline(never)]
    fn room(&self, connection: &Connection) -> usize {
        let left = self
            .limits
            .watermarks
            .high
            .saturating_sub(connection.unsent_len());
        left.clamp(1, self.input.len())
    }

    /// Writes from what the peer is owed, once.
    fn flush<S: Stream>(&mut self, peer: &mut Peer<S>) -> Result<usize, Starved> {
        match write(
            &mut peer.stream,
            &mut peer.readiness,
            peer.connection.unsent(),
        ) {
            Ok(count) => {
                self.tally.sent_bytes += count as u64;
                self.tally.caught_up_bytes += count as u64;
                self.bulk_bytes += count as u64;
                peer.connection.sent(count, self.limits.watermarks);
                Ok(count)
            }
            Err(error) => absorb(&mut peer.connection, &error).map(|()| 0),
        }
    }

    /// Reads once, and drops what came.
    fn discard<S: Stream>(&mut self, peer: &mut Peer<S>) -> Result<usize, Starved> {
        match peer.stream.read(&mut self.input) {
            Ok(count) if count > 0 => {
                if count < self.input.len() {
                    peer.readiness.read_short();
                }
                self.tally.discarded_bytes += count as u64;
                self.bulk_bytes += count as u64;
                Ok(count)
            }
            nothing => read_nothing(peer, nothing).map(|()| 0),
        }
    }
}

/// What a read counts for at least, so that reads of a few bytes spend the budget too: also where
/// reads go on until one would block, and small messages come as fast as they are answered.
fn round_min(limits: &Limits) -> usize {
    let part = limits.budget / ROUNDS_MAX;
    if SHORT_MEANS_EXHAUSTED {
        part
    } else {
        part.max(limits.recv_size.get())
    }
}

/// Whether a peer that has spent its budget has more to do. What is over is not put off.
#[cold]
#[inline(never)]
fn has_more<S>(peer: &Peer<S>) -> bool {
    !peer.connection.is_closed() && peer.is_runnable()
}

/// Asks a stream that is said to have failed whether it has.
fn ask<S: Stream>(peer: &mut Peer<S>) -> Result<usize, Starved> {
    peer.readiness.not_failed();
    if let Ok(Some(error)) | Err(error) = peer.stream.take_error() {
        absorb(&mut peer.connection, &error)?;
    }
    Ok(0)
}

fn shut<S: Stream>(peer: &mut Peer<S>) -> Result<usize, Starved> {
    match peer.stream.shutdown_write() {
        Ok(()) => peer.connection.shut(),
        Err(error) => absorb(&mut peer.connection, &error)?,
    }
    Ok(0)
}

/// Sends an answer straight from where it lies, if the kernel may take it. What it does not take is
/// kept.
#[inline(always)]
fn deliver<S: Stream>(
    peer: &mut Peer<S>,
    answer: Answer<'_>,
    defers: bool,
    limits: &Limits,
    tally: &mut Tally,
) -> Result<Delivered, Starved> {
    tally.messages += answer.messages;
    let mut sent = Ok(0);
    if peer.readiness.is_writable() && !answer.bytes.is_empty() {
        // What was owed before has been written, or the latch would be clear: nothing is overtaken.
        debug_assert!(!peer.connection.has_unsent());
        sent = peer.stream.write(answer.bytes);
    }
    // Without an answer it may be owed something from before.
    let mut all = answer.deferred == 0 && !answer.hung_up && !answer.bytes.is_empty();
    let result = match sent {
        Ok(count) if count == answer.bytes.len() => {
            tally.sent_bytes += count as u64;
            Ok(())
        }
        less => {
            all = false;
            sent_less(peer, answer.bytes, less, limits, tally)
        }
    };
    if answer.deferred > 0 && defers {
        peer.connection.defer(answer.deferred, limits.deferred);
    }
    if answer.hung_up {
        peer.connection.finish(CloseReason::HungUp);
    }
    result.map(|()| Delivered { all })
}

/// Keeps what a write has not taken of a reply: all of it, if none was tried.
#[cold]
#[inline(never)]
fn sent_less<S: Stream>(
    peer: &mut Peer<S>,
    reply: &[u8],
    written: io::Result<usize>,
    limits: &Limits,
    tally: &mut Tally,
) -> Result<(), Starved> {
    let mut failed = None;
    let mut sent = 0;
    if peer.readiness.is_writable() {
        match took(&mut peer.readiness, reply, written) {
            Ok(count) => sent = count,
            Err(error) => failed = Some(error),
        }
    }
    tally.sent_bytes += sent as u64;
    // Kept even for a peer that has failed, so that what it was owed is counted.
    keep(&mut peer.connection, &reply[sent..], limits, tally);
    failed.map_or(Ok(()), |error| absorb(&mut peer.connection, &error))
}

/// Keeps `bytes` that a peer is owed, unless it is gone.
fn keep(connection: &mut Connection, bytes: &[u8], limits: &Limits, tally: &mut Tally) {
    let before = connection.unsent_len();
    tally.pauses += u64::from(connection.owe(bytes, limits.watermarks));
    tally.kept_bytes += (connection.unsent_len() - before) as u64;
}
