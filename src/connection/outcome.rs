//! What a pump has done: how a run ended, and what all runs have moved.

use super::CloseReason;

/// What a pump has moved so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes read and answered.
    pub received_bytes: u64,
    /// Bytes read and discarded, because the conversation was ending.
    pub discarded_bytes: u64,
    /// Bytes written.
    pub sent_bytes: u64,
    /// Messages handed to the service.
    pub messages: u64,
    /// Times reading paused at the high watermark.
    pub pauses: u64,
    /// Bytes that could not be written at once, and were kept.
    pub kept_bytes: u64,
    /// Those of them that have been written since.
    pub caught_up_bytes: u64,
}

/// How a call of [`Pump::run`](super::Pump::run) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more can be done before an event or a deadline, and output is pending or the
    /// connection is closing.
    Blocked,
    /// The conversation is over.
    Closed(CloseReason),
    /// The kernel is out of memory for this socket. No event will say when that has passed, so a
    /// deadline must.
    Starved,
    /// Nothing is left to do but to wait for input.
    Waiting,
    /// The same, after more than one message or more than 1024 bytes at once.
    WaitingBulk,
    /// The budget is spent and there is more to do: the peer belongs on the ready list.
    Yielded,
}
