//! A trace, written by a thread that may have to wait for a disk: the loop must not.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

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
    missed: Rc<Cell<u64>>,
    overflows_before: Option<u64>,
    started: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
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
        let lost = Arc::new(AtomicU64::new(0));
        let mut writing = Writing {
            writer: Some(writer),
            destination: destination.clone(),
            started: started.clone(),
            lost: lost.clone(),
            failure: None,
        };
        // A loop that is woken records that, and would never be idle.
        let output = Output::to_sink_without_waker(move |piece| writing.take(piece))
            .map_err(|error| Failure::cannot("start a thread", &error))?;
        let output: Shared = Rc::new(RefCell::new(Some(output)));
        let missed = Rc::new(Cell::new(0));
        let (to, count) = (output.clone(), missed.clone());
        let sink = move |records: Vec<Record>| match to
            .borrow()
            .as_ref()
            .filter(|output| output.has_room())
        {
            Some(output) => output.push(Piece::Records(records)),
            None => count.set(count.get() + records.len() as u64),
        };
        let tracing = Self {
            destination,
            output,
            missed,
            overflows_before: overflows(),
            started,
            lost,
        };
        Ok((tracing, sink))
    }

    /// The loop has started its work. From now on the trace may replace an existing file. It does so at once,
    /// or with the records that are queued.
    pub(super) fn start(&self) {
        self.started.store(true, Ordering::Relaxed);
        if let Some(output) = &*self.output.borrow() {
            output.push(Piece::Start);
        }
    }

    pub(super) fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// Waits until everything has been written, for a shorter time if the loop was `aborted`. No more records may come.
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
        let name = self.destination.to_string();
        self.end(last, wait)?;
        if missed > 0 {
            log::warn!("{missed} records are not in {name}, which could not keep up");
        }
        Ok(())
    }

    /// Leaves an existing file as it was, unless it was replaced already.
    pub(crate) fn discard(self) -> Result<(), Failure> {
        self.end(Piece::Discard, END_WAIT)
    }

    fn end(self, last: Piece, wait: Duration) -> Result<(), Failure> {
        let Some(output) = self.output.take() else {
            return Ok(());
        };
        // What is still queued is written first.
        let mut waited = Duration::ZERO;
        while !output.has_room() && !output.is_closed() && waited < wait {
            thread::sleep(MOMENT);
            waited += MOMENT;
        }
        output.push(last);
        output.finish_within(wait).map_err(|error| {
            let lost = self.lost.load(Ordering::Relaxed) + self.missed.get();
            match self.destination.failure(&error) {
                Failure::Failed(line) if lost > 0 => {
                    Failure::Failed(format!("{line}; {} records were dropped", thousands(lost)))
                }
                failure => failure,
            }
        })
    }
}

/// Writes the pieces of a trace, on a thread of its own. The first failure ends the trace, and is logged when
/// it happens. The loop goes on, and the end of the trace returns the failure.
struct Writing {
    writer: Option<TraceWriter<Sink>>,
    destination: Destination,
    /// An existing file may be replaced.
    started: Arc<AtomicBool>,
    /// Records that were not written because of the failure. A batch that was written in part counts as
    /// a whole.
    lost: Arc<AtomicU64>,
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
            Some(Ok(())) => return,
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
        self.lost.fetch_add(records as u64, Ordering::Relaxed);
    }
}
