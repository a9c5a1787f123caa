//! What the numbers of a load come to: a verdict first, then a text, JSON, and files that others can plot.
//!
//! Pure: numbers go in and text comes out. Nothing here has a socket, a clock or a place to print to, so the same
//! numbers always give the same report.
//!
//! # The verdict comes first
//!
//! A number that says more of the load generator than of the server is worse than none. So what made a run worth
//! nothing is said before what it measured ([`Verdict`]), with the figure, the threshold and what to do about it.
//!
//! # What can't be told is not told
//!
//! A percentile beyond which hardly anything lies is a single message's luck ([`percentile`]). It is `-` in the text
//! and `null` in JSON, and never 0. So is what was not measured, or can't be counted.

mod context;
mod costs;
mod counts;
mod csv;
mod datagrams;
mod distribution;
mod goals;
mod interval_log;
mod journeys;
mod json;
mod latency;
mod mismatches;
mod page;
mod percentiles;
#[cfg(test)]
mod sample;
mod servers;
mod settings;
mod text;
mod units;
mod verdict;
mod watch;

use std::time::Duration;

use crate::load::{Interval, Outcome, Plan, Profile, Stop};

pub use context::{Context, ServerFigures};
pub use csv::{INTERVAL_HEADER, interval_row};
pub use distribution::hgrm;
pub use goals::{Finding, Goal};
pub use interval_log::IntervalLog;
pub use journeys::journeys;
pub use percentiles::{PERCENTILES, parse_percentiles, percentile};
pub use units::{bytes, thousands, time};
pub use verdict::{FAILURES_MAX, Judgement, Verdict, judge};
pub use watch::Watch;

/// What a load has come to, ready to be told.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    outcome: &'a Outcome,
    plan: &'a Plan,
    context: &'a Context,
    judgement: Judgement,
    percentiles: Vec<f64>,
}

impl<'a> Report<'a> {
    /// A report of what `plan`, as it was asked for, has come to.
    pub fn new(outcome: &'a Outcome, plan: &'a Plan, context: &'a Context) -> Self {
        Self {
            outcome,
            plan,
            context,
            judgement: judge(outcome, plan, context.failures_max.unwrap_or(FAILURES_MAX)),
            percentiles: PERCENTILES.to_vec(),
        }
    }

    /// With these percentiles instead of [`PERCENTILES`].
    #[must_use]
    pub fn with_percentiles(mut self, percentiles: Vec<f64>) -> Self {
        self.percentiles = percentiles;
        self
    }

    /// Whether the numbers are worth anything, and why not.
    pub const fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// The report for a person, at most 80 columns wide. With `spectrum`, every step of the distribution of response
    /// times is listed at its end.
    pub fn text(&self, spectrum: bool) -> String {
        text::write(self, spectrum)
    }

    /// The report for a program, of the schema `echoloop.bench/2`: an object over several lines.
    pub fn json(&self) -> String {
        json::write(self)
    }
}

/// The time by which the counts of the window are divided, in seconds. `None` if nothing was
/// measured.
///
/// The window of a number of messages ends with the last reply, and the last message is due one
/// interval before the schedule of all of them ends: N messages at 1,000/s take N ms, although the
/// last is due after N - 1 ms.
fn rated_seconds(outcome: &Outcome, plan: &Plan) -> Option<f64> {
    let measured = outcome.measured.as_secs_f64();
    let offered = outcome.messages.offered;
    if measured == 0.0 {
        return None;
    }
    let scheduled = match (&plan.rate, plan.stop) {
        (Some(profile), Stop::Messages(_)) if outcome.gave_up.is_none() => {
            profile.due(offered as f64)
        }
        _ => 0.0,
    };
    Some(if scheduled.is_finite() {
        measured.max(scheduled)
    } else {
        measured
    })
}

/// Whether a rate stays the same as long as it is measured.
fn is_steady(profile: &Profile, measured: Duration) -> bool {
    let seconds = measured.as_secs_f64();
    let at_the_peak = profile.peak() * seconds;
    (profile.count(seconds) - at_the_peak).abs() <= at_the_peak * 1e-6
}

/// The intervals that were measured, without those of the warm-up.
fn measured(outcome: &Outcome) -> impl Iterator<Item = &Interval> {
    let intervals = outcome.intervals.iter();
    // The last may end a little after the window. Later ones are of a wait for replies that did not come.
    intervals.filter(|interval| {
        let slack = interval.length / 10;
        let in_window = interval.end <= outcome.measured + slack;
        !interval.end.is_zero() && !interval.length.is_zero() && in_window
    })
}

/// The part of the time that the client was at work, if that was measured.
fn busy_share(outcome: &Outcome) -> Option<f64> {
    let client = &outcome.client;
    let all = client.busy + client.waiting;
    (!all.is_zero()).then(|| client.busy_share())
}

/// How often the system was called: to read, to write, and once a turn to wait.
const fn system_calls(outcome: &Outcome) -> u64 {
    let client = &outcome.client;
    client.reads + client.writes + client.turns.count
}
