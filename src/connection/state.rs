//! Where a conversation stands, why it ended, and what paces it.

use std::num::NonZeroUsize;
use std::{fmt, io};

/// Where a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Input is read and answered.
    Open,
    /// As many answers are promised as may be: no input is read until one of them is given.
    Held,
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
    /// Its place was wanted by somebody else, and it had been quiet for longest.
    Evicted,
    /// Reading or writing failed: a reset, a broken pipe, a time-out of the network.
    Failed(io::ErrorKind),
    /// The peer did not send a byte for the first-byte timeout.
    FirstByteTimeout,
    /// The service ended it.
    HungUp,
    /// Nothing was sent or received for the idle timeout.
    IdleTimeout,
    /// All peers together were owed too much, and it was owed most.
    OwedTooMuch,
    /// The peer ended its side, and has been sent everything it was owed.
    PeerClosed,
    /// The peer took none of the bytes it was owed for the write-stall timeout.
    WriteStalled,
}

impl CloseReason {
    /// As it is written in short, without what exactly has failed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Drained => "drained",
            Self::Evicted => "evicted",
            Self::Failed(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => "reset",
            Self::Failed(_) => "failed",
            Self::FirstByteTimeout => "first-byte timeout",
            Self::HungUp => "hung up",
            Self::IdleTimeout => "idle timeout",
            Self::OwedTooMuch => "owed too much",
            Self::PeerClosed => "peer closed",
            Self::WriteStalled => "write stalled",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(kind) => write!(f, "failed: {kind}"),
            other => f.write_str(other.name()),
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

/// How much a pump does for one peer at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes a service is handed at once.
    pub recv_size: NonZeroUsize,
    /// The most bytes that one system call reads. Fewer are if the budget is smaller, but for one message.
    pub read_ahead: NonZeroUsize,
    /// How many bytes one client may move in one turn before it is the next one's turn. The last
    /// read or write may exceed it. Where a short read does not prove that nothing more is there, a read counts as much as a
    /// whole message at least.
    pub budget: usize,
    /// How many answers may be promised before no more input is read. The messages of one read may
    /// exceed it.
    pub deferred: u32,
    /// When reading pauses and resumes.
    pub watermarks: Watermarks,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_and_tells_what_has_failed_when_asked() {
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe] {
            assert_eq!(CloseReason::Failed(kind).name(), "reset");
        }
        let failed = CloseReason::Failed(io::ErrorKind::TimedOut);
        assert_eq!(
            (failed.name(), CloseReason::Evicted.name()),
            ("failed", "evicted")
        );
        assert_eq!(failed.to_string(), "failed: timed out");
        assert_eq!(CloseReason::HungUp.to_string(), "hung up");
    }
}
