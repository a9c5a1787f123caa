//! Reports of real loads, against the definition of their schema.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use echoloop::Reactor;
use echoloop::load::{Load, Outcome, Plan, Profile, Stop};
use echoloop::report::{Context, Goal, Report, ServerFigures, Verdict};
use echoloop::service::{Echo, Suffix};
use serde_json::Value;
use support::serving::{Serving, config};

const SCHEMA: &str = include_str!("bench-v2.schema.json");

/// What `value` has that `rules` do not allow, or lacks: as much of JSON Schema as our definition uses. What it does
/// not know fails, so that no rule is passed over.
fn check(value: &Value, rules: &Value, schema: &Value, at: &str, wrong: &mut Vec<String>) {
    let Value::Object(rules) = rules else {
        // `true` allows all, and `false` nothing.
        if rules == &Value::Bool(false) {
            wrong.push(format!("{at}: not allowed"));
        }
        return;
    };
    for (rule, operand) in rules {
        let holds = match rule.as_str() {
            "$schema" | "$defs" | "title" | "description" => true,
            "$ref" => {
                let name = operand.as_str().unwrap().strip_prefix('#').unwrap();
                check(value, schema.pointer(name).unwrap(), schema, at, wrong);
                true
            }
            "type" => match operand {
                Value::Array(types) => types.iter().any(|name| is_a(value, name)),
                name => is_a(value, name),
            },
            "const" => value == operand,
            "enum" => operand.as_array().unwrap().contains(value),
            "minimum" => number(value).is_none_or(|number| number >= operand.as_f64().unwrap()),
            "maximum" => number(value).is_none_or(|number| number <= operand.as_f64().unwrap()),
            "anyOf" => operand.as_array().unwrap().iter().any(|rules| {
                let mut wrong = Vec::new();
                check(value, rules, schema, at, &mut wrong);
                wrong.is_empty()
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(item, operand, schema, &format!("{at}/{index}"), wrong);
                }
                true
            }
            "required" => operand.as_array().unwrap().iter().all(|name| {
                let name = name.as_str().unwrap();
                value
                    .as_object()
                    .is_none_or(|object| object.contains_key(name))
            }),
            "properties" => {
                for (name, rules) in operand.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(value, rules, schema, &format!("{at}/{name}"), wrong);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = rules.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        check(value, operand, schema, &format!("{at}/{name}"), wrong);
                    }
                }
                true
            }
            other => panic!("this test knows no '{other}'"),
        };
        if !holds {
            wrong.push(format!("{at}: {rule} {operand}, but {value}"));
        }
    }
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("this test knows no type '{other}'"),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn faults(document: &Value) -> Vec<String> {
    let schema = serde_json::from_str(SCHEMA).unwrap();
    let mut wrong = Vec::new();
    check(document, &schema, &schema, "", &mut wrong);
    wrong
}

/// A short load to `target`.
fn plan(target: SocketAddr) -> Plan {
    Plan {
        targets: vec![target],
        connections: 4,
        stop: Stop::After(Duration::from_millis(500)),
        warmup: Duration::ZERO,
        interval: Duration::from_millis(50),
        drain: Duration::from_secs(1),
        ..Plan::new()
    }
}

fn run(plan: &Plan) -> Outcome {
    let mut load = Load::new(plan.clone(), |_| {}).unwrap();
    let mut reactor = Reactor::new().unwrap();
    reactor.run(&mut load).unwrap();
    let mut outcome = load.finish().unwrap();
    outcome.client.turns = reactor.turns().clone();
    outcome
}

/// The report of a load as JSON, which is as its schema says.
#[track_caller]
fn reported(outcome: &Outcome, plan: &Plan, context: &Context) -> Value {
    let report = Report::new(outcome, plan, context);
    let text = report.text(true);
    assert!(
        text.starts_with(report.judgement().verdict.name()),
        "{text}"
    );
    let document = serde_json::from_str(&report.json()).unwrap();
    let faults = faults(&document);
    assert!(faults.is_empty(), "{faults:#?}\n{document:#}");
    document
}

