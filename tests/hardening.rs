//! The service of the README: what systemd thinks of it, and whether the program can live with it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;
mod support;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;

use process::{Process, program};
use support::serving::{eventually, round_trip};

/// The most that may be exposed, in tenths. A service on a network can't do without some.
const EXPOSURE_MAX: &str = "12";

fn unit() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, from) = readme.split_once("```ini\n").unwrap();
    let (unit, _) = from.split_once("```").unwrap();
    // It is looked for by those who verify it.
    unit.replace("/usr/local/bin/echoloop", program())
}

/// What `systemd-analyze` says, where it is installed.
fn analyze(arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("systemd-analyze").args(arguments).output();
    let Ok(output) = output else {
        println!("not run: systemd-analyze is not installed");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8(said).unwrap()))
}

#[test]
fn the_service_exposes_next_to_nothing() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("echoloop.service");
    std::fs::write(&path, unit()).unwrap();
    let path = path.to_str().unwrap();
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let judged = analyze(&["security", "--offline=true", &threshold, "--no-pager", path]);
    if let Some((passed, said)) = judged {
        let verdict = said.lines().find(|line| line.contains("Overall exposure"));
        println!("{}", verdict.unwrap_or(&said));
        assert!(passed, "{said}");
    }
    if let Some((passed, said)) = analyze(&["verify", path]) {
        assert!(passed && !said.contains("echoloop.service:"), "{said}");
    }
}

/// The value of a line `NAME=VALUE` of the service.
fn setting(name: &str) -> String {
    let prefix = format!("{name}=");
    let unit = unit();
    let value = unit.lines().find_map(|line| line.strip_prefix(&prefix));
    value.unwrap_or_else(|| panic!("no {name}")).to_owned()
}

/// A size in bytes, as systemd writes it (`2G`) or as a log does (`1.78 GiB`).
fn size(text: &str) -> f64 {
    let digits =
        text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
    let unit = match text[digits.len()..].trim().chars().next() {
        Some('G') => 30,
        Some('M') => 20,
        _ => panic!("{text}"),
    };
    digits.parse::<f64>().unwrap() * f64::from(1 << unit)
}

/// The options of the service bound its memory, with all clients that it lets in and none of them reading.
#[test]
fn service_fits_into_its_own_limits() {
    let start = setting("ExecStart");
    let mut words = start.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    for word in words {
        // A free port in place of that of the service.
        let is_address = word.starts_with("127.0.0.1:");
        command.arg(if is_address { "127.0.0.1:0" } else { word });
    }
    let process = Process::start(command.env("RUST_LOG", "info"));
    process.signal("TERM");
    let (code, _, log) = process.end();
    assert_eq!(code, 0, "{log}");
    let (_, bound) = log.split_once("memory: up to ").unwrap();
    let (bound, rest) = bound.split_once(" with ").unwrap();
    assert!(size(bound) < size(&setting("MemoryMax")), "{log}");
    let (connections, _) = rest.split_once(" connections").unwrap();
    let connections: u64 = connections.replace(' ', "").parse().unwrap();
    let files: u64 = setting("LimitNOFILE").parse().unwrap();
    assert!(connections == 10_000 && files > connections + 100, "{log}");
}

/// The system calls in a group of systemd's, and in those it is made of.
fn group(name: &str) -> Option<BTreeSet<String>> {
    let (passed, said) = analyze(&["syscall-filter", name, "--no-pager"])?;
    assert!(passed, "{said}");
    let mut calls = BTreeSet::new();
    for line in said.lines().skip(1).map(str::trim) {
        let word = line.split_whitespace().next().unwrap_or("#");
        if word.starts_with('@') {
            calls.extend(group(word)?);
        } else if !word.starts_with('#') {
            calls.insert(word.to_owned());
        }
    }
    Some(calls)
}

/// The groups of a line `SystemCallFilter=`, which forbids them if it begins with `~`.
fn groups(forbidden: bool) -> Option<BTreeSet<String>> {
    let mut calls = BTreeSet::new();
    let unit = unit();
    let lines = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="));
    for line in lines.filter(|line| line.starts_with('~') == forbidden) {
        for name in line.trim_start_matches('~').split(' ') {
            calls.extend(group(name)?);
        }
    }
    Some(calls)
}

#[test]
fn the_service_makes_no_system_call_that_it_forbids() {
    let (Some(mut allowed), Some(forbidden)) = (groups(false), groups(true)) else {
        return;
    };
    // Always allowed: systemd.exec(5).
    allowed.extend(group("@default").unwrap());
    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("calls");
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-e", "signal=none", "-o"]);
    command.arg(&log).arg(program()).arg("serve");
    command.args(["--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    if Command::new("strace").arg("-V").output().is_err() {
        println!("not run: strace is not installed");
        return;
    }
    let process = Process::start(&mut command);
    round_trip(&process.connect(), b"hello");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"hello", process.udp[0]).unwrap();
    socket.recv(&mut [0; 99]).unwrap();
    process.signal("TERM");
    process.end();
    let made = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("all is written down", || made().contains("exit_group("));
    let log = made();
    let made = log.lines().filter_map(|line| {
        let (_, call) = line.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        Some(name.to_owned())
    });
    let made: BTreeSet<String> = made.filter(|name| !name.contains(['<', ' '])).collect();
    let waits = if cfg!(mio_unsupported_force_poll_poll) {
        "poll"
    } else {
        "epoll_wait"
    };
    assert!(made.contains(waits) && made.contains("accept4"), "{made:?}");
    let denied: Vec<_> = made
        .iter()
        .filter(|name| forbidden.contains(*name) || !allowed.contains(*name))
        .collect();
    assert!(denied.is_empty(), "{denied:?}");
}
