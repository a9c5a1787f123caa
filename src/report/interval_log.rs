//! The times of each interval, in the log that HdrHistogram's tools read.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};

use crate::load::Interval;

/// Writes the times of each interval to a log (`.hlog`), all of them and not just their percentiles: intervals, and
/// whole runs, can be added up afterwards. Times are in nanoseconds.
pub struct IntervalLog<W> {
    writer: W,
    serializer: V2DeflateSerializer,
}

impl<W> std::fmt::Debug for IntervalLog<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntervalLog").finish_non_exhaustive()
    }
}

impl<W: Write> IntervalLog<W> {
    /// Begins a log: of a run that is measured from `started_at` on, counted from the beginning of 1970.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn begin(mut writer: W, started_at: Duration, comment: &str) -> io::Result<Self> {
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        builder.add_comment("[Histogram log format version 1.3]");
        if !comment.is_empty() {
            builder.add_comment(comment);
        }
        builder
            .with_start_time(UNIX_EPOCH + started_at)
            .begin_log_with(&mut writer, &mut serializer)?;
        Ok(Self { writer, serializer })
    }

    /// Adds an interval, of which `response` are the times.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn write(&mut self, interval: &Interval, response: &Histogram<u64>) -> io::Result<()> {
        let began = interval.end.saturating_sub(interval.length);
        // Without a head of its own, a log goes on where it was.
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut self.writer, &mut self.serializer)?
            .write_histogram(response, began, interval.length, None)
            .map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            })
    }

    /// Hands what was written so far on to where it goes.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    /// Ends the log.
    pub fn into_inner(self) -> W {
        self.writer
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn a_log_is_read_back_as_it_was_written() {
        let mut times = Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        times.record_n(61_000, 50_000).unwrap();
        let second = Duration::from_secs(1);
        let started_at = Duration::from_secs(1_788_256_800);
        let mut log = IntervalLog::begin(Vec::new(), started_at, "run 7\nof two lines").unwrap();
        for end in 1..=3 {
            let interval = Interval {
                end: second * end,
                length: second,
                ..Interval::default()
            };
            log.write(&interval, &times).unwrap();
        }
        let log = log.into_inner();
        let text = std::str::from_utf8(&log).unwrap();
        let head = "#[Histogram log format version 1.3]\n#run 7\n#of two lines\n\
                    #[StartTime: 1788256800.000 (seconds since epoch)]\n0.000,1.000,";
        assert!(text.starts_with(head), "{text}");
        let entries: Vec<_> = IntervalLogIterator::new(&log).map(Result::unwrap).collect();
        assert_eq!(entries[0], LogEntry::StartTime(started_at));
        let begun = entries.iter().filter_map(|entry| match entry {
            LogEntry::Interval(interval) => Some((interval.start_timestamp(), interval.duration())),
            _ => None,
        });
        let expected = [0, 1, 2].map(|start| (second * start, second));
        assert!(begun.eq(expected));
        // What Java, Go and Python write begins in the same way.
        assert!(text.contains(",HISTFAAAA"), "{text}");
    }
}