#[test]
fn a_closed_and_an_open_loop_are_reported_as_the_schema_says() {
    let serving = Serving::start(config(), Echo);
    let mut plan = plan(serving.tcp[0]);
    let closed = reported(&run(&plan), &plan, &Context::default());
    assert_eq!(closed["config"]["model"], "closed");
    assert_eq!(closed["latency_ns"]["lag"], Value::Null);
    assert!(closed["messages"]["replied"].as_u64() > Some(0));
    plan.rate = Some(Profile::constant(2_000.0));
    let outcome = run(&plan);
    let goals = ["p50<1s", "rate>1", "failures<1%", "loss<1%"];
    let judged = goals.map(|goal| goal.parse::<Goal>().unwrap().judge(&outcome, &plan));
    let context = Context {
        labels: vec![("branch".to_owned(), "main".to_owned())],
        server: Some(ServerFigures::default()),
        goals: judged.to_vec(),
        ..Context::default()
    };
    let open = reported(&outcome, &plan, &context);
    let offered = open["messages"]["offered"].as_u64().unwrap();
    assert!((990..=1_010).contains(&offered), "{offered}");
    assert_eq!(open["latency_ns"]["lag"]["count"], open["messages"]["sent"]);
    let met = goals.map(|goal| goal != "loss<1%");
    let told = open["goals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|goal| goal["met"].as_bool());
    assert!(told.eq(met.map(Some)), "{:#}", open["goals"]);
    serving.finish();
}

#[test]
fn a_server_that_adds_something_is_told_from_an_echo_with_what_to_say() {
    let serving = Serving::start(config(), Suffix::new(*b"| lee"));
    let plan = plan(serving.tcp[0]);
    let outcome = run(&plan);
    let context = Context::default();
    let document = reported(&outcome, &plan, &context);
    assert_eq!(document["validity"]["verdict"], "mismatch");
    let report = Report::new(&outcome, &plan, &context);
    assert_eq!(report.judgement().verdict, Verdict::Mismatch);
    let text = report.text(false);
    assert!(text.contains("--reply 'suffix:| lee'"), "{text}");
    serving.finish();
}

#[test]
fn datagrams_are_reported_as_the_schema_says_with_numbers_and_without() {
    let mut config = config();
    config.udp_suffix.clear();
    let serving = Serving::start(config, Echo);
    let mut plan = plan(serving.udp[0]);
    (plan.udp, plan.rate) = (true, Some(Profile::constant(1_000.0)));
    let numbered = reported(&run(&plan), &plan, &Context::default());
    assert_eq!(numbered["udp"]["numbered"], true);
    assert_eq!(numbered["udp"]["duplicate"], 0);
    assert_eq!(numbered["latency_ns"]["connect"], Value::Null);
    plan.message = Some(b"hello".to_vec());
    let plain = reported(&run(&plan), &plan, &Context::default());
    assert_eq!(plain["udp"]["duplicate"], Value::Null);
    assert_eq!(plain["config"]["message_bytes"], 5);
    serving.finish();
}

#[test]
fn the_schema_finds_what_is_missing_superfluous_or_of_another_kind() {
    let serving = Serving::start(config(), Echo);
    let plan = plan(serving.tcp[0]);
    let document = reported(&run(&plan), &plan, &Context::default());
    serving.finish();
    let mut broken = document.clone();
    broken.as_object_mut().unwrap().remove("udp");
    assert_eq!(faults(&broken).len(), 1);
    for (place, value) in [
        ("/schema", Value::from("echoloop.bench/1")),
        ("/messages/sent", Value::from(-1)),
        ("/messages/sent", Value::from(1.5)),
        ("/messages/extra", Value::from(1)),
        ("/latency_ns/service/p/50", Value::from("61 µs")),
        ("/latency_ns/service", Value::Null),
        ("/client/busy", Value::from(1.1)),
        ("/validity/verdict", Value::from("VALID")),
        ("/intervals/0/t_ns", Value::from(0)),
        ("/server", Value::from(1)),
    ] {
        let mut broken = document.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        let parent = broken.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
            parent => parent[name] = value,
        }
        assert_eq!(faults(&broken).len(), 1, "{place}: {:?}", faults(&broken));
    }
}
