//! Whether the server was as fast at one time as at another.

use super::Case;
use crate::load::Interval;
use crate::report::units::{percent, rate};
use crate::report::{is_steady, measured};

/// The fewest intervals whose differences mean anything.
const INTERVALS_MIN: usize = 5;

/// How much intervals may differ: their standard deviation as part of their mean.
const VARIATION_MAX: f64 = 0.25;

/// How much the second half may differ from the first.
const TREND_MAX: f64 = 0.2;

/// How many times as much as chance alone would make them, intervals have to differ to be called unstable. A count of
/// `n` that is due to chance varies by the root of `n`.
const CHANCE: f64 = 3.0;

pub(super) fn rule(case: &Case<'_>) -> Option<String> {
    let intervals: Vec<_> = measured(case.outcome).collect();
    // Of a rate that changes, the intervals are to differ.
    let steady = case
        .plan
        .rate
        .as_ref()
        .is_none_or(|rate| is_steady(rate, case.outcome.measured));
    if intervals.len() < INTERVALS_MIN || !steady {
        return None;
    }
    let rates: Vec<f64> = intervals
        .iter()
        .map(|interval| replies_per_second(interval))
        .collect();
    let whole = mean(&rates);
    let replies: u64 = intervals.iter().map(|interval| interval.replied).sum();
    if replies == 0 {
        return None;
    }
    let squares = rates.iter().map(|rate| (rate - whole) * (rate - whole));
    let variation = (squares.sum::<f64>() / (rates.len() - 1) as f64).sqrt() / whole;
    let by_chance = (rates.len() as f64 / replies as f64).sqrt();
    if variation > VARIATION_MAX.max(CHANCE * by_chance) {
        return Some(format!(
            "Replies per second vary by {} (standard deviation of {} intervals), more than {}: see where the intervals \
             differ, and what else runs on these machines.",
            percent(variation),
            rates.len(),
            percent(VARIATION_MAX)
        ));
    }
    let half = rates.len() / 2;
    let (first, second) = (mean(&rates[..half]), mean(&rates[rates.len() - half..]));
    let trend = (second - first).abs() / first;
    let by_chance = (4.0 / replies as f64).sqrt();
    (trend > TREND_MAX.max(CHANCE * by_chance)).then(|| {
        format!(
            "The second half had {}, the first {}, more than {} apart: warm up for longer with --warmup, or see what fills \
             up.",
            rate(second),
            rate(first),
            percent(TREND_MAX)
        )
    })
}

fn replies_per_second(interval: &Interval) -> f64 {
    interval.replied as f64 / interval.length.as_secs_f64()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}
