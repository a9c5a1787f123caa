//! One thing that a loop has done, in a fixed number of bytes.

use std::net::SocketAddr;

use crate::service::ClientId;

/// One thing that a loop has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it began, in nanoseconds of the clock of the probe.
    pub at: u64,
    /// How long it took, in nanoseconds.
    pub took: u64,
    /// The connection it concerned, if it was one.
    pub who: Option<ClientId>,
    /// What it was.
    pub what: What,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The loop slept until events came, or a deadline.
    Poll {
        /// So many events.
        events: u32,
        /// As many as one poll can bring: more were waiting.
        full: bool,
    },
    /// The loop worked: everything between two polls.
    Turn,
    /// A connection was served.
    Serve {
        /// How long it was ready before, since the poll that said so has returned. `None`: no event has said so, it was
        /// left over, or a deadline brought it.
        waited: Option<u64>,
        /// How it ended.
        served: Served,
    },
    /// Bytes were read, or were to be.
    Read(Call),
    /// Bytes were written, or were to be.
    Write(Call),
    /// Connections were accepted.
    Accept {
        /// So many.
        count: u32,
    },
    /// Datagrams were received, and answered or sent.
    Datagrams {
        /// So many received.
        received: u32,
        /// So many sent.
        sent: u32,
    },
    /// A connection has come to be. It is known to both ends by the client's address.
    Open {
        /// The client's address.
        client: SocketAddr,
    },
    /// A connection is over; it took as long as it was open.
    Close {
        /// Why.
        reason: &'static str,
    },
    /// A message of a load: it was due when this begins, and took until it was answered.
    Message {
        /// Where in the stream of its connection it begins.
        offset: u64,
        /// How long it is.
        size: u32,
        /// How long after it was due it was sent, in nanoseconds.
        late: u64,
    },
}

/// One call of read or write on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// How many bytes had been moved in this direction before.
    pub offset: u64,
    /// How many bytes were asked for, or there was room for.
    pub asked: u32,
    /// What came of it.
    pub result: Moved,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes were moved.
    Bytes(u32),
    /// Nothing was there, or there was no room: `WouldBlock`.
    Nothing,
    /// The other side has ended: a read of 0 bytes.
    End,
    /// The call has failed.
    Failed,
}

/// How serving a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// All that was there was done: it waits for an event.
    Done,
    /// It is owed bytes that the kernel does not take.
    Blocked,
    /// It is not read from until an answer that it was promised is given, or it has ended its side.
    Held,
    /// Its budget was spent, and it has more to do.
    Yielded,
    /// The conversation is over.
    Over,
}

impl Served {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Blocked => "blocked",
            Self::Held => "held",
            Self::Yielded => "yielded",
            Self::Over => "over",
        }
    }

    /// What is written so.
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Done,
            Self::Blocked,
            Self::Held,
            Self::Yielded,
            Self::Over,
        ];
        all.into_iter().find(|served| served.name() == name)
    }
}

impl Call {
    /// How many bytes it has moved.
    pub const fn bytes(self) -> u32 {
        match self.result {
            Moved::Bytes(bytes) => bytes,
            _ => 0,
        }
    }

    /// Whether it has moved some, and fewer than it was to.
    pub const fn is_short(self) -> bool {
        matches!(self.result, Moved::Bytes(bytes) if bytes < self.asked)
    }
}
