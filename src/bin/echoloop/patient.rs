//! Standard streams that another process has made non-blocking, or whose terminal is gone.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

/// How long until a stream that would block is tried again.
const PAUSE: Duration = Duration::from_millis(5);

/// A stream that waits where it would block, on a thread that may.
///
/// `O_NONBLOCK` belongs to the open file, which other processes share, and one of them can set it. It is
/// left as it was found, because the other process may rely on it.
///
/// A terminal that has disconnected behaves like a closed pipe: reads return the end of file, and writes
/// `BrokenPipe`. Its own error, EIO, would look like a broken disk.
#[derive(Debug)]
pub(crate) struct Patient<S>(pub(crate) S);

impl<S: Read + AsFd> Read for Patient<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match wait_out(|| self.0.read(room)) {
            Err(error) if is_hung_up(&self.0, &error) => Ok(0),
            outcome => outcome,
        }
    }
}

impl<S: Write + AsFd> Write for Patient<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = wait_out(|| self.0.write(bytes));
        outcome.map_err(|error| as_closed_pipe(&self.0, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = wait_out(|| self.0.flush());
        outcome.map_err(|error| as_closed_pipe(&self.0, error))
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

fn as_closed_pipe(stream: impl AsFd, error: io::Error) -> io::Error {
    if is_hung_up(stream, &error) {
        ErrorKind::BrokenPipe.into()
    } else {
        error
    }
}

/// Whether `error` says that the terminal of `stream` has disconnected. It is no longer known as a
/// terminal (isatty(3)), but it is still a character device.
fn is_hung_up(stream: impl AsFd, error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::IO.raw_os_error())
        && fstat(stream)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice)
}
