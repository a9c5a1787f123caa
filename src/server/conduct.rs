//! How a server treats those it serves, beyond what its service says to them.

use std::net::SocketAddr;
use std::time::Instant;

use crate::connection::Stream;
use crate::reactor::{Net, Outlet, Source, System, TcpStream};
use crate::service::{FaultCounters, Held};

/// The way a server goes about its sockets: [as it should](Honest), or not.
///
/// A type parameter of the [`Server`](super::Server), so that one that behaves does not pay for those that
/// don't.
pub trait Conduct {
    /// The sockets it goes about.
    type Net: Net;

    /// What a client is talked to through.
    type Stream: Stream + Source;

    /// Talks through `stream`, which has just been accepted.
    fn stream(&mut self, stream: <Self::Net as Net>::Stream) -> Self::Stream;

    /// Sends the answer to a datagram that `source` sent to this socket.
    fn answer(
        &mut self,
        socket: usize,
        source: SocketAddr,
        bytes: &[u8],
        now: Instant,
        outlet: Outlet<'_>,
    );

    /// A client or a datagram has come.
    fn begin(&mut self, now: Instant) {
        let _ = now;
    }

    /// Does what is due. Returns whether it took so long that `now` is past.
    fn expire(&mut self, now: Instant) -> bool {
        let _ = now;
        false
    }

    /// Takes an answer that was kept, and is not to be kept any longer. Asked until there is none.
    fn overdue(&mut self, now: Instant) -> Option<Held> {
        let _ = now;
        None
    }

    /// Takes an answer that was kept and is to leave from this socket, which will be closed. Asked until
    /// there is none.
    fn close(&mut self, socket: usize) -> Option<Held> {
        let _ = socket;
        None
    }

    /// When something is due next.
    fn next(&self) -> Option<Instant> {
        None
    }

    /// What went wrong so far, on purpose.
    fn counters(&self) -> FaultCounters {
        FaultCounters::default()
    }
}

/// Everything that is to be sent is sent, once, as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl Conduct for Honest {
    type Net = System;
    type Stream = TcpStream;

    fn stream(&mut self, stream: TcpStream) -> TcpStream {
        stream
    }

    fn answer(
        &mut self,
        _: usize,
        source: SocketAddr,
        bytes: &[u8],
        _: Instant,
        mut outlet: Outlet<'_>,
    ) {
        outlet.post(source, bytes);
    }
}
