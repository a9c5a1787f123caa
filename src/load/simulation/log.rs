//! Everything that a load did to its sockets, and when.

use crate::load::result::outcome::Interval;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// When, by the load's own last look at the clock; of what was received, by its next.
    pub(super) at: u64,
    pub(super) what: What,
}

/// Streams and flows are named by their places in the lists of the world.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// An attempt to connect, which failed at once with this error.
    Attempted {
        server: usize,
        error: Option<i32>,
    },
    /// The load has learned that it is connected.
    Connected {
        stream: usize,
    },
    /// It has learned that it never will be.
    NotConnected {
        stream: usize,
        error: i32,
    },
    /// These bytes were offered to the kernel, which took the first `taken`.
    Wrote {
        stream: usize,
        offered: Vec<u8>,
        taken: usize,
    },
    WriteFailed {
        stream: usize,
        offered: Vec<u8>,
        error: i32,
    },
    Read {
        stream: usize,
        bytes: Vec<u8>,
    },
    ReadEof {
        stream: usize,
    },
    ReadFailed {
        stream: usize,
        error: i32,
    },
    /// The load has closed it, or given up connecting.
    Closed {
        stream: usize,
    },
    /// A socket for datagrams was opened, or was not.
    Opened {
        server: usize,
        error: Option<i32>,
    },
    Sent {
        flow: usize,
        bytes: Vec<u8>,
    },
    SendFailed {
        error: i32,
    },
    Received {
        flow: usize,
        bytes: Vec<u8>,
    },
    ReceiveFailed {
        error: i32,
    },
    /// The kernel had no room for a datagram that came.
    Dropped,
    /// Messages may be sent from now on.
    Running,
    /// The window has begun.
    Measuring,
    /// It is over: replies are still waited for.
    Draining,
    /// The load has been left by its loop.
    Over,
    /// A first signal, and a second one.
    Stopped,
    Aborted,
    /// An interval was reported.
    Interval(Interval),
    /// The client did not run, from then on.
    Paused {
        from: u64,
    },
}
