//! Standard streams that somebody has made non-blocking.

use std::io::{self, ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

/// How long until a stream that would block is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// A stream that waits where it would block, on a thread that may.
///
/// `O_NONBLOCK` belongs to the open file and not to us: a program that shares our pipe or terminal can set it, and it
/// stays. It is left as it was found, because the other may rely on it.
#[derive(Debug)]
pub(crate) struct Patient<S>(pub(crate) S);

impl<S: Read> Read for Patient<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        wait_out(|| self.0.read(room))
    }
}

impl<S: Write> Write for Patient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait_out(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        wait_out(|| self.0.flush())
    }
}

fn wait_out<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}
