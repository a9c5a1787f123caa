//! A trace, written by a thread that may have to wait for a disk: the loop must not.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::client::Output;
use echoloop::probe::{Record, Role};
use echoloop::reactor::monotonic;
use echoloop::report::thousands;
use echoloop::trace::{End, TraceWriter};

use super::overflows::overflows;
use crate::Failure;
use crate::output::{Destination, Opened, Sink};

/// How long the end waits for the last of it to be written.
const END_WAIT: Duration = Duration::from_secs(10);

/// The same wait after a second signal, which ends the program at once.
const ABORT_WAIT: Duration = Duration::from_millis(100);

/// How long it is until the thread is looked at again.
const MOMENT: Duration = Duration::from_millis(1);

/// What the thread is handed.
enum Piece {
    /// The loop has started its work.
    Start,
    Records(Vec<Record>),
    /// There are no more.
    End(End),
    /// The trace is not wanted.
    Discard,
}

/// The thread, which the recorder hands records to until the trace is finished.
type Shared = Rc<RefCell<Option<Output<Piece>>>>;

/// A trace that is being written.
pub(crate) struct Tracing {
    destination: Destination,
    output: Shared,
    /// The records of the loop, and those of them that the thread was not handed because its queue
    /// was full.
    recorded: Rc<Cell<u64>>,
    missed: Rc<Cell<u64>>,
    overflows_before: Option<u64>,
    started: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl Tracing {
    /// Begins one, and returns what takes records for it.
    pub(super) fn begin(
        trace: Opened,
        role: Role,
        name: &str,
        limit: u64,
    ) -> Result<(Self, impl FnMut(Vec<Record>) + use<>), Failure> {
        let Opened { destination, sink } = trace;
        let writer = TraceWriter::begin(sink, role, name, std::process::id(), limit)
            .map_err(|error| destination.failure(&error))?;
        let started = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let mut writing = Writing {
            writer: Some(writer),
            destination: destination.clone(),
            started: started.clone(),
            written: written.clone(),
            failure: None,
        };
        // A loop that is woken records that, and would never be idle.
        let output = Output::to_sink_without_waker(move |piece| writing.take(piece))
            .map_err(|error| Failure::cannot("start a thread", &error))?;
        let output: Shared = Rc::new(RefCell::new(Some(output)));
        let recorded = Rc::new(Cell::new(0));
        let missed = Rc::new(Cell::new(0));
        let (to, all, left_out) = (output.clone(), recorded.clone(), missed.clone());
        let sink = move |records: Vec<Record>| {
            let count = records.len() as u64;
            all.set(all.get() + count);
            let is_taken = to.borrow().as_ref().is_some_and(|output| {
                output.has_room() && output.try_push(Piece::Records(records))
            });
            if !is_taken {
                left_out.set(left_out.get() + count);
            }
        };
        let tracing = Self {
            destination,
            output,
            recorded,
            missed,
            overflows_before: overflows(),
            started,
            written,
        };
        Ok((tracing, sink))
    }

    /// The loop has started its work. From now on the trace may replace an existing file. It does
    /// so at once, or with the records that are queued.
    pub(super) fn start(&self) {
        self.started.store(true, Ordering::Relaxed);
        if let Some(output) = &*self.output.borrow() {
            output.push(Piece::Start);
        }
    }

    pub(super) fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Waits until everything has been written, for a shorter time if the loop was `aborted`. No
    /// more records may come.
    pub(crate) fn finish(self, aborted: bool) -> Result<(), Failure> {
        let before = self.overflows_before;
        let risen = overflows().zip(before).map(|(now, before)| now - before);
        let missed = self.missed.get();
        let last = Piece::End(End {
            at: monotonic(),
            overflows: risen,
            missed,
        });
        let wait = if aborted { ABORT_WAIT } else { END_WAIT };
        self.end(last, wait).map_err(|error| {
            // Queued records count too. A batch that was written in part counts as a whole.
            let dropped = self.recorded.get() - self.written.load(Ordering::Relaxed);
            match self.destination.failure(&error) {
                Failure::Failed(line) if dropped > 0 => Failure::Failed(format!(
                    "{line}; {} records were dropped",
                    thousands(dropped)
                )),
                failure => failure,
            }
        })?;
        if missed > 0 {
            let name = &self.destination;
            log::warn!("{missed} records are not in {name}, which could not keep up");
        }
        Ok(())
    }

    /// Leaves an existing file as it was, unless it was replaced already.
    pub(crate) fn discard(self) -> Result<(), Failure> {
        let ended = self.end(Piece::Discard, END_WAIT);
        ended.map_err(|error| self.destination.failure(&error))
    }

    /// Hands the thread the `last` piece, and waits until it is done with that, both within `wait`.
    fn end(&self, last: Piece, wait: Duration) -> io::Result<()> {
        let Some(output) = self.output.take() else {
            return Ok(());
        };
        let deadline = Instant::now() + wait;
        // What is still queued is written first.
        while !output.has_room() && !output.is_closed() && Instant::now() < deadline {
            thread::sleep(MOMENT);
        }
        // The trace has no end without the last piece.
        if !output.try_push(last) && !output.is_closed() {
            return Err(ErrorKind::TimedOut.into());
        }
        output.finish_within(deadline.saturating_duration_since(Instant::now()))
    }
}

/// Writes the pieces of a trace, on a thread of its own. The first failure ends the trace, and is
/// logged when it happens. The loop goes on, and the end of the trace returns the failure.
struct Writing {
    writer: Option<TraceWriter<Sink>>,
    destination: Destination,
    /// An existing file may be replaced.
    started: Arc<AtomicBool>,
    /// The number of records that were written, or left out because of the limit.
    written: Arc<AtomicU64>,
    failure: Option<io::Error>,
}

impl Writing {
    fn take(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Start => self.attempt(0, |_| Ok(())),
            Piece::Records(records) => {
                self.attempt(records.len(), |writer| writer.write(&records));
            }
            Piece::End(end) => {
                if let Some(failure) = self.failure.take() {
                    return Err(failure);
                }
                if let Some(writer) = self.writer.take() {
                    return writer.finish(end);
                }
            }
            Piece::Discard => self.writer = None,
        }
        Ok(())
    }

