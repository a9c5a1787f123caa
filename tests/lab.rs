//! `echoloop lab`: the experiments whose figures do not depend on time, and what is said of all of them.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

#[path = "support/program.rs"]
mod program;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use program::program;
use serde_json::Value;

const NAMES: [&str; 12] = [
    "drain",
    "edge-trap",
    "level-vs-edge",
    "idle-cost",
    "batch",
    "fairness",
    "backpressure",
    "models",
    "recv-1024",
    "timer",
    "omission",
    "udp-loss",
];

fn lab(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.arg("lab").args(arguments).output().unwrap()
}

/// What it prints when all is well: nothing on stderr, exit code 0.
#[track_caller]
fn printed(arguments: &[&str]) -> String {
    let output = lab(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// What an experiment prints. On a machine that is so busy that its time runs out, it is tried again.
#[track_caller]
fn found(name: &str) -> String {
    for _ in 0..9 {
        let output = lab(&[name, "--json"]);
        let errors = String::from_utf8(output.stderr).unwrap();
        if errors.contains("did not end within 5 s") {
            assert_eq!(output.status.code(), Some(1));
            continue;
        }
        assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
        return String::from_utf8(output.stdout).unwrap();
    }
    panic!("{name} never had time enough");
}

/// A finding as a program gets it.
struct Finding(Value);

impl Finding {
    #[track_caller]
    fn of(name: &str) -> Self {
        let finding: Value = serde_json::from_str(&found(name)).unwrap();
        assert_eq!(finding["name"], name);
        for text in ["question", "prediction", "explanation"] {
            assert!(finding[text].as_str().unwrap().len() > 40, "{text}");
        }
        assert!(finding["seconds"].as_f64().unwrap() > 0.0);
        let all_hold = finding["expected"]
            .as_array()
            .unwrap()
            .iter()
            .all(|relation| relation["holds"] == true);
        let verdict = if all_hold {
            "confirmed"
        } else {
            "contradicted"
        };
        assert_eq!(finding["verdict"], verdict);
        assert_eq!(finding["perhaps"] == Value::Null, all_hold);
        Self(finding)
    }

    #[track_caller]
    fn value(&self, name: &str) -> f64 {
        let measurements = self.0["measurements"].as_array().unwrap();
        let found = measurements.iter().find(|of| of["name"] == name);
        let found = found.unwrap_or_else(|| panic!("{name} is not among {measurements:?}"));
        assert!(found["unit"].is_string());
        found["value"].as_f64().unwrap()
    }
}

#[test]
fn without_a_name_they_are_listed() {
    let text = printed(&[]);
    let listed: Value = serde_json::from_str(&printed(&["--json"])).unwrap();
    for (name, listed) in NAMES.iter().zip(listed.as_array().unwrap()) {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
        assert_eq!(listed["name"], *name);
        assert!(listed["question"].as_str().unwrap().ends_with(['?', '.']));
    }
    assert_eq!(listed.as_array().unwrap().len(), NAMES.len());
}

#[test]
fn a_name_that_is_none_is_a_line_that_names_it_and_the_remedy() {
    for wrong in ["drian", "a\nb", ""] {
        let output = lab(&[wrong]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        let named = format!("'{}'", wrong.replace('\n', "\\n"));
        assert!(line.contains(&named) && line.contains("drain"), "{line}");
    }
}

#[test]
#[cfg_attr(
    mio_unsupported_force_poll_poll,
    ignore = "with mio's poll(2) who stops at a short read is not told again"
)]
fn a_finding_is_told_in_lines_that_fit() {
    let text = printed(&["drain"]);
    for label in [
        "question",
        "prediction",
        "measured",
        "verdict",
        "explanation",
    ] {
        let label = format!("  {label}");
        assert!(text.lines().any(|line| line.starts_with(&label)), "{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
        assert!(!line.contains('\x1b'), "{line:?}");
    }
}

#[test]
#[cfg_attr(
    mio_unsupported_force_poll_poll,
    ignore = "with mio's poll(2) who stops at a short read is not told again"
)]
fn drained_to_would_block_a_message_takes_one_read_more() {
    let finding = Finding::of("drain");
    let until = finding.value("until WouldBlock: calls");
    let short = finding.value("short read: calls");
    assert!((3.0..3.1).contains(&until), "{until}");
    assert!((2.0..2.1).contains(&short), "{short}");
    assert_eq!(finding.0["verdict"], "confirmed");
}

#[test]
fn who_reads_once_an_edge_hangs() {
    let finding = Finding::of("edge-trap");
    for (subject, hangs, answered, left) in [
        ("one read an event", 1.0, 1024.0, 3072.0),
        ("drained", 0.0, 4096.0, 0.0),
    ] {
        let value = |quantity| finding.value(&format!("{subject}: {quantity}"));
        assert_eq!(value("hangs"), hangs);
        assert_eq!((value("answered"), value("left behind")), (answered, left));
        assert_eq!(value("events"), 1.0);
    }
    assert_eq!(finding.0["verdict"], "confirmed");
}

#[test]
fn a_level_is_told_again_and_an_edge_is_not() {
    let finding = Finding::of("level-vs-edge");
    assert_eq!(finding.value("level: wake-ups"), 4.0);
    assert_eq!(finding.value("edge: wake-ups"), 1.0);
    assert_eq!(finding.value("level: when idle"), 0.0);
    assert_eq!(finding.value("edge, WRITABLE on: when idle"), 1.0);
    assert!(finding.value("level, WRITABLE on: when idle") >= 1.0);
}

#[test]
fn who_never_reads_is_owed_no_more_than_the_watermark_allows() {
    let finding = Finding::of("backpressure");
    // The watermark, and one read more.
    assert!(finding.value("high watermark: owed") <= 80.0 * 1024.0);
    for subject in ["high watermark", "no watermark"] {
        let value = |quantity| finding.value(&format!("{subject}: {quantity}"));
        assert_eq!(value("answered"), 2_000.0);
        assert!(value("owed") <= value("sent"));
    }
}

#[test]
fn every_datagram_is_accounted_for() {
    let finding = Finding::of("udp-loss");
    let value = |quantity| finding.value(&format!("datagrams: {quantity}"));
    assert!(value("sent") > 0.0 && value("lost") >= 0.0);
    assert_eq!(value("sent"), value("answered") + value("lost"));
    let no_room = value("no room there") + value("no room here");
    assert_eq!(value("lost"), no_room + value("too late"));
}

#[test]
fn a_literal_recv_of_1024_takes_a_call_for_each() {
    let finding = Finding::of("recv-1024");
    assert!(finding.value("recv(1024): reads") >= 1024.0);
    assert!(finding.value("16 KiB ahead: reads") >= 64.0);
}

/// `echoloop lab all | head -1`.
#[test]
#[cfg_attr(
    mio_unsupported_force_poll_poll,
    ignore = "with mio's poll(2) who stops at a short read is not told again"
)]
fn a_reader_that_has_had_enough_ends_it_quietly() {
    let mut child = Command::new(program())
        .args(["lab", "all"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("drain ("), "{line}");
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
