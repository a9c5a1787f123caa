//! Figures of the current interval.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::result::outcome::{Client, Interval, histogram};
use crate::load::time::elapsed;

/// Counts and times of the current interval.
#[derive(Debug)]
pub(crate) struct IntervalRecorder {
    pub(crate) counts: Interval,
    began: u64,
    /// How long each of its replies took, in nanoseconds from when their messages were due.
    pub(crate) response: Histogram<u64>,
    busy_at: Duration,
    waiting_at: Duration,
}

impl IntervalRecorder {
    pub(crate) fn new() -> Self {
        Self {
            counts: Interval::default(),
            began: 0,
            response: histogram(),
            busy_at: Duration::ZERO,
            waiting_at: Duration::ZERO,
        }
    }

    /// The first interval begins at `now`. Earlier counts are dropped.
    pub(crate) fn begin(&mut self, now: u64) {
        (self.busy_at, self.waiting_at) = (Duration::ZERO, Duration::ZERO);
        (self.counts, self.began) = (Interval::default(), now);
        self.response.reset();
    }

    /// How long it has lasted.
    pub(crate) const fn length(&self, now: u64) -> Duration {
        Duration::from_nanos(elapsed(self.began, now))
    }

    /// It ends at `now`, and the next begins: its figures, and how long each of its replies took. `from` is when the
    /// measured window began.
    pub(crate) fn end(
        &mut self,
        from: u64,
        now: u64,
        in_flight: u64,
        client: &Client,
    ) -> (Interval, Histogram<u64>) {
        let busy = client.busy.saturating_sub(self.busy_at);
        let all = busy + client.waiting.saturating_sub(self.waiting_at);
        let figures = Interval {
            end: Duration::from_nanos(elapsed(from, now)),
            length: self.length(now),
            in_flight,
            busy: if all.is_zero() {
                0.0
            } else {
                busy.as_secs_f64() / all.as_secs_f64()
            },
            p50: self.response.value_at_quantile(0.5),
            p99: self.response.value_at_quantile(0.99),
            max: self.response.max(),
            ..self.counts
        };
        (self.busy_at, self.waiting_at) = (client.busy, client.waiting);
        (self.counts, self.began) = (Interval::default(), now);
        let response = self.response.clone();
        self.response.reset();
        (figures, response)
    }
}
