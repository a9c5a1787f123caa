//! Whether the numbers of a load are worth anything.

mod client_limited;
mod rate_not_reached;
mod remarks;
mod server_failed;
#[cfg(test)]
mod simulation;
mod unstable;

use std::fmt;
use std::str::FromStr;

use super::mismatches;
use super::units::count;
use crate::load::{Outcome, Plan, Reply};

/// The fewest replies whose times say something.
const REPLIES_MIN: u64 = 100;

/// Which part of the messages, and of the attempts to connect, may fail unless told otherwise.
pub const FAILURES_MAX: f64 = 0.001;

/// Whether the numbers are worth anything. The most serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Replies were wrong: it does not matter how fast they were.
    Mismatch,
    /// The server failed: the times are those of the messages that it did reply to.
    ServerFailed,
    /// The numbers tell how this client fared, not the server.
    ClientLimited,
    /// Less was sent, or replied to, than the rate asked for: the numbers are those of another load.
    RateNotReached,
    /// The server was fast at one time and slow at another: the mean says nothing.
    Unstable,
    /// There are too few replies.
    TooFewSamples,
    /// The numbers tell how the server fared.
    Valid,
}

/// A verdict, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The most serious verdict that applies.
    pub verdict: Verdict,
    /// Sentences: the first is the cause of the verdict; then those of less serious ones, and remarks.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// All of them, the most serious first.
    pub const ALL: [Self; 7] = [
        Self::Mismatch,
        Self::ServerFailed,
        Self::ClientLimited,
        Self::RateNotReached,
        Self::Unstable,
        Self::TooFewSamples,
        Self::Valid,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mismatch => "MISMATCH",
            Self::ServerFailed => "SERVER-FAILED",
            Self::ClientLimited => "CLIENT-LIMITED",
            Self::RateNotReached => "RATE-NOT-REACHED",
            Self::Unstable => "UNSTABLE",
            Self::TooFewSamples => "TOO-FEW-SAMPLES",
            Self::Valid => "VALID",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Verdict {
    type Err = String;

    /// Reads a verdict, in capitals or not.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter();
        all.find(|verdict| verdict.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                let names = Self::ALL.map(|verdict| verdict.name().to_ascii_lowercase());
                format!(
                    "'{text}' is not a verdict: give one of {}",
                    names.join(", ")
                )
            })
    }
}

/// What a verdict is made from.
struct Case<'a> {
    outcome: &'a Outcome,
    plan: &'a Plan,
    failures_max: f64,
}

/// A rule finds nothing wrong, or says what is.
type Rule = fn(&Case<'_>) -> Option<String>;

/// The most serious first: if replies are wrong, it is pointless to ask whether they were fast; and if the server failed,
/// whether this client was fast enough.
const RULES: [(Verdict, Rule); 6] = [
    (Verdict::Mismatch, mismatch),
    (Verdict::ServerFailed, server_failed::rule),
    (Verdict::ClientLimited, client_limited::rule),
    (Verdict::RateNotReached, rate_not_reached::rule),
    (Verdict::Unstable, unstable::rule),
    (Verdict::TooFewSamples, too_few_samples),
];

/// Judges the result of `plan`. The server failed if more than `failures_max`, a part of 1, of the messages failed, or of
/// the attempts to connect.
pub fn judge(outcome: &Outcome, plan: &Plan, failures_max: f64) -> Judgement {
    let case = Case {
        outcome,
        plan,
        failures_max,
    };
    if let Some(judgement) = interrupted_early(&case) {
        return judgement;
    }
    let mut verdict = Verdict::Valid;
    let mut reasons = Vec::new();
    for (found, rule) in RULES {
        let Some(reason) = rule(&case) else {
            continue;
        };
        if reasons.is_empty() {
            verdict = found;
        }
        reasons.push(reason);
    }
    // A server that failed explains what is missing of the rate, and why it was not steady.
    if verdict == Verdict::ServerFailed {
        reasons.truncate(1);
        reasons.extend(client_limited::rule(&case));
    }
    reasons.extend(remarks::remarks(&case));
    Judgement { verdict, reasons }
}

fn mismatch(case: &Case<'_>) -> Option<String> {
    let wrong = case.outcome.wrong_replies;
    if wrong == 0 {
        return None;
    }
    let replies = count(wrong, "reply");
    Some(match mismatches::suffix_option(case.outcome, case.plan) {
        Some(option) => format!(
            "{replies} did not match: the server seems to append a suffix to each reply, so use {option}."
        ),
        None => format!(
            "{replies} did not match what was expected: compare the bytes below, or describe the server's \
                 replies with --reply."
        ),
    })
}

/// A run that was stopped while it connected or warmed up says nothing about the server.
fn interrupted_early(case: &Case<'_>) -> Option<Judgement> {
    let outcome = case.outcome;
    let early = outcome.interrupted && outcome.measured.is_zero() && outcome.wrong_replies == 0;
    early.then(|| Judgement {
        verdict: Verdict::TooFewSamples,
        reasons: vec![
            "Interrupted before measuring began: nothing was measured. Let it run until connecting and the warm-up \
             (--warmup) are over."
                .to_owned(),
        ],
    })
}

fn too_few_samples(case: &Case<'_>) -> Option<String> {
    let messages = &case.outcome.messages;
    if messages.offered == 0 && case.outcome.interrupted {
        return Some("Interrupted before any message was offered.".to_owned());
    }
    if messages.offered == 0 {
        return Some(
            "No message was offered in the window: measure for longer with --duration, or see how long the server takes \
             for a reply."
                .to_owned(),
        );
    }
    if case.plan.reply == Reply::None {
        return (messages.written == 0).then(|| "No message was written.".to_owned());
    }
    let replied = messages.timed();
    if replied == 0 {
        return Some("No message was replied to.".to_owned());
    }
    (replied < REPLIES_MIN).then(|| {
        let were = if replied == 1 { "was" } else { "were" };
        format!(
            "Only {} {were} replied to, fewer than {REPLIES_MIN}: measure for longer with --duration, or send more \
             with --messages.",
            count(replied, "message")
        )
    })
}

#[cfg(test)]
mod tests;
