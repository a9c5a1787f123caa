//! What bounds the memory of a server, and what it reports of that.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;
mod support;

use std::process::Command;

use process::{Process, program};
use support::serving::round_trip;

/// Starts a server, ends it after one round trip, and returns what it logged.
fn log_of(options: &[&str]) -> String {
    let mut command = Command::new(program());
    command.env("RUST_LOG", "info").arg("serve");
    command.args(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let process = Process::start(command.args(options));
    round_trip(&process.connect(), b"hello");
    process.signal("TERM");
    let (code, _, log) = process.end();
    assert_eq!(code, 0, "{log}");
    log
}

#[test]
fn buffer_sizes_beyond_an_int_are_usage_errors_of_serve() {
    for (option, size, number) in [
        ("--rcvbuf", "2G", "2147483648"),
        ("--sndbuf", "17179869183G", "18446744072635809792"),
        ("--sndbuf", "0", "0"),
    ] {
        let mut command = Command::new(program());
        command.args(["serve", "--tcp", "127.0.0.1:0", "--no-udp", option, size]);
        let output = command.output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        assert!(line.contains(option) && line.contains(number), "{line}");
    }
}

/// No kernel gives so much: its own limit is half of it, because it doubles the size.
#[test]
fn buffer_sizes_that_the_kernel_caps_are_warnings_of_serve() {
    for (option, parameter) in [("--rcvbuf", "rmem_max"), ("--sndbuf", "wmem_max")] {
        let log = log_of(&[option, "2147483647"]);
        let warning = format!("{option} 2147483647 is capped at ");
        assert!(log.contains(&warning) && log.contains(parameter), "{log}");
    }
    let log = log_of(&["--sndbuf", "16k", "--rcvbuf", "16k"]);
    assert!(!log.contains("capped"), "{log}");
}
