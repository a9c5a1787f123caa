//! What the outcome of a system call means for a peer: the one place that knows `WouldBlock` and `Interrupted`.

use std::io;

use super::{CloseReason, Connection, Peer, Readiness, Stream};

/// `ENOBUFS` on Linux. The standard library has no [`io::ErrorKind`] for it.
const ENOBUFS: i32 = 105;

/// The kernel is out of memory for a socket.
pub(super) struct Starved;

/// Writes once.
pub(super) fn write(
    stream: &mut impl Stream,
    readiness: &mut Readiness,
    bytes: &[u8],
) -> io::Result<usize> {
    let written = stream.write(bytes);
    took(readiness, bytes, written)
}

/// What a write of `bytes` has taken; clears the latch if that was not all. A full kernel buffer, and
/// a signal that came before anything was written, count as 0.
pub(super) fn took(
    readiness: &mut Readiness,
    bytes: &[u8],
    written: io::Result<usize>,
) -> io::Result<usize> {
    match written {
        // No socket answers a non-empty write with 0; trying again could spin for ever.
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(count) => {
            if count < bytes.len() {
                readiness.write_short();
            }
            Ok(count)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            readiness.write_blocked();
            Ok(0)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
        Err(error) => Err(error),
    }
}

/// Takes a read that brought nothing for what it is. After a signal it is simply tried again.
#[cold]
#[inline(never)]
pub(super) fn read_nothing<S>(peer: &mut Peer<S>, read: io::Result<usize>) -> Result<(), Starved> {
    match read {
        Ok(_) => peer.connection.receive_eof(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.readiness.read_blocked(),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return absorb(&mut peer.connection, &error),
    }
    Ok(())
}

/// Takes a peer's error as the end of its conversation, unless it is ours and will pass.
#[cold]
#[inline(never)]
pub(super) fn absorb(connection: &mut Connection, error: &io::Error) -> Result<(), Starved> {
    if error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error() == Some(ENOBUFS) {
        return Err(Starved);
    }
    connection.close(CloseReason::Failed(error.kind()));
    Ok(())
}
