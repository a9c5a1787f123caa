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
            rates: Rates::of(outcome),
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
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use serde_json::{Value, json};

    use super::*;
    use crate::load::{Outcome, Plan};
    use crate::report::{Context, sample};

    fn written(outcome: &Outcome, plan: &Plan, context: &Context) -> Value {
        let text = Report::new(outcome, plan, context).json();
        assert!(text.ends_with("}\n"));
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn every_figure_is_where_the_schema_has_it() {
        let (mut outcome, plan) = (sample::outcome(), sample::plan());
        outcome.mismatches.push(sample::mismatch());
        outcome.wrong_replies = 1;
        outcome
            .errors
            .insert((load::Step::Read, "ECONNRESET".to_owned()), 3);
        let written = written(&outcome, &plan, &sample::context());
        for (place, value) in [
            ("/schema", json!("echoloop.bench/2")),
            ("/started_at", json!("2026-09-01T10:00:00Z")),
            ("/measured_ns", json!(10_000_000_000_u64)),
            ("/validity/verdict", json!("mismatch")),
            ("/config/model", json!("open")),
            ("/config/rate", json!(50_000.0)),
            ("/config/duration_ns", json!(10_000_000_000_u64)),
            ("/config/labels", json!({"branch": "main"})),
            ("/measured_from", json!("2026-09-01T10:00:01Z")),
            ("/ended_at", json!("2026-09-01T10:00:11Z")),
            ("/config/failures_max", json!(0.001)),
            ("/messages/replied", json!(500_000)),
            ("/messages/completed_in_window", json!(499_980)),
            ("/failures", json!({"count": 0, "share": 0.0})),
            ("/rates/completed", json!(49_998.0)),
            ("/servers/0/address", json!("127.0.0.1:7000")),
            ("/servers/0/messages/replied", json!(500_000)),
            ("/servers/0/service_ns", Value::Null),
            (
                "/errors",
                json!([{"phase": "read", "kind": "ECONNRESET", "count": 3}]),
            ),
            ("/udp", Value::Null),
            ("/latency_ns/response/p/99", json!(214_015)),
            ("/latency_ns/lag/count", json!(500_000)),
            ("/latency_ns/connect/p/99", Value::Null),
            ("/latency_ns/connect/max", json!(310_015)),
            ("/intervals/9/t_ns", json!(10_000_000_000_u64)),
            ("/intervals/9/response/p99", json!(214_015)),
            ("/mismatches/0/got", json!("7c206c6565")),
            ("/mismatches/0/kind", json!("surplus")),
            ("/mismatches/0/number", Value::Null),
            ("/client/busy", json!(0.58)),
            ("/client/cpu_ns_per_message", json!(11_600)),
            ("/server/cpu_ns_per_message", json!(14_200)),
            (
                "/goals/1",
                json!({"goal": "rate>50k", "met": false, "figure": "49 998/s"}),
            ),
        ] {
            assert_eq!(written.pointer(place), Some(&value), "{place}");
        }
    }

    #[test]
    fn what_was_not_measured_is_null_and_a_closed_loop_responds_as_it_serves() {
        let (outcome, mut plan) = (Outcome::new(true, &[]), sample::plan());
        (plan.rate, plan.udp) = (None, true);
        let mut context = Context::default();
        let written_of_nothing = written(&outcome, &plan, &context);
        for place in [
            "/version",
            "/config/rate",
            "/latency_ns/lag",
            "/latency_ns/connect",
            "/latency_ns/response/min",
            "/latency_ns/response/mean",
            "/latency_ns/response/max",
            "/latency_ns/response/stddev",
            "/rates",
            "/measured_from",
            "/latency_ns/response/p/50",
            "/client/busy",
            "/client/cpu_ns",
            "/server",
            "/udp/jitter_ns",
            "/udp/duplicate",
        ] {
            assert_eq!(
                written_of_nothing.pointer(place),
                Some(&Value::Null),
                "{place}"
            );
        }
        context.cpu = Some(std::time::Duration::from_secs(1));
        let without_answers = written(&outcome, &plan, &context);
        assert_eq!(without_answers["client"]["cpu_ns_per_message"], Value::Null);
        plan.udp = false;
        let written = written(&sample::outcome(), &plan, &context);
        let latency = &written["latency_ns"];
        assert_eq!(latency["response"], latency["service"]);
        assert_eq!(latency["response"]["p"]["99"], json!(198_015));
    }

    #[test]
    fn percentiles_stay_in_their_order_and_histograms_can_be_read_back() {
        let (outcome, plan, context) = (sample::outcome(), sample::plan(), sample::context());
        let report = Report::new(&outcome, &plan, &context).with_percentiles(vec![5.0, 50.0, 10.0]);
        let text = report.json();
        let at = |name: &str| text.find(&format!("\"{name}\": ")).unwrap();
        assert!(at("5") < at("50") && at("50") < at("10"));
        let written: Value = serde_json::from_str(&text).unwrap();
        let encoded = written["latency_ns"]["response"]["hdr_v2"]
            .as_str()
            .unwrap();
        assert!(encoded.starts_with("HISTFAAAA"));
        let bytes = STANDARD.decode(encoded).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!(read, outcome.latency.response);
    }

    #[test]
    fn what_is_asked_for_is_told_but_not_what_was_said() {
        let mut plan = sample::plan();
        plan.message = Some(b"secret".to_vec());
        plan.reply = load::Reply::Suffix(b"secret".to_vec());
        plan.stop = load::Stop::Messages(1_000);
        plan.churn = Some(load::Churn::Messages(1));
        let written = written(&sample::outcome(), &plan, &sample::context());
        let config = &written["config"];
        for (name, value) in [
            ("message_bytes", json!(6)),
            ("reply", json!("suffix")),
            ("messages", json!(1_000)),
            ("duration_ns", Value::Null),
            ("churn_messages", json!(1)),
            ("rate_given", json!("50k")),
            ("arrival", json!("const")),
        ] {
            assert_eq!(config[name], value, "{name}");
        }
        assert!(!written.to_string().contains("secret"));
    }

    #[test]
    fn the_states_of_messages_add_up_to_those_offered() {
        let states = load::State::ALL;
        let mut outcome = sample::outcome();
        let messages = &mut outcome.messages;
        messages.mismatched = 1;
        messages.connection_lost = 20;
        messages.lost = 300;
        messages.shed = 4_000;
        messages.offered = messages.ended();
        let written = written(&outcome, &sample::plan(), &sample::context());
        let keys = states.map(|state| state.name().replace(' ', "_"));
        let sum: u64 = keys
            .iter()
            .map(|key| written["messages"][key].as_u64().unwrap())
            .sum();
        assert_eq!(written["messages"]["offered"], sum);
        assert_eq!(written["failures"]["count"], 21);
    }

    #[test]
    fn verdicts_are_spelt_in_lower_case() {
        assert_eq!(lower_case(Verdict::RateNotReached), "rate-not-reached");
        assert_eq!(lower_case(Verdict::TooFewSamples), "too-few-samples");
    }
}
