//! Whether the numbers of a load are worth anything.

use std::fmt;

use super::percentiles::percentile;
use super::units::{count, percent, rate, thousands, time};
use super::{is_steady, measured};
use crate::load::{Connections, Interval, Outcome, Plan, Reply, Stop, Verify};

/// How busy this client may be in an open loop. Beyond that, messages wait for it: by the theory of queues ten times
/// as long as it takes to serve one.
const BUSY_MAX: f64 = 0.9;

/// How busy it may be in a closed loop, where it has nothing to be late for. Beyond that, it was never the server that
/// was waited for.
const BUSY_MAX_CLOSED: f64 = 0.97;

/// How late this client may be by itself, in nanoseconds, whatever the server takes: a punctual sleep is no better.
const LAG_MAX: u64 = 100_000;

/// How much of the response time may be this client's own lateness.
const LAG_SHARE_MAX: f64 = 0.1;

/// How much of what was offered has to be sent. What is missing is what the schedule was for.
const SENT_MIN: f64 = 0.99;

/// How much of what was offered has to be answered before the end. What was sent last may come a little later.
const IN_TIME_MIN: f64 = 0.95;

/// Of fewer intervals, nothing can be said of how they differ.
const INTERVALS_MIN: usize = 5;

/// How much intervals may differ: their standard deviation as part of their mean.
const VARIATION_MAX: f64 = 0.25;

/// How much the second half may differ from the first.
const TREND_MAX: f64 = 0.2;

/// How many times as much as chance alone would make them, intervals have to differ to be called unstable. A count of
/// `n` that is due to chance varies by the root of `n`.
const CHANCE: f64 = 3.0;

/// The fewest answers whose times say something.
const ANSWERS_MIN: u64 = 100;

/// Whether the numbers are worth anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They say how the server has fared.
    Valid,
    /// They say how this client has fared.
    ClientLimited,
    /// Less was sent, or answered, than was to be: they are of another load.
    RateNotReached,
    /// The server fared now this way, now that: their mean says nothing.
    Unstable,
    /// There are too few.
    TooFewSamples,
    /// Answers were wrong: it does not matter how fast they were.
    Mismatch,
}

/// A verdict, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The most serious there is to say.
    pub verdict: Verdict,
    /// Sentences: why, the most serious first; then what else is to be known.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "VALID",
            Self::ClientLimited => "CLIENT-LIMITED",
            Self::RateNotReached => "RATE-NOT-REACHED",
            Self::Unstable => "UNSTABLE",
            Self::TooFewSamples => "TOO-FEW-SAMPLES",
            Self::Mismatch => "MISMATCH",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A rule finds nothing wrong, or says what is.
type Rule = fn(&Outcome, &Plan) -> Option<String>;

/// The most serious first: what is wrong makes it pointless to ask whether it was fast, and what this client could not
/// do makes it pointless to ask what the server could.
const RULES: [(Verdict, Rule); 5] = [
    (Verdict::Mismatch, mismatch),
    (Verdict::ClientLimited, client_limited),
    (Verdict::RateNotReached, rate_not_reached),
    (Verdict::Unstable, unstable),
    (Verdict::TooFewSamples, too_few_samples),
];

/// Judges what `plan` has come to.
pub fn judge(outcome: &Outcome, plan: &Plan) -> Judgement {
    let mut verdict = Verdict::Valid;
    let mut reasons = Vec::new();
    for (found, rule) in RULES {
        let Some(reason) = rule(outcome, plan) else {
            continue;
        };
        if reasons.is_empty() {
            verdict = found;
        }
        reasons.push(reason);
    }
    reasons.extend(remarks(outcome, plan));
    Judgement { verdict, reasons }
}

