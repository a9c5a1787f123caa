//! Work that may block, for a limited time.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Does `work` on a thread of its own, and waits for it up to `limit`.
///
/// # Errors
///
/// `TimedOut` after that. The thread goes on: if it is blocked, until the process ends.
pub(crate) fn within(
    limit: Duration,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<()> {
    let (sender, done) = mpsc::channel();
    let run = move || {
        // After the limit the receiver is gone.
        let _ = sender.send(work());
    };
    thread::Builder::new()
        .name("bounded".to_owned())
        .spawn(run)?;
    done.recv_timeout(limit)
        .unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(ErrorKind::TimedOut.into()),
            RecvTimeoutError::Disconnected => Err(io::Error::other("the writer panicked")),
        })
}