    /// Writes `records` records. Everything is flushed, so that a killed program leaves them.
    fn attempt(
        &mut self,
        records: usize,
        write: impl FnOnce(&mut TraceWriter<Sink>) -> io::Result<()>,
    ) {
        let started = self.started.load(Ordering::Relaxed);
        let written = self.writer.as_mut().map(|writer| {
            write(writer)?;
            if started { writer.flush() } else { Ok(()) }
        });
        match written {
            Some(Ok(())) => {
                self.written.fetch_add(records as u64, Ordering::Relaxed);
            }
            Some(Err(error)) => {
                // What the file has so far can be read.
                self.writer = None;
                if let Failure::Failed(line) = self.destination.failure(&error) {
                    log::error!("{line}: the trace ends here, and the run goes on without it");
                }
                self.failure = Some(error);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::OpenOptionsExt;

    use echoloop::probe::What;
    use rustix::fs::{CWD, Mode, OFlags, mkfifoat};

    use super::*;

    /// The first batch fills the pipe, 16 wait for it, and three are not taken.
    #[test]
    fn records_that_a_stuck_writer_never_wrote_are_counted_as_dropped() {
        let path = std::env::temp_dir().join(format!("echoloop-stuck-{}", std::process::id()));
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32);
        let _reader = options.open(&path).unwrap();
        let destination = Destination::check("--trace", &path).unwrap();
        let opened = destination.open().unwrap();
        let (tracing, mut sink) = Tracing::begin(opened, Role::Server, "x", 1_000_000).unwrap();
        let record = Record {
            at: 1,
            took: 1,
            who: None,
            what: What::Turn,
        };
        for _ in 0..20 {
            sink(vec![record; 4096]);
        }
        let Err(Failure::Failed(line)) = tracing.finish(true) else {
            panic!("the pipe is full");
        };
        fs::remove_file(path).unwrap();
        assert!(line.ends_with("; 81 920 records were dropped"), "{line}");
    }
}
