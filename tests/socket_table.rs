//! The kernel's table of sockets has a row for each socket of the machine: it is not read for each of ours.

#![allow(clippy::unwrap_used)]
#![cfg(target_os = "linux")]

#[path = "support/process.rs"]
mod process;
mod support;

use std::path::PathBuf;
use std::process::Command;

use process::{Process, program};
use support::serving::eventually;

#[test]
fn table_of_udp_sockets_is_read_once_for_all_sockets_of_a_server() {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("not run: strace is not installed");
        return;
    }
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("socket-table");
    let mut command = Command::new("strace");
    command.args([
        "-D",
        "-f",
        "-qq",
        "-e",
        "signal=none",
        "-e",
        "trace=openat,exit_group",
        "-o",
    ]);
    command
        .arg(&log)
        .args([program(), "-q", "serve", "--no-tcp"]);
    for _ in 0..8 {
        command.args(["--udp", "127.0.0.1:0"]);
    }
    let process = Process::start(&mut command);
    let log = || std::fs::read_to_string(&log).unwrap_or_default();
    let reads = |table: &str| log().matches(&format!("/proc/self/net/{table}\"")).count();
    process.signal("USR1");
    eventually("the counters are logged", || reads("udp6") > 0);
    process.signal("TERM");
    process.end();
    eventually("all is written down", || log().contains("exit_group("));
    // Once for the signal, and once when the sockets are closed.
    assert_eq!([reads("udp"), reads("udp6")], [2, 2]);
}
