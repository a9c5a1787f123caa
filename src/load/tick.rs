//! What a listener is told as a load runs.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::Interval;

/// What is told at the end of each interval.
#[derive(Debug)]
pub struct Tick<'a> {
    /// Its figures.
    pub interval: &'a Interval,
    /// How long each of its answers took, in nanoseconds from when they were due.
    pub response: &'a Histogram<u64>,
    /// How many connections there are.
    pub connections: usize,
    /// Nothing is measured yet.
    pub warming_up: bool,
    /// How much longer it will take, if that is known.
    pub left: Option<Duration>,
}
