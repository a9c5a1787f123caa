//! What was asked for and where it ran, as JSON: complete enough to ask for the same again.
//!
//! The command line itself is not among it, nor the text of messages: what was typed may be secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::context::Context;
use super::verdict::FAILURES_MAX;
use crate::load::{Arrival, Churn, Close, Plan, Reply, Stop, Verify};

#[derive(Debug, Serialize)]
pub(super) struct Config<'a> {
    protocol: &'static str,
    targets: &'a [String],
    model: &'static str,
    /// At its highest, messages a second.
    rate: Option<f64>,
    /// As it was given: a rate that changes is more than a number.
    rate_given: Option<&'a str>,
    arrival: Option<&'static str>,
    connections: usize,
    idle: usize,
    connect_rate: Option<f64>,
    pipeline: usize,
    think_ns: u64,
    size: String,
    /// How long the text of all messages is, if they have one.
    message_bytes: Option<usize>,
    /// How the end of a greeting is found. The field is absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    greeting: Option<&'static str>,
    reply: &'static str,
    verify: &'static str,
    duration_ns: Option<u64>,
    messages: Option<u64>,
    warmup_ns: u64,
    interval_ns: u64,
    timeout_ns: u64,
    deadline_ns: Option<u64>,
    drain_ns: u64,
    churn_messages: Option<u64>,
    churn_ns: Option<u64>,
    close: &'static str,
    sources: Vec<String>,
    seed: u64,
    failures_max: f64,
    labels: BTreeMap<&'a str, &'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct Env<'a> {
    os: Option<&'a str>,
    cpus: Option<usize>,
    fd_limit: Option<u64>,
    timer: Option<&'a str>,
}

impl<'a> Config<'a> {
    pub(super) fn of(plan: &Plan, context: &'a Context) -> Self {
        let (duration_ns, messages) = match plan.stop {
            Stop::After(time) => (Some(nanoseconds(time)), None),
            Stop::Messages(count) => (None, Some(count)),
        };
        let (churn_messages, churn_ns) = match plan.churn {
            Some(Churn::Messages(count)) => (Some(count), None),
            Some(Churn::After(time)) => (None, Some(nanoseconds(time))),
            None => (None, None),
        };
        let labels = context.labels.iter();
        Self {
            protocol: if plan.udp { "udp" } else { "tcp" },
            targets: &context.targets,
            model: if plan.is_open() { "open" } else { "closed" },
            rate: plan.rate.as_ref().map(|profile| profile.peak()),
            rate_given: context.rate.as_deref(),
            arrival: plan.is_open().then_some(match plan.arrival {
                Arrival::Constant => "const",
                Arrival::Poisson => "poisson",
            }),
            connections: plan.connections,
            idle: plan.idle,
            connect_rate: plan.connect_rate,
            pipeline: plan.pipeline,
            think_ns: nanoseconds(plan.think),
            size: size(plan, context),
            message_bytes: plan.message.as_ref().map(Vec::len),
            greeting: plan.greeting.as_ref().map(|_| "until"),
            reply: match plan.reply {
                Reply::Echo => "echo",
                Reply::Suffix(_) => "suffix",
                Reply::Size(_) => "size",
                Reply::Until(_) => "until",
                Reply::None => "none",
            },
            verify: match plan.verify {
                Verify::Full => "full",
                Verify::Length => "length",
                Verify::Off => "off",
            },
            duration_ns,
            messages,
            warmup_ns: nanoseconds(plan.warmup),
            interval_ns: nanoseconds(plan.interval),
            timeout_ns: nanoseconds(plan.timeout),
            deadline_ns: plan.deadline.map(nanoseconds),
            drain_ns: nanoseconds(plan.drain),
            churn_messages,
            churn_ns,
            close: match plan.close {
                Close::Fin => "fin",
                Close::Reset => "rst",
            },
            sources: plan.sources.iter().map(ToString::to_string).collect(),
            seed: plan.seed,
            failures_max: context.failures_max.unwrap_or(FAILURES_MAX),
            labels: labels
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }
    }
}

impl<'a> Env<'a> {
    pub(super) fn of(context: &'a Context) -> Self {
        Self {
            os: context.os.as_deref(),
            cpus: context.cpus,
            fd_limit: context.fd_limit,
            timer: context.timer.as_deref(),
        }
    }
}

fn size(plan: &Plan, context: &Context) -> String {
    let (least, most) = (plan.sizes.smallest(), plan.sizes.largest());
    match &context.size {
        Some(given) => given.clone(),
        None if least == most => least.to_string(),
        None => format!("{least}..{most}"),
    }
}

/// A time in nanoseconds, or the longest there is.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
