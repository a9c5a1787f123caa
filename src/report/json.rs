//! The report for a program: the schema `echoloop.bench/2`, which `tests/bench-v2.schema.json` defines. It replaces version
//! 1, whose names and counts were others.
//!
//! Times are whole nanoseconds. What was not measured, or can't be told, is `null`, and never 0. Histograms are as
//! HdrHistogram's libraries encode them, so that those of several runs can be added up; percentiles can't be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::{Serialize, Serializer};

use super::costs::{Client, Server};
use super::counts::{Bytes, Connections, Failures, Interval, Messages, Mismatch, Rates, Udp};
use super::goals::Finding;
use super::percentiles::percentile;
use super::settings::{Config, Env, nanoseconds};
use super::units::percentile_name;
use super::{Report, Verdict, measured};
use crate::load;

/// The name of the schema. Its number changes when a program that knows it would go wrong.
const SCHEMA: &str = "echoloop.bench/2";

/// The whole of it. Its fields are in the order in which they are written.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: &'static str,
    version: Option<&'a str>,
    started_at: Option<&'a str>,
    measured_from: Option<&'a str>,
    ended_at: Option<&'a str>,
    interrupted: bool,
    gave_up: bool,
    measured_ns: u64,
    length_ns: u64,
    validity: Validity<'a>,
    warnings: &'a [String],
    config: Config<'a>,
    env: Env<'a>,
    messages: Messages,
    failures: Failures,
    rates: Option<Rates>,
    bytes: Bytes,
    connections: Connections,
    wrong_replies: u64,
    errors: Vec<Error<'a>>,
    udp: Option<Udp>,
    latency_ns: Latency,
    intervals: Vec<Interval>,
    intervals_dropped: u64,
    mismatches: Vec<Mismatch>,
    client: Client,
    server: Option<Server>,
    servers: Vec<ServerPart>,
    goals: Vec<Goal<'a>>,
}

#[derive(Debug, Serialize)]
struct Validity<'a> {
    verdict: String,
    reasons: &'a [String],
}

#[derive(Debug, Serialize)]
struct Error<'a> {
    phase: &'static str,
    kind: &'a str,
    count: u64,
}

#[derive(Debug, Serialize)]
struct Latency {
    response: Distribution,
    service: Distribution,
    lag: Option<Distribution>,
    connect: Option<Distribution>,
}

#[derive(Debug, Serialize)]
struct Distribution {
    count: u64,
    min: Option<u64>,
    mean: Option<u64>,
    stddev: Option<u64>,
    max: Option<u64>,
    p: Percentiles,
    hdr_v2: String,
}

/// Percentiles by their names, in the order in which they were asked for.
#[derive(Debug)]
struct Percentiles(Vec<(String, Option<u64>)>);

#[derive(Debug, Serialize)]
struct Goal<'a> {
    goal: &'a str,
    met: bool,
    figure: &'a str,
}

/// Writes the report.
pub(super) fn write(report: &Report<'_>) -> String {
    let document = Document::of(report);
    // All keys are texts, and memory takes whatever is written to it.
    serde_json::to_string_pretty(&document).expect("a report can be written") + "\n"
}

impl<'a> Document<'a> {
    fn of(report: &'a Report<'_>) -> Self {
        let Report {
            outcome,
            plan,
            context,
            judgement,
            percentiles,
        } = report;
        let errors = outcome.errors.iter();
        Self {
            schema: SCHEMA,
            version: context.version.as_deref(),
            started_at: context.started_at.as_deref(),
            measured_from: context.measured_from.as_deref(),
            ended_at: context.ended_at.as_deref(),
            interrupted: outcome.interrupted,
            gave_up: outcome.gave_up.is_some(),
            measured_ns: nanoseconds(outcome.measured),
            length_ns: nanoseconds(outcome.length),
            validity: Validity {
                verdict: lower_case(judgement.verdict),
                reasons: &judgement.reasons,
            },
            warnings: &context.warnings,
            config: Config::of(plan, context),
            env: Env::of(context),
            messages: Messages::of(&outcome.messages),
            failures: Failures::of(&outcome.messages),
            rates: Rates::of(outcome, plan),
            bytes: Bytes::of(outcome),
            connections: Connections::of(&outcome.connections),
            wrong_replies: outcome.wrong_replies,
            errors: errors
                .map(|((step, kind), &count)| Error {
                    phase: step.name(),
                    kind,
                    count,
                })
                .collect(),
            udp: Udp::of(outcome, plan),
            latency_ns: Latency::of(report, percentiles),
            intervals: measured(outcome).map(Interval::of).collect(),
            intervals_dropped: outcome.intervals_dropped,
            mismatches: outcome.mismatches.iter().map(Mismatch::of).collect(),
            client: Client::of(outcome, context),
            server: Server::of(outcome, context),
            servers: outcome
                .servers
                .iter()
                .map(|server| ServerPart::of(server, percentiles))
                .collect(),
            goals: context.goals.iter().map(Goal::of).collect(),
        }
    }
}

impl Latency {
    fn of(report: &Report<'_>, percentiles: &[f64]) -> Self {
        let (latency, plan) = (&report.outcome.latency, report.plan);
        let distribution = |times| Distribution::of(times, percentiles);
        let service = distribution(&latency.service);
        Self {
            // In a closed loop a message is due when it is sent.
            response: if plan.is_open() {
                distribution(&latency.response)
            } else {
                distribution(&latency.service)
            },
            service,
            lag: plan.is_open().then(|| distribution(&latency.lag)),
            connect: (!plan.udp).then(|| distribution(&latency.connect)),
        }
    }
}

impl Distribution {
    fn of(times: &Histogram<u64>, percentiles: &[f64]) -> Self {
        let told = |wanted: f64| (percentile_name(wanted), percentile(times, wanted));
        Self {
            count: times.len(),
            min: percentile(times, 0.0),
            mean: (!times.is_empty()).then(|| times.mean().round() as u64),
            stddev: (!times.is_empty()).then(|| times.stdev().round() as u64),
            max: percentile(times, 100.0),
            p: Percentiles(percentiles.iter().copied().map(told).collect()),
            hdr_v2: encoded(times),
        }
    }
}

/// The part of one of the servers.
#[derive(Debug, Serialize)]
struct ServerPart {
    address: String,
    attempted: u64,
    established: u64,
    failed: u64,
    messages: Messages,
    service_ns: Option<Distribution>,
}

impl ServerPart {
    fn of(server: &load::Server, percentiles: &[f64]) -> Self {
        let times = server.service.as_ref();
        Self {
            address: server.address.to_string(),
            attempted: server.attempted,
            established: server.established,
            failed: server.failed,
            messages: Messages::of(&server.messages),
            service_ns: times.map(|times| Distribution::of(times, percentiles)),
        }
    }
}

impl Serialize for Percentiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, time)| (name, time)))
    }
}

impl<'a> Goal<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            goal: &finding.goal,
            met: finding.met,
            figure: &finding.figure,
        }
    }
}

/// The verdict as programs spell it: `client-limited`.
fn lower_case(verdict: Verdict) -> String {
    verdict.name().to_ascii_lowercase()
}

/// A histogram as its libraries encode it: version 2, deflated, in base 64.
fn encoded(times: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    // It fails for counts beyond 2^63 alone.
    V2DeflateSerializer::new()
        .serialize(times, &mut bytes)
        .expect("counts of what has happened");
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests;
