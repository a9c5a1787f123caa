//! One client's conversation as a state machine, and the pump that moves its bytes.
//!
//! Pure: no socket, no clock, no mio. [`Connection`] holds what is owed and where the conversation
//! stands; [`Readiness`] holds what the kernel has said; a [`Pump`] brings the two together with any
//! [`Stream`]. All transitions of a connection are in this file.

mod buffer;
mod outcome;
mod peer;
mod pump;
mod readiness;
mod reply;
mod state;
mod transfer;
mod verdict;

pub use buffer::Buffer;
pub use outcome::{Outcome, Tally};
pub use peer::{Peer, Stream};
pub use pump::Pump;
pub use readiness::Readiness;
pub(crate) use readiness::SHORT_MEANS_EXHAUSTED;
pub(crate) use reply::Answer;
pub use reply::Reply;
pub use state::{CloseReason, Limits, State, Watermarks};
pub use transfer::Transfer;

/// One client's conversation: its state, and the bytes it is owed.
///
/// ```text
///             receive_eof, finish              sent, shut, receive_eof, answered
///   Open ------------------------> Draining -------------------------------------> Closed(reason)
///   |  ^                               ^                                                ^
///   |  +--- answered ---+              |                                                |
///   +-- defer -----> Held -- finish ---+         (from everywhere) ------ close --------+
/// ```
///
/// Questions are asked with `wants_*`; facts are told with what happened: bytes could not be written
/// ([`owe`](Self::owe)), were written ([`sent`](Self::sent)), the peer ended its side
/// ([`receive_eof`](Self::receive_eof)). A fact that comes too late, after the end, changes nothing.
#[derive(Debug)]
pub struct Connection {
    state: State,
    unsent: Buffer,
    flags: Flags,
    /// How many answers are promised.
    deferred: u32,
}

/// What is so or not, in one byte: a connection has 16 in all, of which there may be many thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags(u8);

/// Reading is paused by the high watermark. Invariant: more than `low` bytes are unsent.
const PAUSED: u8 = 1;
/// Since it was last asked, bytes owed were written, or the first were kept.
const PROGRESS: u8 = 2;

impl Flags {
    const fn set(&mut self, flag: u8, is: bool) {
        self.0 |= flag * is as u8;
    }

    const fn take(&mut self, flag: u8) -> bool {
        let is = self.has(flag);
        self.0 &= !flag;
        is
    }

    const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

const _: () = assert!(
    size_of::<Connection>() == 16,
    "what an idle client costs is stated"
);

/// How many answers may be promised unless there is a reason for [another limit](Limits::deferred): as many
/// as a person can keep in mind.
pub const DEFERRED_MAX: u32 = 16;

impl Connection {
    /// A conversation that has just begun.
    pub const fn new() -> Self {
        Self {
            state: State::Open,
            unsent: Buffer::new(),
            flags: Flags(0),
            deferred: 0,
        }
    }

    /// `count` more answers are promised. They keep an ended conversation from being over, and with `most`
    /// of them no more input is read.
    #[cold]
    #[inline(never)]
    pub const fn defer(&mut self, count: u32, most: u32) {
        self.deferred += count;
        if self.deferred >= most && self.is_open() {
            self.state = State::Held;
        }
    }

    /// One of the answers promised has been given, or will not be. With fewer than `most` left, input is
    /// read again.
    pub const fn answered(&mut self, most: u32) {
        self.deferred = self.deferred.saturating_sub(1);
        if self.deferred < most && matches!(self.state, State::Held) {
            self.state = State::Open;
        }
        self.settle();
    }

    /// None of the answers promised will be given.
    pub const fn forget_deferred(&mut self) {
        self.deferred = 0;
        self.answered(u32::MAX);
    }

    /// The peer is owed `bytes`, which could not be written yet. Returns whether reading pauses now.
    #[cold]
    #[inline(never)]
    pub fn owe(&mut self, bytes: &[u8], marks: Watermarks) -> bool {
        if self.is_closed() || bytes.is_empty() {
            return false;
        }
        debug_assert!(!self.is_shut(), "a reply after our side was shut");
        self.flags.set(PROGRESS, !self.has_unsent());
        self.unsent.extend(bytes);
        let pauses = !self.is_paused() && self.unsent.len() >= marks.high;
        self.flags.set(PAUSED, pauses);
        pauses
    }

    /// The first `count` bytes owed were written.
    ///
    /// # Panics
    ///
    /// When `count` exceeds the number of unsent bytes.
    pub fn sent(&mut self, count: usize, marks: Watermarks) {
        self.flags.set(PROGRESS, count > 0);
        self.unsent.consume(count);
        if self.unsent.len() <= marks.low {
            self.flags.take(PAUSED);
        }
        self.settle();
    }

