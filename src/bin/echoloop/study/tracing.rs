//! A trace, written by a thread that may have to wait for a disk: the loop must not.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use echoloop::client::Output;
use echoloop::probe::{Record, Role};
use echoloop::reactor::{Waker, monotonic};
use echoloop::trace::{End, TraceWriter};

use super::overflows::overflows;
use crate::Failure;

/// How long the end waits for the last of it to be written.
const END_WAIT: Duration = Duration::from_secs(10);

/// How long it is until the thread is looked at again.
const MOMENT: Duration = Duration::from_millis(1);

/// What the thread is handed.
enum Piece {
    Records(Vec<Record>),
    /// There are no more.
    End(End),
}

/// The thread, which the recorder hands records to until the trace is finished.
type Shared = Rc<RefCell<Option<Output<Piece>>>>;

/// A trace that is being written.
pub(super) struct Tracing {
    path: PathBuf,
    output: Shared,
    missed: Rc<Cell<u64>>,
    overflows_before: Option<u64>,
}

impl Tracing {
    /// Begins one, and returns what takes records for it.
    pub(super) fn begin(
        path: &Path,
        role: Role,
        name: &str,
        limit: u64,
        waker: Waker,
    ) -> Result<(Self, impl FnMut(Vec<Record>) + use<>), Failure> {
        if path == Path::new("-") {
            let refused = "--trace -: a trace is written to a file; give its name";
            return Err(Failure::Usage(refused.to_owned()));
        }
        let cannot = |error: &io::Error| cannot_write(path, error);
        let file = File::create(path).map_err(|error| cannot(&error))?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let writer = TraceWriter::begin(out, role, name, std::process::id(), limit)
            .map_err(|error| cannot(&error))?;
        let mut writer = Some(writer);
        let write = move |piece: Piece| match (piece, writer.take()) {
            (Piece::Records(records), Some(mut open)) => {
                open.write(&records)?;
                writer = Some(open);
                Ok(())
            }
            (Piece::End(end), Some(open)) => open.finish(end),
            (_, None) => Ok(()),
        };
        let output = Output::to_sink(write, waker)
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
            path: path.to_owned(),
            output,
            missed,
            overflows_before: overflows(),
        };
        Ok((tracing, sink))
    }

    /// Waits until everything has been written. Nobody has records for it any more.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let before = self.overflows_before;
        let risen = overflows().zip(before).map(|(now, before)| now - before);
        let missed = self.missed.get();
        if missed > 0 {
            log::warn!("{missed} records are not in the trace: the disk could not keep up");
        }
        let Some(output) = self.output.take() else {
            return Ok(());
        };
        // What is still queued is written first.
        let mut waited = Duration::ZERO;
        while !output.has_room() && !output.is_closed() && waited < END_WAIT {
            thread::sleep(MOMENT);
            waited += MOMENT;
        }
        let at = monotonic();
        output.push(Piece::End(End {
            at,
            overflows: risen,
            missed,
        }));
        let outcome = output.finish_within(END_WAIT);
        outcome.map_err(|error| cannot_write(&self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::TimedOut => "it takes too long".to_owned(),
        _ => error.to_string(),
    };
    Failure::Failed(format!("cannot write {}: {why}", path.display()))
}
