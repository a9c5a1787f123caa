//! One end of a conversation, with its stream.

use std::io::{self, Read, Write};

use super::{Connection, Readiness};

/// A byte stream whose sending side can be shut, such as a non-blocking TCP socket.
pub trait Stream: Read + Write {
    /// Shuts the sending side: the peer reads an end of file behind everything written so far.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Why the stream has failed, if it has and this was not asked before. A stream that can't tell has
    /// `None`.
    ///
    /// # Errors
    ///
    /// When it can't be asked.
    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// Has the conversation end by a reset when the stream is closed, which leaves nothing behind in the kernel. A
    /// stream that can't be reset does nothing.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn reset_on_close(&self) -> io::Result<()> {
        Ok(())
    }
}

/// One end of a conversation: a stream, what the kernel has said of it, and where it stands.
#[derive(Debug)]
pub struct Peer<S> {
    /// Where the bytes go.
    pub stream: S,
    /// What is owed, and where the conversation stands.
    pub connection: Connection,
    /// What events have said. To be set by them, and cleared by the pump.
    pub readiness: Readiness,
}

impl<S> Peer<S> {
    /// A conversation over `stream` that has just begun.
    pub const fn new(stream: S) -> Self {
        Self {
            stream,
            connection: Connection::new(),
            readiness: Readiness::new(),
        }
    }

    /// Whether anything can be done right now: see [`Connection::is_runnable`].
    pub const fn is_runnable(&self) -> bool {
        self.connection.is_runnable(self.readiness)
    }
}
