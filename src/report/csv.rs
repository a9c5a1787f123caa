//! Intervals as lines of comma-separated values.

use super::percentiles::can_be_told;
use crate::load::Interval;

/// The first line. Times are in nanoseconds, and empty where there were too few replies.
pub const INTERVAL_HEADER: &str =
    "end_ns,length_ns,sent,replied,failures,timeouts,errors,in_flight,busy,p50_ns,p99_ns,max_ns";

/// The line of an interval, without its end.
pub fn interval_row(interval: &Interval) -> String {
    let told = |time: Option<u64>| time.map_or_else(String::new, |time| time.to_string());
    let times = Times::of(interval);
    format!(
        "{},{},{},{},{},{},{},{},{:.4},{},{},{}",
        interval.end.as_nanos(),
        interval.length.as_nanos(),
        interval.sent,
        interval.replied,
        interval.failures,
        interval.timeouts,
        interval.errors,
        interval.in_flight,
        interval.busy,
        told(times.p50),
        told(times.p99),
        told(times.max)
    )
}

/// The times of an interval, as far as they can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) p50: Option<u64>,
    pub(super) p99: Option<u64>,
    pub(super) max: Option<u64>,
}

impl Times {
    pub(super) fn of(interval: &Interval) -> Self {
        let replied = interval.replied;
        Self {
            p50: can_be_told(replied, 50.0).then_some(interval.p50),
            p99: can_be_told(replied, 99.0).then_some(interval.p99),
            max: (replied > 0).then_some(interval.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_row_has_a_value_for_each_column_and_none_for_what_can_not_be_told() {
        let mut interval = Interval {
            end: Duration::from_secs(1),
            length: Duration::from_secs(1),
            sent: 50_003,
            replied: 50_001,
            failures: 3,
            timeouts: 4,
            errors: 2,
            in_flight: 9,
            busy: 0.58,
            p50: 61_000,
            p99: 212_000,
            max: 1_100_000,
        };
        let row = interval_row(&interval);
        let expected = "1000000000,1000000000,50003,50001,3,4,2,9,0.5800,61000,212000,1100000";
        assert_eq!(row, expected);
        let columns = |line: &str| line.split(',').count();
        assert_eq!(columns(&row), columns(INTERVAL_HEADER));
        interval.replied = 999;
        assert!(interval_row(&interval).ends_with(",61000,,1100000"));
        interval.replied = 19;
        assert!(interval_row(&interval).ends_with(",,,1100000"));
        interval.replied = 0;
        assert!(interval_row(&interval).ends_with(",0.5800,,,"));
        assert_eq!(columns(&interval_row(&interval)), columns(INTERVAL_HEADER));
    }
}
