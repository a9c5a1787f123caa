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
fn figures_not_measured_are_null_and_a_closed_loop_has_equal_response_and_service() {
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
fn the_config_is_complete_but_contains_no_message_text() {
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
