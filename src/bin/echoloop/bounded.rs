//! Work that may block, for a limited time.

use std::io::{self, ErrorKind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
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
    let done = start(work)?;
    wait(&done, limit)
}

/// The same. If no thread can be started (`RLIMIT_NPROC`, `pids.max`), `alone` is given the work,
/// on this thread.
pub(crate) fn within_or<W>(
    limit: Duration,
    work: W,
    alone: impl FnOnce(W) -> io::Result<()>,
) -> io::Result<()>
where
    W: FnOnce() -> io::Result<()> + Clone + Send + 'static,
{
    match start(work.clone()) {
        Ok(done) => wait(&done, limit),
        Err(_) => alone(work),
    }
}

/// Starts `work` on a thread of its own.
fn start(
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<Receiver<io::Result<()>>> {
    let (sender, done) = mpsc::channel();
    let run = move || {
        // After the limit the receiver is gone.
        let _ = sender.send(work());
    };
    thread::Builder::new()
        .name("bounded".to_owned())
        .spawn(run)?;
    Ok(done)
}

fn wait(done: &Receiver<io::Result<()>>, limit: Duration) -> io::Result<()> {
    done.recv_timeout(limit)
        .unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(ErrorKind::TimedOut.into()),
            RecvTimeoutError::Disconnected => Err(io::Error::other("the writer panicked")),
        })
}
