//! One client: its socket, its conversation, and when it last did anything.

use std::net::SocketAddr;

use super::remote::Remote;
use crate::connection::Peer;
use crate::reactor::Stamp;

/// Whether a client waits to be served, and how it is queued otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It does not wait. The last time that it was served, it had little to say.
    Quiet,
    /// It does not wait. The last time that it was served, it moved more than one message.
    Bulk,
    /// It is on the ready list, and must not be there twice.
    Queued,
}

/// One TCP client.
#[derive(Debug)]
pub(super) struct Client<S> {
    pub(super) peer: Peer<S>,
    pub(super) address: Remote,
    pub(super) turn: Turn,
    /// A deadline watches over its unsent bytes.
    pub(super) stall_watched: bool,
    /// A deadline watches over the wait for its end of file.
    pub(super) linger_watched: bool,
    /// A deadline will bring it back when the kernel has had no memory for it.
    pub(super) starved_watched: bool,
    /// When it was accepted, or last served: something was to be read from it, or written to it.
    pub(super) active: Stamp,
    /// While it is owed something: when it last took a byte, or when the first was kept. Once our
    /// side is shut: when that was.
    pub(super) taken: Stamp,
}

impl<S> Client<S> {
    pub(super) fn new(stream: S, address: SocketAddr, now: Stamp) -> Self {
        Self {
            peer: Peer::new(stream),
            address: address.into(),
            turn: Turn::Quiet,
            stall_watched: false,
            linger_watched: false,
            starved_watched: false,
            active: now,
            taken: now,
        }
    }

    /// Whether it is on the ready list.
    pub(super) fn is_queued(&self) -> bool {
        self.turn == Turn::Queued
    }
}
