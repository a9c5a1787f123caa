//! One client: its socket, its conversation, and when it last did anything.

use std::net::SocketAddr;

use super::remote::Remote;
use crate::connection::Peer;
use crate::reactor::Stamp;

/// One TCP client.
#[derive(Debug)]
pub(super) struct Client<S> {
    pub(super) peer: Peer<S>,
    pub(super) address: Remote,
    /// On the ready list. Keeps it from being there twice.
    pub(super) queued: bool,
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
            queued: false,
            stall_watched: false,
            linger_watched: false,
            starved_watched: false,
            active: now,
            taken: now,
        }
    }
}
