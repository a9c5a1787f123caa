//! One client's conversation as a state machine, and the pump that moves its bytes.
//!
//! Pure: no socket, no clock, no mio. [`Connection`] holds what is owed and where the conversation
//! stands; [`Readiness`] holds what the kernel has said; a [`Pump`] brings the two together with any
//! [`Stream`]. All transitions of a connection are in this file.

mod buffer;
mod pump;
mod readiness;
mod reply;

use std::{fmt, io};

pub use buffer::Buffer;
pub use pump::{Limits, Outcome, Peer, Pump, Stream, Tally};
pub use readiness::Readiness;
pub(crate) use reply::Answer;
pub use reply::Reply;

/// One client's conversation: its state, and the bytes it is owed.
///
/// ```text
///             receive_eof, finish              sent, shut, receive_eof
///   Open ------------------------> Draining ----------------------------> Closed(reason)
///     |                                                                        ^
///     +------------------------------- close ---------------------------------+
/// ```
///
/// Questions are asked with `wants_*`; facts are told with what happened: bytes could not be written
/// ([`owe`](Self::owe)), were written ([`sent`](Self::sent)), the peer ended its side
/// ([`receive_eof`](Self::receive_eof)). A fact that comes too late, after the end, changes nothing.
#[derive(Debug)]
pub struct Connection {
    state: State,
    unsent: Buffer,
    /// Reading is paused by the high watermark. Invariant: more than `low` bytes are unsent.
    paused: bool,
    /// Since it was last asked, bytes owed were written, or the first were kept.
    progress: bool,
}

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Input is read and answered.
    Open,
    /// No further input is answered. What is owed is still written; then our side is shut, unless
    /// the peer has ended too, in which case the conversation is over.
    Draining {
        /// Why the conversation ends.
        reason: CloseReason,
        /// The peer has ended its side: nothing is left to read.
        peer_ended: bool,
        /// Our side has been shut: nothing is left to write. Until the peer ends its side its input
        /// is read and discarded, because closing a socket with unread input makes the kernel send
        /// a reset, which can destroy replies that the peer has not read yet.
        shut: bool,
    },
    /// The conversation is over.
    Closed(CloseReason),
}

/// Why a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The server stopped before the conversation had drained.
    Aborted,
    /// The server is stopping, and the conversation was quiet.
    Drained,
    /// Reading or writing failed: a reset, a broken pipe, a time-out of the network.
    Failed(io::ErrorKind),
    /// The service ended it.
    HungUp,
    /// Nothing was sent or received for the idle timeout.
    IdleTimeout,
    /// The peer ended its side, and has been sent everything it was owed.
    PeerClosed,
    /// The peer took none of the bytes it was owed for the write-stall timeout.
    WriteStalled,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aborted => f.write_str("aborted"),
            Self::Drained => f.write_str("drained"),
            Self::Failed(kind) => write!(f, "failed: {kind}"),
            Self::HungUp => f.write_str("hung up"),
            Self::IdleTimeout => f.write_str("idle timeout"),
            Self::PeerClosed => f.write_str("peer closed"),
            Self::WriteStalled => f.write_str("write stalled"),
        }
    }
}

/// How many unsent bytes pause reading from a client, and how few resume it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// With at least this many bytes unsent, the client is not read from.
    pub high: usize,
    /// With at most this many bytes unsent, it is read from again. Less than `high`.
    pub low: usize,
}

impl Connection {
    /// A conversation that has just begun.
    pub const fn new() -> Self {
        Self {
            state: State::Open,
            unsent: Buffer::new(),
            paused: false,
            progress: false,
        }
    }

    /// The peer is owed `bytes`, which could not be written yet. Returns whether reading pauses now.
    #[cold]
    #[inline(never)]
    pub fn owe(&mut self, bytes: &[u8], marks: Watermarks) -> bool {
        if self.is_closed() || bytes.is_empty() {
            return false;
        }
        debug_assert!(!self.is_shut(), "a reply after our side was shut");
        self.progress |= !self.has_unsent();
        self.unsent.extend(bytes);
        let pauses = !self.paused && self.unsent.len() >= marks.high;
        self.paused |= pauses;
        pauses
    }

