//! Figures of each interval, written as it ends.

use std::fs::File;
use std::io::{self, LineWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use echoloop::client::Output;
use echoloop::load::{Interval, Tick};
use echoloop::reactor::Waker;
use echoloop::report::{INTERVAL_HEADER, IntervalLog, interval_row};
use hdrhistogram::Histogram;

use crate::Failure;

/// How long the end waits for the last of it to be written.
const END_WAIT: Duration = Duration::from_secs(5);

/// The figures of an interval, and how long each of its answers took.
type Entry = (Interval, Histogram<u64>);

/// The files that intervals are written to, by a thread that may have to wait for a disk: the load must not.
pub(super) struct Logs {
    output: Option<Output<Entry>>,
    missed: u64,
}

impl Logs {
    /// Opens those that were asked for.
    pub(super) fn open(
        csv: Option<&PathBuf>,
        hlog: Option<&PathBuf>,
        waker: Waker,
    ) -> Result<Self, Failure> {
        let mut csv = csv.map(|path| create(path)).transpose()?;
        if let Some(file) = &mut csv {
            writeln!(file, "{INTERVAL_HEADER}")
                .map_err(|error| Failure::cannot("write --csv", &error))?;
        }
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let begin = |path: &PathBuf| {
            let comment = format!("echoloop {} bench", env!("CARGO_PKG_VERSION"));
            IntervalLog::begin(create(path)?, since, &comment)
                .map_err(|error| Failure::cannot("write --hlog", &error))
        };
        let mut hlog = hlog.map(begin).transpose()?;
        if csv.is_none() && hlog.is_none() {
            return Ok(Self {
                output: None,
                missed: 0,
            });
        }
        let write = move |(interval, response): Entry| {
            if let Some(file) = &mut csv {
                writeln!(file, "{}", interval_row(&interval))?;
            }
            if let Some(log) = &mut hlog {
                log.write(&interval, &response)?;
            }
            Ok(())
        };
        let output = Output::to_sink(write, waker)
            .map_err(|error| Failure::cannot("write figures of intervals", &error))?;
        Ok(Self {
            output: Some(output),
            missed: 0,
        })
    }

    pub(super) fn tell(&mut self, tick: &Tick<'_>) {
        if let Some(output) = &self.output
            && !tick.warming_up
        {
            if output.has_room() {
                output.push((*tick.interval, tick.response.clone()));
            } else {
                self.missed += 1;
            }
        }
    }

    /// Waits for the last of it to be written.
    pub(super) fn close(self) -> io::Result<()> {
        if self.missed > 0 {
            log::warn!(
                "{} intervals were not written: the disk could not keep up",
                self.missed
            );
        }
        self.output
            .map_or(Ok(()), |output| output.finish_within(END_WAIT))
    }
}

/// A file to write to, line by line: what a run that is killed has measured is there.
pub(super) fn create(path: &Path) -> Result<LineWriter<File>, Failure> {
    File::create(path)
        .map(LineWriter::new)
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))
}
