//! What bounds the memory of a server, and what it reports of that.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
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

#[test]
fn memory_bound_is_logged_at_start() {
    let options = ["--max-conns", "100", "--sndbuf", "16k", "--rcvbuf", "16k"];
    let log = log_of(&options);
    let line = log.lines().find(|line| line.contains("memory: up to "));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in [
        "INFO",
        "100 connections",
        "in this process",
        "in the kernel",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// A gigabyte for each of a thousand clients is more than any machine that runs this test.
#[test]
fn memory_bound_beyond_the_limit_is_a_warning_with_the_remedy() {
    let options = [
        "--max-conns",
        "1000",
        "--high-water",
        "1G",
        "--unsent-max",
        "0",
    ];
    let log = log_of(&options);
    let line = log.lines().find(|line| line.contains("memory: up to "));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    for part in [
        "WARN",
        "TiB",
        "more than",
        "--max-conns",
        "--sndbuf",
        "--rcvbuf",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// A control group of this test, removed at its end.
struct ControlGroup {
    folder: PathBuf,
    limit_file: &'static str,
}

impl ControlGroup {
    /// A group with a memory limit, where this test may create one.
    fn with_limit(limit: &str) -> Option<Self> {
        let name = format!("echoloop-test-{}", std::process::id());
        let places = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        for (place, limit_file) in places {
            let folder = Path::new(place).join(&name);
            if fs::create_dir(&folder).is_ok() {
                let group = Self { folder, limit_file };
                if fs::write(group.folder.join(limit_file), limit).is_ok() {
                    return Some(group);
                }
            }
        }
        None
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
fn limit_of_the_control_group_is_found() {
    let Some(group) = ControlGroup::with_limit("536870912") else {
        println!("not run: no control group can be created here");
        return;
    };
    let script = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(&group.folder);
    command.arg(program()).arg("serve");
    command.args(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    // More than 512 MiB, whatever this machine has.
    command.args(["--max-conns", "10k", "--sndbuf", "64k", "--rcvbuf", "64k"]);
    let process = Process::start(&mut command);
    round_trip(&process.connect(), b"hello");
    process.signal("TERM");
    let (code, _, log) = process.end();
    assert_eq!(code, 0, "{log}");
    let file = group.folder.join(group.limit_file);
    let limit = format!("more than the limit of 512 MiB ({})", file.display());
    assert!(log.contains(&limit), "{log}");
}
