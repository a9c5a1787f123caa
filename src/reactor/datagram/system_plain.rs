//! The system calls for datagrams, where one moves one.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;

use super::arrivals::Head;
use super::departures::Burst;

/// How many receptions one call makes.
pub(super) const RECEPTIONS: usize = 1;

/// Whether one call may send several answers to one source in one piece.
pub(super) const SEGMENTS: bool = false;

/// Has the system join datagrams of one source and size, and tell more of them: this one can't.
pub(super) const fn prepare(_: &UdpSocket, _: SocketAddr) {}

/// Receives one datagram, and tells what it is.
pub(super) fn receive(
    socket: &UdpSocket,
    room: &mut [u8],
    heads: &mut Vec<Head>,
) -> io::Result<()> {
    let (size, source) = socket.recv_from(room)?;
    heads.push(Head::new(source, size, size));
    Ok(())
}

/// Sends the first of `bursts`, which is a single datagram, and returns how many that were.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], bursts: &[Burst]) -> io::Result<usize> {
    let first = &bursts[0];
    socket.send_to(first.bytes(bytes), first.to).map(|_| 1)
}
