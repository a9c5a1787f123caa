//! Runs that are stopped, by a signal or by whoever reads them.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::process::{NOISE, Process, program};
use super::support::serving::eventually;

/// A run that is going on.
fn start(arguments: &[&str]) -> Child {
    let mut program = Command::new(program());
    program.args(["-q", "bench"]).args(NOISE).args(arguments);
    program.stdout(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-s", "INT", &pid]).status();
    assert!(kill.unwrap().success());
}

#[test]
fn an_interrupted_run_reports_what_it_has_measured() {
    let server = Process::serve(&["--stats-interval", "10ms"]);
    let address = server.tcp[0].to_string();
    let mut child = start(&[
        "-c", "2", "-R", "1k", "-d", "10m", "--warmup", "0", "--json", "-", &address,
    ]);
    thread::sleep(Duration::from_millis(600));
    interrupt(&child);
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["interrupted"], true);
    let replied = json["messages"]["replied"].as_u64().unwrap();
    assert!((1..=60_000).contains(&replied), "{json}");
    assert_eq!(
        json["messages"]["offered"], json["messages"]["replied"],
        "{json}"
    );
}

/// The exit code, the verdict and its reasons of a run that is interrupted soon after its start.
fn interrupted_early(arguments: &[&str]) -> (Option<i32>, Value) {
    let mut program = Command::new(program());
    program.args(["-q", "bench", "--json", "-"]).args(arguments);
    let mut child = program
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    connects(&child);
    thread::sleep(Duration::from_millis(200));
    interrupt(&child);
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    let json: Value = serde_json::from_str(&out).unwrap();
    (child.wait().unwrap().code(), json["validity"].clone())
}

#[test]
fn run_interrupted_before_measuring_is_not_valid_and_not_server_failed() {
    let server = Process::serve(&["--reply", "discard"]);
    let address = server.tcp[0].to_string();
    for arguments in [
        &["-d", "5", "--warmup", "10m"][..],
        &["-c", "1000", "--connect-rate", "1"],
        &["-n", "500", "--warmup", "10m"],
        &["-R", "100", "--warmup", "10m"],
    ] {
        let (code, validity) = interrupted_early(&[arguments, &[&address]].concat());
        assert_eq!(code, Some(5), "{arguments:?}");
        assert_eq!(validity["verdict"], "too-few-samples");
        let reasons = validity["reasons"].as_array().unwrap();
        assert_eq!(reasons.len(), 1, "{validity}");
        let reason = reasons[0].as_str().unwrap();
        assert!(
            reason.starts_with("Interrupted before measuring began"),
            "{reason}"
        );
    }
}

/// Waits until the run has a connection. Signals come through two other sockets.
fn connects(child: &Child) {
    let descriptors = format!("/proc/{}/fd", child.id());
    eventually("it connects", || {
        let descriptors = std::fs::read_dir(&descriptors).unwrap();
        let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let is_socket = |target: &PathBuf| target.to_str().unwrap().starts_with("socket:");
        targets.filter(is_socket).count() > 2
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Process::serve(&["--reply", "discard"]);
    let address = server.tcp[0].to_string();
    let mut child = start(&["-d", "10m", "--warmup", "0", "--drain", "10m", &address]);
    // Connected, and its message sent: it is measuring.
    connects(&child);
    thread::sleep(Duration::from_millis(100));
    interrupt(&child);
    thread::sleep(Duration::from_millis(100));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_server_that_never_replies_has_failed_unless_no_reply_is_expected() {
    let server = Process::serve(&["--reply", "discard"]);
    let address = server.tcp[0].to_string();
    let mut child = start(&["-n", "1", "--timeout", "50ms", "--drain", "50ms", &address]);
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let mut child = start(&["-n", "1", "--reply", "none", &address]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// `echoloop bench ... | head -1`.
#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let server = Process::serve(&[]);
    let mut child = start(&["-n", "100", "--latency", &server.tcp[0].to_string()]);
    let mut line = String::new();
    let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    drop(out);
    assert!(line.contains("closed loop"), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The report may have nobody to read it, and then a signal ends the program all the same.
#[test]
fn a_signal_ends_it_while_its_report_is_stuck() {
    let server = Process::serve(&[]);
    // More than a pipe takes that nobody reads.
    let label = format!("note={}", "x".repeat(100_000));
    let address = server.tcp[0].to_string();
    let mut child = start(&["-n", "10", "--label", &label, "--json", "-", &address]);
    let out = child.stdout.take().unwrap();
    thread::sleep(Duration::from_millis(300));
    let mut status = None;
    eventually("a signal has ended it", || {
        interrupt(&child);
        thread::sleep(Duration::from_millis(50));
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(130));
    drop(out);
}