    /// The first `count` bytes owed were written.
    ///
    /// # Panics
    ///
    /// When `count` exceeds the number of unsent bytes.
    pub fn sent(&mut self, count: usize, marks: Watermarks) {
        self.progress |= count > 0;
        self.unsent.consume(count);
        if self.unsent.len() <= marks.low {
            self.paused = false;
        }
        self.settle();
    }

    /// The peer ended its side. What is owed is still written.
    pub const fn receive_eof(&mut self) {
        match &mut self.state {
            State::Open => {
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

    /// Ends an open conversation from our side: what is owed is still written, later input is
    /// discarded.
    pub const fn finish(&mut self, reason: CloseReason) {
        if matches!(self.state, State::Open) {
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
        std::mem::replace(&mut self.progress, false)
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
        self.paused
    }

    /// Whether input is answered, and not discarded.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether the conversation is open and nothing is owed: all there is to do is to read.
    pub const fn keeps_up(&self) -> bool {
        !self.has_unsent() && self.is_open()
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
            State::Open => !self.paused,
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
    }

    /// Once nothing is left to write and nothing to read, the conversation is over.
    const fn settle(&mut self) {
        if let State::Draining {
            reason,
            peer_ended: true,
            ..
        } = self.state
            && !self.has_unsent()
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
mod tests {
    use super::*;

    const MARKS: Watermarks = Watermarks { high: 8, low: 2 };

    #[test]
    fn half_close_delivers_what_is_owed_before_it_closes() {
        let mut connection = Connection::new();
        connection.owe(b"tail", MARKS);
        connection.receive_eof();
        assert!(
            !connection.wants_read() && connection.wants_write() && !connection.wants_shutdown()
        );
        connection.sent(3, MARKS);
        assert!(!connection.is_closed());
        connection.sent(1, MARKS);
        assert_eq!(connection.state(), State::Closed(CloseReason::PeerClosed));
    }

    #[test]
    fn half_close_with_nothing_owed_closes_at_once() {
        let mut connection = Connection::new();
        connection.receive_eof();
        assert_eq!(connection.state(), State::Closed(CloseReason::PeerClosed));
    }

    #[test]
    fn finishing_flushes_then_shuts_then_awaits_the_peer() {
        let mut connection = Connection::new();
        connection.owe(b"bye", MARKS);
        connection.finish(CloseReason::HungUp);
        assert!(
            connection.wants_read(),
            "input is discarded, so that no reset destroys the reply"
        );
        assert!(!connection.is_open() && !connection.wants_shutdown());
        connection.sent(3, MARKS);
        assert!(connection.wants_shutdown());
        connection.shut();
        assert!(connection.is_shut() && connection.wants_read() && !connection.wants_shutdown());
        connection.receive_eof();
        assert_eq!(connection.state(), State::Closed(CloseReason::HungUp));
    }

    #[test]
    fn watermarks_pause_and_resume_with_hysteresis() {
        let mut connection = Connection::new();
        connection.owe(b"1234567", MARKS);
        assert!(connection.wants_read());
        connection.owe(b"8", MARKS);
        assert!(!connection.wants_read(), "at the high watermark");
        connection.sent(5, MARKS);
        assert!(
            !connection.wants_read(),
            "between the marks nothing changes"
        );
        connection.sent(1, MARKS);
        assert!(connection.wants_read(), "at the low watermark");
        connection.owe(b"1234", MARKS);
        assert!(connection.wants_read(), "between the marks nothing changes");
    }

    #[test]
    fn a_closed_conversation_keeps_its_reason_and_wants_nothing() {
        let mut connection = Connection::new();
        connection.owe(b"lost", MARKS);
        let reason = CloseReason::Failed(io::ErrorKind::ConnectionReset);
        connection.close(reason);
        connection.close(CloseReason::Aborted);
        connection.receive_eof();
        connection.finish(CloseReason::Drained);
        connection.owe(b"more", MARKS);
        assert_eq!(connection.state(), State::Closed(reason));
        assert!(
            !connection.wants_read() && !connection.wants_write() && !connection.wants_shutdown()
        );
        assert_eq!(connection.unsent(), b"lost");
    }

    #[test]
    fn a_paused_connection_that_ends_is_not_stuck() {
        let mut connection = Connection::new();
        connection.owe(&[0; 20], MARKS);
        connection.finish(CloseReason::Drained);
        assert!(connection.wants_read() && connection.wants_write());
        connection.sent(20, MARKS);
        assert!(connection.wants_shutdown());
    }
}
