//! `echoloop bench` and `echoloop doctor`, as a person or a script uses them.

#![allow(clippy::unwrap_used)]

mod destinations;
mod failures;
mod folder;
mod greeting;
mod injected;
mod limits;
mod outputs;
mod ports;
#[path = "../support/process.rs"]
mod process;
mod signals;
#[path = "../support/mod.rs"]
mod support;
// It has the path of the program in a module of its own, as `process` has.
#[allow(clippy::duplicate_mod)]
#[path = "../support/terminal.rs"]
mod terminal;
mod warnings;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};

use process::{NOISE, Process, program};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

fn run(command: &str, arguments: &[&str]) -> Output {
    let mut program = Command::new(program());
    program.args(["-q", command]).args(arguments);
    program.output().unwrap()
}

/// A run whose exit code does not depend on how busy this machine is.
fn bench(arguments: &[&str]) -> Output {
    run("bench", &[&NOISE, arguments].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a run comes to, as JSON.
fn json(arguments: &[&str]) -> Value {
    let output = bench(&[arguments, &["--json", "-"]].concat());
    let json: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_accounted(&json);
    json
}

/// The states of messages, as JSON names them.
const STATES: [&str; 11] = [
    "replied",
    "replied_late",
    "mismatched",
    "written",
    "connection_lost",
    "timed_out",
    "lost",
    "local_overflow",
    "unanswered_at_end",
    "shed",
    "never_sent",
];

/// Every message ended in one state, and the window is part of the run.
#[track_caller]
fn assert_accounted(json: &Value) {
    let messages = &json["messages"];
    let count = |name: &str| messages[name].as_u64().unwrap();
    let ended: u64 = STATES.map(count).iter().sum();
    assert_eq!(ended, count("offered"), "{messages}");
    assert!(count("sent_in_window") <= count("sent"), "{messages}");
    let time = |name: &str| json[name].as_u64().unwrap();
    assert!(time("measured_ns") <= time("length_ns"), "{json}");
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn temporary(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("{}-{name}", std::process::id()))
}

#[test]
fn the_verdict_comes_first_and_every_message_is_accounted_for() {
    let server = Process::serve(&[]);
    let output = bench(&["-c", "5", "-n", "2k", &server.tcp[0].to_string()]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(
        output.stderr.is_empty(),
        "no progress in a pipe: {output:?}"
    );
    let told = text(&output);
    let first = told.lines().next().unwrap();
    assert!(
        first.contains("closed loop, 5 TCP connections, 64 B, every byte verified"),
        "{told}"
    );
    let verdict = first.split("  ").next().unwrap();
    assert!(
        verdict.chars().all(|c| c.is_ascii_uppercase() || c == '-'),
        "{told}"
    );
    assert!(told.contains("2 000"), "{told}");
}

#[test]
fn files_of_every_kind_are_written_and_agree() {
    let server = Process::serve(&[]);
    let files = ["json", "hgrm", "hlog", "csv"].map(temporary);
    let paths = files.each_ref().map(|path| path.to_str().unwrap());
    let address = server.tcp[0].to_string();
    let output = bench(&[
        "-c",
        "4",
        "-R",
        "2k",
        "-d",
        "600ms",
        "--warmup",
        "100ms",
        "--interval",
        "200ms",
        "--json",
        paths[0],
        "--hgrm",
        paths[1],
        "--hlog",
        paths[2],
        "--csv",
        paths[3],
        "--label",
        "where=here",
        &address,
    ]);
    assert_eq!(code(&output), 0, "{output:?}");
    let read = files
        .each_ref()
        .map(|path| std::fs::read_to_string(path).unwrap());
    let json: Value = serde_json::from_str(&read[0]).unwrap();
    assert_eq!(json["messages"]["sent"], 1_200);
    assert_eq!(json["messages"]["replied"], 1_200);
    assert_eq!(json["config"]["labels"]["where"], "here");
    assert_eq!(json["latency_ns"]["response"]["count"], 1_200);
    assert!(json["latency_ns"]["response"]["p"]["99"].is_u64(), "{json}");
    assert!(
        json["latency_ns"]["response"]["p"]["99.9"].is_null(),
        "too few for it: {json}"
    );
    assert!(read[1].contains("1200"), "{}", read[1]);
    assert!(read[2].contains("HISTF"), "{}", read[2]);
    let rows: Vec<&str> = read[3].lines().collect();
    assert!(
        rows[0].starts_with("end_ns,") && rows.len() >= 3,
        "{rows:?}"
    );
    for path in &files {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_wrong_answer_is_exit_4_with_its_connection_and_place() {
    let server = Process::serve(&["--fault", "corrupt:6400"]);
    let output = bench(&["-n", "200", &server.tcp[0].to_string()]);
    assert_eq!(code(&output), 4);
    let told = text(&output);
    assert!(told.starts_with("MISMATCH  "), "{told}");
    assert!(
        told.contains("connection 0 (127.0.0.1:") && told.contains("byte 6 400"),
        "{told}"
    );
    let json = json(&["-n", "200", &server.tcp[0].to_string()]);
    assert_eq!(json["validity"]["verdict"], "mismatch");
    assert_eq!(json["mismatches"][0]["offset"], 6_400);
}

#[test]
fn writes_of_one_byte_each_are_no_error() {
    let server = Process::serve(&["--fault", "slice:1"]);
    let json = json(&[
        "-c",
        "3",
        "-n",
        "100",
        "-s",
        "1..300",
        &server.tcp[0].to_string(),
    ]);
    assert_eq!(json["messages"]["replied"], 100);
    assert_eq!(json["messages"]["mismatched"], 0);
    assert_eq!(json["errors"].as_array().unwrap().len(), 0);
}

#[test]
fn the_tutorials_suffix_is_recognised_and_its_remedy_told() {
    let server = Process::serve(&[]);
    let address = format!("udp://{}", server.udp[0]);
    let output = bench(&[
        "-n",
        "5",
        "--timeout",
        "100ms",
        "--drain",
        "100ms",
        &address,
    ]);
    assert_eq!(code(&output), 4);
    let words: Vec<String> = text(&output)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert!(
        words.join(" ").contains("--reply 'suffix:| lee'"),
        "{}",
        text(&output).replace('\n', " ")
    );
    let few = json(&["-n", "5", &address]);
    let reason = few["validity"]["reasons"][0].as_str().unwrap();
    assert!(
        reason.ends_with("so use --reply 'suffix:| lee'."),
        "{reason}"
    );
    let json = json(&["-n", "500", "--reply", "suffix:| lee", &address]);
    assert_eq!(json["udp"]["lost"], 0);
    assert_eq!(json["messages"]["replied"], 500);
}

/// What the server says it has done to datagrams is what the client says it has seen.
#[test]
fn lost_duplicate_and_reordered_datagrams_are_the_servers_own_count() {
    let server = Process::serve(&[
        "--fault",
        "udp-drop:1%",
        "--fault",
        "udp-dup:0.5%",
        "--fault",
        "udp-reorder:2%",
    ]);
    let address = format!("udp://{}", server.udp[0]);
    let json = json(&[
        "-c",
        "4",
        "-R",
        "8k",
        "-n",
        "16k",
        "--timeout",
        "300ms",
        "--reply",
        "suffix:| lee",
        &address,
    ]);
    server.signal("TERM");
    let (_, totals, _) = server.end();
    let told = |what: &str| {
        let before = totals.split(what).next().unwrap();
        let number = before.rsplit([' ', ',']).find(|word| !word.is_empty());
        number.unwrap().parse::<u64>().unwrap()
    };
    // What a busy machine's server had no room for did not reach it.
    let unseen = 16_000 - told(" datagrams in");
    assert_eq!(
        json["udp"]["lost"],
        told(" answers dropped") + unseen,
        "{totals}"
    );
    assert_eq!(json["udp"]["duplicate"], told(" sent twice"), "{totals}");
    assert_eq!(json["udp"]["reordered"], told(" out of order"), "{totals}");
    assert_eq!(json["udp"]["corrupt"], 0);
}

/// A second in which the server stands still: the schedule sees it, and who waits for answers does not.
#[test]
fn a_stall_is_seen_by_the_open_loop_and_hidden_by_the_closed_one() {
    let p99 = |json: &Value, what: &str| json["latency_ns"][what]["p"]["99"].as_u64().unwrap();
    let run = |rate: &[&str]| {
        let server = Process::serve(&["--fault", "stall:600ms@1s"]);
        let address = server.tcp[0].to_string();
        json(
            &[
                &["-c", "4", "-d", "3s", "--warmup", "200ms"],
                rate,
                &[&address],
            ]
            .concat(),
        )
    };
    let open = run(&["-R", "1k"]);
    let closed = run(&[]);
    // A fifth of the messages were due while it stood still; all but four of them waited for their turn.
    assert!(p99(&open, "response") > 400_000_000, "{open}");
    assert!(p99(&open, "service") < p99(&open, "response") / 2, "{open}");
    assert!(
        p99(&closed, "service") < p99(&open, "response") / 2,
        "{closed}"
    );
}

#[test]
fn goals_are_met_or_missed() {
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let run = ["-n", "500", "--slo", "failures<1%", &address];
    assert_eq!(code(&bench(&run)), 0);
    let output = bench(&[&["--slo", "max<1ns"][..], &run].concat());
    assert_eq!(code(&output), 3);
    assert!(text(&output).contains("missed"), "{}", text(&output));
}

#[test]
fn what_makes_no_sense_is_one_line_and_exit_2() {
    for (arguments, told) in [
        (&["-c", "0", "127.0.0.1:1"][..], "at least 1"),
        (&["-d", "0", "127.0.0.1:1"], "some time"),
        (&["-d", "5sec", "127.0.0.1:1"], "'5sec'"),
        (&["-d", "5sec", "127.0.0.1:1"], "500ms"),
        (&["-R", "fast", "127.0.0.1:1"], "20k"),
        (&["-s", "1k..64", "127.0.0.1:1"], "64..1k"),
        (&["-s", "0", "127.0.0.1:1"], "0 bytes"),
        (&["-s", "70k", "udp://127.0.0.1:1"], "65507"),
        (&["--slo", "p99=5ms", "127.0.0.1:1"], "p99=5ms"),
        (&["--reply", "shout", "127.0.0.1:1"], "suffix:TEXT"),
        (&["-m", r"\q", "-e", "127.0.0.1:1"], r"\xHH"),
        (&["-m", "@/no/such/file", "127.0.0.1:1"], "/no/such/file"),
        (&["-R", "1k", "--think", "1ms", "127.0.0.1:1"], "--think"),
        (&["--deadline", "1s", "127.0.0.1:1"], "--rate"),
        (&["-d", "1s", "-n", "5", "127.0.0.1:1"], "--messages"),
        (&["127.0.0.1:1", "udp://127.0.0.1:1"], "two loads"),
        (&["--source", "::1", "127.0.0.1:1"], "IPv4 or IPv6"),
        (&["--churn", "1", "udp://127.0.0.1:1"], "--churn"),
        (&["-c", "1M", "127.0.0.1:1"], "limit of open files"),
        (
            &["--server-pid", "4294967295", "127.0.0.1:1"],
            "no such process",
        ),
        (&["--percentiles", "101", "127.0.0.1:1"], "101"),
        (&[], "SERVER"),
    ] {
        let output = bench(arguments);
        let line = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(code(&output), 2, "{arguments:?}: {line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        assert!(line.contains(told), "{arguments:?}: {line}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_server_that_is_not_there_is_one_line_and_exit_1() {
    // Bound, so that nobody else gets the port, and not listening.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).unwrap();
    let nobody = socket.local_addr().unwrap().as_socket().unwrap();
    let output = bench(&["-c", "3", &nobody.to_string()]);
    assert_eq!(code(&output), 1);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        line.ends_with("refused: no program listens on that port, or a firewall rejects it\n"),
        "{line}"
    );
    let output = run("doctor", &[&nobody.to_string()]);
    assert_eq!(code(&output), 1);
    assert!(text(&output).contains("FAILS server"), "{}", text(&output));
}

#[test]
fn a_doctor_says_what_can_be_done_and_what_would_help() {
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let output = run("doctor", &["-c", "10", &address]);
    assert_eq!(code(&output), 0, "{output:?}");
    for what in ["descriptors", "ports", "backlog", "cores", "cpu", "server"] {
        assert!(text(&output).contains(what), "{}", text(&output));
    }
    let output = run("doctor", &["-c", "1M", &address]);
    assert_eq!(code(&output), 1);
    assert!(
        text(&output).contains("--source 127.0.0.1-127.0.0."),
        "{}",
        text(&output)
    );
}
