//! One client: its socket, its conversation, and when it last did anything.

use std::net::SocketAddr;
use std::time::Instant;

use crate::connection::{Connection, Pumped, Readiness};
use crate::reactor::TcpStream;

/// One TCP client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) connection: Connection,
    pub(super) readiness: Readiness,
    /// On the ready list. Keeps it from being there twice.
    pub(super) queued: bool,
    /// A deadline watches over its unsent bytes.
    pub(super) stall_watched: bool,
    /// A deadline watches over the wait for its end of file.
    pub(super) linger_watched: bool,
    pub(super) peer: SocketAddr,
    /// When it was accepted, or last sent or took a byte.
    pub(super) active: Instant,
    /// When it last took a byte or our end of file, or when bytes it did not take were first kept.
    pub(super) taken: Instant,
}

impl Client {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, now: Instant) -> Self {
        Self {
            stream,
            connection: Connection::new(),
            readiness: Readiness::new(),
            queued: false,
            stall_watched: false,
            linger_watched: false,
            peer,
            active: now,
            taken: now,
        }
    }

    /// Notes when bytes were moved.
    #[inline]
    pub(super) fn pumped(&mut self, pumped: &Pumped, now: Instant) {
        if pumped.read + pumped.written + pumped.discarded > 0 {
            self.active = now;
        }
        if pumped.written > 0 {
            self.taken = now;
        }
    }

    /// Whether anything can be done for it without a further event or deadline.
    #[inline]
    pub(super) fn is_runnable(&self) -> bool {
        self.connection.is_runnable(self.readiness)
    }
}
