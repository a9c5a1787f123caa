//! The sizes of the kernel's buffers of a socket.

use std::io;

use socket2::Socket;

/// The largest size that a buffer can be given: setsockopt(2) takes a C `int`.
pub const BUFFER_MAX: usize = i32::MAX as usize;

/// The sizes of the kernel's buffers of a socket, in bytes: the values given to `SO_SNDBUF` and `SO_RCVBUF`.
///
/// Linux doubles them, because its own bookkeeping counts against the buffer, and caps them at `net.core.wmem_max`
/// and `net.core.rmem_max` without an error (socket(7)). A size that is set turns off the automatic growth of that
/// buffer (tcp(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferSizes {
    /// The size of the send buffer; `None`: the system's.
    pub send: Option<usize>,
    /// The size of the receive buffer; `None`: the system's. TCP chooses its window scale by this size when a
    /// connection is opened, so it is set before connect(2) or listen(2).
    pub receive: Option<usize>,
}

impl BufferSizes {
    /// Whether setsockopt(2) accepts these sizes.
    ///
    /// # Errors
    ///
    /// The option and the value that exceeds [`BUFFER_MAX`].
    pub fn check(&self) -> Result<(), String> {
        for (option, size) in [("--sndbuf", self.send), ("--rcvbuf", self.receive)] {
            if let Some(size) = size.filter(|&size| size > BUFFER_MAX) {
                return Err(format!(
                    "{option} {size} is more than a buffer can have: give {BUFFER_MAX} at most"
                ));
            }
        }
        Ok(())
    }

    /// Sets the sizes of the buffers of `socket`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if a size exceeds [`BUFFER_MAX`], and those of setsockopt(2).
    pub fn set(&self, socket: &Socket) -> io::Result<()> {
        // socket2 casts the size to a C `int`: 4 GiB would be 0.
        let fits = |size: usize| match size {
            0..=BUFFER_MAX => Ok(size),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        };
        if let Some(size) = self.send {
            socket.set_send_buffer_size(fits(size)?)?;
        }
        if let Some(size) = self.receive {
            socket.set_recv_buffer_size(fits(size)?)?;
        }
        Ok(())
    }
}
