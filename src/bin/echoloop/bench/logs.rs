//! Figures of each interval, written as it ends.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use echoloop::client::Output;
use echoloop::load::{Interval, Tick};
use echoloop::reactor::Waker;
use echoloop::report::{INTERVAL_HEADER, IntervalLog, interval_row};
use hdrhistogram::Histogram;

use crate::Failure;
use crate::output::{Destination, Opened, Sink};

/// How long the end waits for the last of it to be written.
const END_WAIT: Duration = Duration::from_secs(5);

/// The same wait after a second signal, which ends the program at once.
const ABORT_WAIT: Duration = Duration::from_millis(100);

/// One record of a log.
struct Entry {
    /// When measuring began, from the beginning of 1970.
    began: Duration,
    /// The figures of an interval, and how long each of its replies took. `None` ends a log that has no
    /// interval: it consists of its header.
    interval: Option<(Interval, Histogram<u64>)>,
}

/// The logs of intervals. Each has a writer thread, because a disk or a reader may block it.
#[derive(Default)]
pub(super) struct Logs(Vec<Log>);

struct Log {
    destination: Destination,
    output: Output<Entry>,
    written: u64,
    missed: u64,
}

impl Logs {
    /// Starts a writer thread per log. Nothing is written before the first interval has ended.
    pub(super) fn begin(
        csv: Option<Opened>,
        hlog: Option<Opened>,
        waker: &Waker,
    ) -> Result<Self, Failure> {
        let mut logs = Vec::new();
        if let Some(Opened { destination, sink }) = csv {
            logs.push(Log::begin(destination, csv_writer(sink), waker.clone())?);
        }
        if let Some(Opened { destination, sink }) = hlog {
            logs.push(Log::begin(destination, hlog_writer(sink), waker.clone())?);
        }
        Ok(Self(logs))
    }

    /// Writes the interval that has just ended.
    pub(super) fn tell(&mut self, tick: &Tick<'_>) {
        if self.0.is_empty() || tick.warming_up {
            return;
        }
        let began = wall_clock().saturating_sub(tick.interval.end);
        for log in &mut self.0 {
            if log.output.has_room() {
                log.output.push(Entry {
                    began,
                    interval: Some((*tick.interval, tick.response.clone())),
                });
                log.written += 1;
            } else {
                log.missed += 1;
            }
        }
    }

    /// Waits until the logs are written, for up to 5 s, or 0.1 s if the run was `aborted`. If measuring
    /// `began` and no interval has ended, a log consists of its header. If nothing was measured, an existing
    /// file stays as it was.
    pub(super) fn close(self, began: Option<Duration>, aborted: bool) -> Vec<Result<(), Failure>> {
        let wait = if aborted { ABORT_WAIT } else { END_WAIT };
        let close = |log: Log| log.close(began, wait);
        self.0.into_iter().map(close).collect()
    }
}

impl Log {
    fn begin(
        destination: Destination,
        write: impl FnMut(Entry) -> io::Result<()> + Send + 'static,
        waker: Waker,
    ) -> Result<Self, Failure> {
        let output = Output::to_sink(write, waker)
            .map_err(|error| Failure::cannot("start a thread", &error))?;
        Ok(Self {
            destination,
            output,
            written: 0,
            missed: 0,
        })
    }

    fn close(self, began: Option<Duration>, wait: Duration) -> Result<(), Failure> {
        let destination = &self.destination;
        match began {
            Some(began) if self.written == 0 => self.output.push(Entry {
                began,
                interval: None,
            }),
            None => log::warn!("{destination} was not written: nothing was measured"),
            Some(_) => {}
        }
        let written = self.output.finish_within(wait);
        written.map_err(|error| destination.failure(&error))?;
        if self.missed > 0 {
            log::warn!(
                "{} intervals are not in {destination}, which could not keep up",
                self.missed
            );
        }
        Ok(())
    }
}

fn csv_writer(mut sink: Sink) -> impl FnMut(Entry) -> io::Result<()> {
    let mut has_header = false;
    move |entry| {
        if !has_header {
            writeln!(sink, "{INTERVAL_HEADER}")?;
            has_header = true;
        }
        if let Some((interval, _)) = &entry.interval {
            writeln!(sink, "{}", interval_row(interval))?;
        }
        sink.flush()
    }
}

fn hlog_writer(sink: Sink) -> impl FnMut(Entry) -> io::Result<()> {
    let mut waiting = Some(sink);
    let mut log = None;
    move |entry| {
        if let Some(sink) = waiting.take() {
            let comment = format!("echoloop {} bench", env!("CARGO_PKG_VERSION"));
            log = Some(IntervalLog::begin(sink, entry.began, &comment)?);
        }
        let Some(log) = &mut log else { return Ok(()) };
        if let Some((interval, response)) = &entry.interval {
            log.write(interval, response)?;
        }
        log.flush()
    }
}

/// The time since the beginning of 1970.
pub(super) fn wall_clock() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}
