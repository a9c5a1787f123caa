//! System calls that are slow or fail, as strace(1) injects them.

use std::io::Write;
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
    command.arg(program()).arg("-q").args(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\nthree\n").unwrap();
    drop(stdin);
    Some(child.wait_with_output().unwrap())
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

/// Linux reports the ICMP error of an earlier datagram with the next call, which it does not carry out (udp(7)). Here the
/// second send fails like that.
#[test]
fn a_datagram_that_is_refused_on_behalf_of_an_earlier_one_is_sent_again() {
    let server = Process::serve(&[]);
    let address = format!("udp://{}", server.udp[0]);
    let fault = "sendto:error=ECONNREFUSED:when=2";
    let Some(connected) = injected(fault, &["connect", &address]) else {
        return;
    };
    assert_eq!(code(&connected), 0, "{connected:?}");
    let replies = String::from_utf8(connected.stdout).unwrap();
    assert_eq!(replies, "one| lee\ntwo| lee\nthree| lee\n");
    let load = ["bench", "-n", "3", "--reply", "suffix:| lee", "--json", "-"];
    let output = injected(fault, &[&load[..], &[&address]].concat()).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let messages = &json["messages"];
    assert_eq!(
        (&messages["offered"], &messages["replied"]),
        (&3.into(), &3.into()),
        "{json}"
    );
    assert_eq!(json["udp"]["sent"], 3);
    assert_eq!(json["errors"][0]["kind"], "ECONNREFUSED");
}