    /// The peer ended its side. What is owed is still written.
    pub const fn receive_eof(&mut self) {
        match &mut self.state {
            State::Open | State::Held => {
                let reason = CloseReason::PeerClosed;
                self.state = State::Draining {
                    reason,
                    peer_ended: true,
                    shut: false,
                };
            }
            State::Draining { peer_ended, .. } => *peer_ended = true,
            State::Closed(_) => {}
        }
        self.settle();
    }

    /// Ends a conversation from our side: what is owed is still written, later input is discarded, and
    /// answers promised are not given.
    pub const fn finish(&mut self, reason: CloseReason) {
        self.forget_deferred();
        if matches!(self.state, State::Open | State::Held) {
            self.state = State::Draining {
                reason,
                peer_ended: false,
                shut: false,
            };
        }
    }

    /// Our side has been shut.
    pub const fn shut(&mut self) {
        if let State::Draining { shut, .. } = &mut self.state {
            debug_assert!(self.unsent.is_empty(), "shut with bytes unsent");
            *shut = true;
        }
    }

    /// Ends the conversation at once. Unsent bytes stay countable but will not be written.
    pub const fn close(&mut self, reason: CloseReason) {
        if !self.is_closed() {
            self.state = State::Closed(reason);
        }
    }

    /// Whether, since this was last asked, some of the bytes owed were written, or the first of them
    /// were kept: what a write-stall timeout counts from.
    pub const fn take_progress(&mut self) -> bool {
        self.flags.take(PROGRESS)
    }

    /// Where the conversation stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// What to write next: the oldest bytes owed, as many as lie in one piece.
    pub fn unsent(&self) -> &[u8] {
        self.unsent.front()
    }

    /// How many bytes are owed in all.
    pub fn unsent_len(&self) -> usize {
        self.unsent.len()
    }

    /// Whether anything is owed.
    pub const fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether reading is paused because too much is unsent.
    pub const fn is_paused(&self) -> bool {
        self.flags.has(PAUSED)
    }

    /// Whether input is answered, and not discarded.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether the conversation is open and nothing is owed: all there is to do is to read.
    pub const fn keeps_up(&self) -> bool {
        !self.has_unsent() && self.is_open()
    }

    /// How many answers are promised.
    pub const fn deferred(&self) -> u32 {
        self.deferred
    }

    /// Whether something can still be sent behind everything owed.
    pub const fn may_be_owed(&self) -> bool {
        match self.state {
            State::Open | State::Held => true,
            // With the peer's end, only answers that it was promised keep the conversation from being over.
            State::Draining { shut, .. } => !shut && self.deferred > 0,
            State::Closed(_) => false,
        }
    }

    /// Whether no end of the conversation has come yet, from either side.
    pub const fn is_going_on(&self) -> bool {
        matches!(self.state, State::Open | State::Held)
    }

    /// Whether the conversation is over.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    /// Whether our side has been shut while the peer's end is awaited.
    pub const fn is_shut(&self) -> bool {
        matches!(self.state, State::Draining { shut: true, .. })
    }

    /// Whether input should be read: to be answered, or to be discarded until the peer's end.
    pub const fn wants_read(&self) -> bool {
        match self.state {
            State::Open => !self.is_paused(),
            State::Held => false,
            State::Draining { peer_ended, .. } => !peer_ended,
            State::Closed(_) => false,
        }
    }

    /// Whether there is something to write.
    pub const fn wants_write(&self) -> bool {
        !self.is_closed() && self.has_unsent()
    }

    /// Whether our side should be shut now.
    pub const fn wants_shutdown(&self) -> bool {
        matches!(
            self.state,
            State::Draining {
                peer_ended: false,
                shut: false,
                ..
            }
        ) && !self.has_unsent()
    }

    /// Whether anything can be done right now: where this holds the connection belongs on the ready
    /// list; where it does not, an event or a deadline will bring it back.
    pub const fn is_runnable(&self, readiness: Readiness) -> bool {
        (self.wants_write() && readiness.is_writable())
            || (self.wants_read() && readiness.is_readable())
            || self.wants_shutdown()
            || self.is_closed()
            || (self.awaits_answers_only() && readiness.is_failed())
    }

    /// Whether all there is to do is to wait for the answers that are promised. Nothing is read then, so
    /// nothing but the socket itself can say that it has failed.
    pub const fn awaits_answers_only(&self) -> bool {
        self.deferred > 0 && !self.wants_read() && !self.has_unsent()
    }

    /// Once nothing is left to write, nothing to read and no answer promised, the conversation is over.
    const fn settle(&mut self) {
        if let State::Draining {
            reason,
            peer_ended: true,
            ..
        } = self.state
            && !self.has_unsent()
            && self.deferred == 0
        {
            self.state = State::Closed(reason);
        }
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
