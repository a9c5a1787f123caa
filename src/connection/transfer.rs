//! What one system call that moves bytes came to.

use std::io::{self, ErrorKind};

/// The result of a read, a write, or their like for datagrams, on a non-blocking socket, by what to do about it.
#[derive(Debug)]
pub enum Transfer {
    /// This many bytes were moved. Of a datagram that may be 0.
    Moved(usize),
    /// There will be no more to read: the peer has closed or half-closed the connection (recv(2)).
    Eof,
    /// Nothing can be moved before the next event (`EAGAIN`).
    WouldBlock,
    /// A signal came first (`EINTR`): the same call can be made again at once.
    Interrupted,
    /// The call has failed. Of a stream, every later one will as well.
    Failed(io::Error),
}

impl Transfer {
    /// The result of reading a stream into a buffer that was not empty.
    #[inline]
    pub fn of_read(result: io::Result<usize>) -> Self {
        match result {
            Ok(0) => Self::Eof,
            result => Self::of_datagram(result),
        }
    }

    /// The result of writing to a stream from a buffer that was not empty. A stream that takes nothing and gives no reason
    /// has failed with `WriteZero`: no event will say when it takes more.
    #[inline]
    pub fn of_write(result: io::Result<usize>) -> Self {
        match result {
            Ok(0) => Self::Failed(ErrorKind::WriteZero.into()),
            result => Self::of_datagram(result),
        }
    }

    /// The result of sending or receiving one datagram.
    #[inline]
    pub fn of_datagram(result: io::Result<usize>) -> Self {
        match result {
            Ok(count) => Self::Moved(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Self::WouldBlock,
            Err(error) if error.kind() == ErrorKind::Interrupted => Self::Interrupted,
            Err(error) => Self::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_bytes_are_eof_of_a_read_and_failure_of_a_write() {
        assert!(matches!(Transfer::of_read(Ok(0)), Transfer::Eof));
        assert!(matches!(Transfer::of_datagram(Ok(0)), Transfer::Moved(0)));
        let Transfer::Failed(error) = Transfer::of_write(Ok(0)) else {
            panic!("a write of 0 bytes")
        };
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    }

    #[test]
    fn errors_are_classified_alike_in_both_directions() {
        for classify in [Transfer::of_read, Transfer::of_write, Transfer::of_datagram] {
            assert!(matches!(classify(Ok(7)), Transfer::Moved(7)));
            let of = |kind: ErrorKind| classify(Err(kind.into()));
            assert!(matches!(of(ErrorKind::WouldBlock), Transfer::WouldBlock));
            assert!(matches!(of(ErrorKind::Interrupted), Transfer::Interrupted));
            assert!(matches!(of(ErrorKind::BrokenPipe), Transfer::Failed(_)));
        }
    }
}