fn mismatch(outcome: &Outcome, _: &Plan) -> Option<String> {
    let corrupt = outcome.udp.as_ref().map_or(0, |udp| udp.corrupt);
    // Those of the warm-up are described, though they are not counted.
    let described = outcome.mismatches.len() as u64;
    let wrong = outcome.messages.mismatch.max(corrupt).max(described);
    (wrong > 0).then(|| {
        let were = if wrong == 1 { "was" } else { "were" };
        format!(
            "{} {were} not what was to come back, and none may be: compare what was expected with what came, or say \
             with --reply what the server makes of a message.",
            count(wrong, "answer")
        )
    })
}

fn client_limited(outcome: &Outcome, plan: &Plan) -> Option<String> {
    let busy = outcome.client.busy_share();
    if !plan.is_open() {
        return (busy > BUSY_MAX_CLOSED).then(|| {
            format!(
                "This client was busy {} of the time, more than {}, so it never waited for the server: give it a \
                 processor of its own, or let several share the load.",
                percent(busy),
                percent(BUSY_MAX_CLOSED)
            )
        });
    }
    if busy > BUSY_MAX {
        return Some(format!(
            "This client was busy {} of the time, more than {}, so messages waited for it: lower --rate, or give it \
             a processor of its own.",
            percent(busy),
            percent(BUSY_MAX)
        ));
    }
    let lag = percentile(&outcome.latency.lag, 99.0)?;
    let response = percentile(&outcome.latency.response, 99.0)?;
    let share = lag as f64 / response as f64;
    (lag > LAG_MAX && share > LAG_SHARE_MAX).then(|| {
        format!(
            "This client was late by itself: its lag p99 is {}, more than {} and {} of the response p99 of {}, more \
             than {}. Give it a processor of its own, or say --timer spin.",
            time(lag),
            time(LAG_MAX),
            percent(share),
            time(response),
            percent(LAG_SHARE_MAX)
        )
    })
}

fn rate_not_reached(outcome: &Outcome, plan: &Plan) -> Option<String> {
    let messages = &outcome.messages;
    if !plan.is_open() || messages.offered == 0 {
        return None;
    }
    let part = |number: u64| number as f64 / messages.offered as f64;
    let sent = part(messages.sent);
    if sent < SENT_MIN {
        return Some(format!(
            "Sent were {} of {} messages offered ({}), less than {}: {} waited until the end and {} were shed. Lower \
             --rate, or let more be in flight with --connections or --pipeline.",
            thousands(messages.sent),
            thousands(messages.offered),
            percent(sent),
            percent(SENT_MIN),
            thousands(messages.unsent),
            thousands(messages.shed)
        ));
    }
    // A load of so many messages ends with the last that is sent, which nobody can have answered by then.
    if plan.reply == Reply::None || matches!(plan.stop, Stop::Messages(_)) {
        return None;
    }
    // What datagrams are lost is what is to be found out. A stream loses none: what is not answered waits, or was cut
    // off by the server.
    let lost = if plan.udp { messages.unanswered } else { 0 };
    let in_time = part(messages.answered_in_time + lost + messages.mismatch);
    (in_time < IN_TIME_MIN).then(|| {
        format!(
            "Answered before the end were {} of {} messages offered, {} more after it, and {} never: the server could \
             not keep up, or hung up. Lower --rate, or look at the errors.",
            thousands(messages.answered_in_time),
            thousands(messages.offered),
            thousands(messages.answered.saturating_sub(messages.answered_in_time)),
            thousands(messages.unanswered),
        )
    })
}

