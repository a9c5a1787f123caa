//! The sizes that the kernel gives to the buffers of sockets.

use std::io;

use echoloop::reactor::{BUFFER_MAX, BufferSizes, size_udp_buffers};
use socket2::{Domain, Socket, Type};

/// One of the two buffers of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffer {
    Send,
    Receive,
}

impl Buffer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Send => "send buffer",
            Self::Receive => "receive buffer",
        }
    }

    /// The option that sets its size.
    const fn option(self) -> &'static str {
        match self {
            Self::Send => "--sndbuf",
            Self::Receive => "--rcvbuf",
        }
    }

    /// The parameter of the kernel that caps its size.
    const fn parameter(self) -> &'static str {
        match self {
            Self::Send => "net.core.wmem_max",
            Self::Receive => "net.core.rmem_max",
        }
    }

    fn size(self, socket: &Socket) -> io::Result<usize> {
        match self {
            Self::Send => socket.send_buffer_size(),
            Self::Receive => socket.recv_buffer_size(),
        }
    }

    /// The largest size that the kernel gives, as a socket has it: the parameters `net.core.rmem_max` and `wmem_max`
    /// can't be read in every network namespace.
    pub(crate) fn largest(self) -> Option<u64> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).ok()?;
        let mut sizes = BufferSizes::default();
        match self {
            Self::Send => sizes.send = Some(BUFFER_MAX),
            Self::Receive => sizes.receive = Some(BUFFER_MAX),
        }
        sizes.set(&socket).ok()?;
        let has = self.size(&socket).ok()? as u64;
        // Linux doubles the size, for its own bookkeeping (socket(7)).
        Some(if cfg!(target_os = "linux") {
            has / 2
        } else {
            has
        })
    }

    /// A sentence if the kernel gives less than was `asked` for, where `max` is the most it gives. It reports no
    /// error then (socket(7)).
    pub(crate) fn capped(self, asked: Option<usize>, max: Option<u64>) -> Option<String> {
        let (asked, max) = (asked?, max?);
        (asked as u64 > max).then(|| {
            format!(
                "{} {asked} is capped at {max} by the kernel: raise {}, or ask for less",
                self.option(),
                self.parameter()
            )
        })
    }
}

/// The actual sizes of the send buffer and the receive buffer of a socket of `kind` after `sizes` were set.
pub(crate) fn actual_sizes(kind: Type, sizes: &BufferSizes) -> Option<(u64, u64)> {
    let socket = Socket::new(Domain::IPV4, kind, None).ok()?;
    if kind == Type::DGRAM {
        size_udp_buffers(&socket, sizes).ok()?;
    } else {
        sizes.set(&socket).ok()?;
    }
    let (send, receive) = (
        socket.send_buffer_size().ok()?,
        socket.recv_buffer_size().ok()?,
    );
    Some((send as u64, receive as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_largest_size() {
        for buffer in [Buffer::Send, Buffer::Receive] {
            let max = buffer.largest();
            assert!(max.is_none_or(|max| (1024..=BUFFER_MAX as u64).contains(&max)));
        }
    }
}
