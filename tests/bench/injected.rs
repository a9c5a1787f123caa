//! System calls that are slow or fail, as strace(1) injects them.

use std::process::{Command, Output, Stdio};

use super::code;
use super::process::{Process, program};

/// Runs `echoloop` with the injection `fault` of strace(1); `None`, with a reason printed, where it
/// may not trace.
fn injected(fault: &str, arguments: &[&str]) -> Option<Output> {
    let probe = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: strace is not installed, or may not trace");
        return None;
    }
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("inject={fault}"),
    ]);
    let output = command.arg(program()).arg("-q").args(arguments).output();
    Some(output.unwrap())
}

/// The time of a connect call counts: it is delayed here by 50 ms at its end.
#[test]
fn connect_times_include_the_connect_call() {
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let arguments = ["bench", "-n", "1", "--json", "-", &address];
    let Some(output) = injected("connect:delay_exit=50000", &arguments) else {
        return;
    };
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let connect = &json["latency_ns"]["connect"];
    assert!(connect["min"].as_u64().unwrap() >= 50_000_000, "{connect}");
}

#[test]
fn a_lack_of_descriptors_is_exit_1_and_not_blamed_on_a_source() {
    let fault = "socket:error=EMFILE";
    for source in [&[][..], &["--source", "127.0.0.1"]] {
        let arguments = [&["bench", "-n", "1"], source, &["127.0.0.1:1"]].concat();
        let Some(output) = injected(fault, &arguments) else {
            return;
        };
        let line = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(code(&output), 1, "{line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        assert!(
            line.contains("ulimit -n") && !line.contains("--source"),
            "{line}"
        );
    }
}