fn unstable(outcome: &Outcome, plan: &Plan) -> Option<String> {
    let Connections { most, at_end, .. } = outcome.connections;
    // Those that are to come and go are not all there at any time.
    if at_end * 2 < most && plan.churn.is_none() && !outcome.measured.is_zero() {
        return Some(format!(
            "When the measuring ended {} of {} were there: the server has gone, or turns them away.",
            thousands(at_end),
            count(most, "connection")
        ));
    }
    let intervals: Vec<_> = measured(outcome).collect();
    // Of a rate that changes, the intervals are to differ.
    let steady = plan
        .rate
        .as_ref()
        .is_none_or(|rate| is_steady(rate, outcome.measured));
    if let [before @ .., last] = &intervals[..]
        && last.answered == 0
        && before.iter().any(|interval| interval.answered > 1)
        && last.sent + last.errors > 0
    {
        return Some(
            "In the last interval nothing was answered: the server has gone, or stands still."
                .to_owned(),
        );
    }
    if intervals.len() < INTERVALS_MIN || !steady {
        return None;
    }
    let rates: Vec<f64> = intervals
        .iter()
        .map(|interval| answered(interval))
        .collect();
    let whole = mean(&rates);
    let answers: u64 = intervals.iter().map(|interval| interval.answered).sum();
    if answers == 0 {
        return None;
    }
    let squares = rates.iter().map(|rate| (rate - whole) * (rate - whole));
    let variation = (squares.sum::<f64>() / (rates.len() - 1) as f64).sqrt() / whole;
    let by_chance = (rates.len() as f64 / answers as f64).sqrt();
    if variation > VARIATION_MAX.max(CHANCE * by_chance) {
        return Some(format!(
            "Answers a second vary by {} (standard deviation, of {} intervals), more than {}: look where the \
             intervals differ, and for what else runs on these machines.",
            percent(variation),
            rates.len(),
            percent(VARIATION_MAX)
        ));
    }
    let half = rates.len() / 2;
    let (first, second) = (mean(&rates[..half]), mean(&rates[rates.len() - half..]));
    let trend = (second - first).abs() / first;
    let by_chance = (4.0 / answers as f64).sqrt();
    (trend > TREND_MAX.max(CHANCE * by_chance)).then(|| {
        format!(
            "The second half was answered at {}, the first at {}, more than {} apart: warm up for longer with \
             --warmup, or look for what fills up.",
            rate(second),
            rate(first),
            percent(TREND_MAX)
        )
    })
}

fn too_few_samples(outcome: &Outcome, plan: &Plan) -> Option<String> {
    if plan.reply == Reply::None {
        let sent = outcome.messages.sent;
        if sent == 0 {
            return Some("No message was sent: look at the errors.".to_owned());
        }
        // Whoever is refused a datagram learns it with the next.
        return (plan.udp && outcome.error_count() * 3 > sent)
            .then(|| "Most datagrams were refused: look at the errors.".to_owned());
    }
    let answered = outcome.messages.answered;
    if answered == 0 && outcome.error_count() == 0 {
        return Some("No message was answered: does this server answer at all?".to_owned());
    }
    if answered == 0 {
        return Some("No message was answered: look at the errors.".to_owned());
    }
    (answered < ANSWERS_MIN).then(|| {
        let were = if answered == 1 { "was" } else { "were" };
        format!(
            "Only {} {were} answered, fewer than {ANSWERS_MIN}: measure for longer with --duration, or look at the \
             errors.",
            count(answered, "message")
        )
    })
}

/// What is to be known, though it does not change what the numbers are worth.
fn remarks(outcome: &Outcome, plan: &Plan) -> Vec<String> {
    let mut remarks = Vec::new();
    if outcome.interrupted {
        remarks.push("It was interrupted: what there was until then is what is told.".to_owned());
    }
    let most = outcome.connections.most;
    let wanted = (plan.connections + plan.idle) as u64;
    if most < wanted {
        remarks.push(format!(
            "At most {} of {} were there at once, so the others' part of the load was not.",
            thousands(most),
            count(wanted, "connection")
        ));
    }
    if plan.verify == Verify::Off {
        remarks.push("Nothing was verified, so wrong answers count as answers.".to_owned());
    }
    if let Some(overflow @ 1..) = outcome.udp.as_ref().and_then(|udp| udp.overflow) {
        remarks.push(format!(
            "This client's own receive buffer had no room for {}, which are not lost in the network: make it larger \
             with --rcvbuf.",
            count(overflow, "answer")
        ));
    }
    remarks
}

/// Answers a second.
fn answered(interval: &Interval) -> f64 {
    interval.answered as f64 / interval.length.as_secs_f64()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests;
