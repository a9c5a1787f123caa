//! The program itself: what it prints, what it does at a signal, how it ends.

#![allow(clippy::unwrap_used)]

#[path = "support/process.rs"]
mod process;
mod support;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use process::{Process, program};
use support::serving::{DEADLINE, eventually, fill, read_to_end, round_trip};

#[test]
fn it_listens_serves_drains_and_says_what_it_did() {
    let process = Process::serve(&[]);
    let client = process.connect();
    round_trip(&client, b"hello");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.send_to(b"hello", process.udp[0]).unwrap();
    let mut answer = [0; 99];
    assert_eq!(socket.recv(&mut answer).unwrap(), 10);
    assert_eq!(&answer[..10], b"hello| lee");
    process.signal("TERM");
    assert_eq!(read_to_end(&client), b"", "our side is shut");
    drop(client);
    let (code, out, err) = process.end();
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "1 client served (1 drained), 5 bytes in, 5 bytes out; 1 datagram in, 1 answered\n"
    );
}

#[test]
fn it_misbehaves_when_told_to_and_says_so() {
    let faults = ["delay:30ms", "udp-drop:100%", "stall:1ms@0"];
    let options = faults.iter().flat_map(|fault| ["--fault", fault]);
    let process = Process::serve(&options.chain(["--seed", "42"]).collect::<Vec<_>>());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"hello", process.udp[0]).unwrap();
    let client = process.connect();
    let start = Instant::now();
    round_trip(&client, b"hello");
    assert!(start.elapsed() >= Duration::from_millis(30), "too early");
    process.signal("TERM");
    drop(client);
    let (code, out, err) = process.end();
    assert_eq!(code, 0);
    assert!(
        out.ends_with("; faults: 1 stall, 1 answer dropped, 1 delayed\n"),
        "{out}"
    );
    let told = "faults are on: delay:30ms, udp-drop:100%, stall:1ms@0 (--seed 42)";
    assert!(err.contains(told) && err.lines().count() == 1, "{err}");
}

/// Its deadlines are those of one timer of the kernel, which is set when they change: a timeout of each poll would be armed
/// and taken back for every message.
#[test]
fn it_sleeps_by_one_timer_whatever_it_waits_for() {
    for options in [&[][..], &["--fault", "slice:1"], &["--fault", "delay:1ms"]] {
        let process = Process::serve(options);
        assert_eq!(process.descriptors("timerfd"), 1, "{options:?}");
        round_trip(&process.connect(), b"hello");
    }
}

#[test]
fn it_is_one_thread() {
    let process = Process::serve(&[]);
    let clients: Vec<_> = (0..50).map(|_| process.connect()).collect();
    for client in &clients {
        round_trip(client, b"x");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    assert!(status.contains("Threads:\t1\n"), "{status}");
}

/// Pitfall 4: a poll that a signal interrupts is no reason to stop, nor to spin.
#[test]
fn pitfall_04_being_stopped_and_continued_disturbs_nobody() {
    let process = Process::serve(&[]);
    let client = process.connect();
    for _ in 0..50 {
        process.signal("STOP");
        process.signal("CONT");
        round_trip(&client, b"still here");
    }
}

/// Pitfall 25: a registration lives as long as any duplicate of its socket, and a child that inherits
/// one would keep it alive.
#[test]
fn pitfall_25_no_descriptor_would_be_inherited() {
    const CLOEXEC: u32 = 0o2_000_000;
    let process = Process::serve(&[]);
    let client = process.connect();
    round_trip(&client, b"x");
    let proc = format!("/proc/{}", process.child.id());
    let mut sockets = 0;
    for entry in std::fs::read_dir(format!("{proc}/fd")).unwrap() {
        let entry = entry.unwrap();
        // Whatever else is open was inherited from whoever started the test.
        let target = std::fs::read_link(entry.path()).unwrap();
        if !target.to_str().unwrap().starts_with("socket:") {
            continue;
        }
        let descriptor = entry.file_name().into_string().unwrap();
        let info = std::fs::read_to_string(format!("{proc}/fdinfo/{descriptor}")).unwrap();
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        assert!(flags & CLOEXEC != 0, "descriptor {descriptor}: {info}");
        sockets += 1;
    }
    assert!(
        sockets >= 3,
        "a listener, a datagram socket and a client, at least"
    );
}

/// Pitfall 40: a second signal ends it at once, with the code a shell gives a process it killed.
#[test]
fn pitfall_40_a_second_signal_stops_it_at_once() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let process = Process::serve(&["--drain-timeout", "10m", "--idle-timeout", "0"]);
        let client = process.connect();
        round_trip(&client, b"x");
        // Owed something, so that the drain does not end by itself.
        fill(&client);
        process.signal(signal);
        eventually("it stops listening", || {
            TcpStream::connect(process.tcp[0]).is_err()
        });
        process.signal(signal);
        let (ended, out, _) = process.end();
        assert_eq!(ended, code);
        // Who looked whether it still listens may have been served too.
        assert!(
            out.contains("1 aborted)") && out.contains("bytes unsent"),
            "{out}"
        );
    }
}

#[test]
fn a_drain_that_runs_out_of_time_is_a_failure() {
    let process = Process::serve(&["--drain-timeout", "200ms"]);
    let client = process.connect();
    fill(&client);
    process.signal("TERM");
    let (code, out, err) = process.end();
    assert_eq!(code, 1);
    assert!(
        out.contains("(1 aborted)") && out.contains("bytes unsent"),
        "{out}"
    );
    assert!(
        err.contains("still being answered when the drain timeout ended: 1"),
        "{err}"
    );
}

/// Pitfall 30: at the limit of open files it neither spins nor stalls nor ends, and who waits is let
/// in when others leave, although nobody new knocks.
#[test]
fn pitfall_30_the_limit_of_open_files_is_survived() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 64; exec \"$0\" -qq serve --tcp 127.0.0.1:0 --udp 127.0.0.1:0 --max-conns 1000",
    ]);
    let process = Process::start(command.arg(program()));
    let clients: Vec<_> = (0..200).map(|_| process.connect()).collect();
    for client in &clients {
        (&mut &*client).write_all(b"hello").unwrap();
        client.set_nonblocking(true).unwrap();
    }
    let mut served = Vec::new();
    let mut waiting = clients;
    let take_served = |waiting: &mut Vec<TcpStream>| {
        let (answered, rest): (Vec<_>, Vec<_>) = std::mem::take(waiting)
            .into_iter()
            .partition(|client| matches!((&mut &*client).read(&mut [0; 5]), Ok(5)));
        *waiting = rest;
        answered
    };
    eventually("some are served", || {
        served.extend(take_served(&mut waiting));
        served.len() >= 45
    });
    // A limit of 64 leaves fewer than that for clients.
    let (ticks, start) = (process.cpu_ticks(), Instant::now());
    thread::sleep(Duration::from_secs(1));
    served.extend(take_served(&mut waiting));
    assert!(served.len() < 64, "{} are served", served.len());
    let (ticks, elapsed) = (process.cpu_ticks() - ticks, start.elapsed());
    assert!(
        ticks < elapsed.as_millis() as u64 / 10 / 2,
        "{ticks} ticks in {elapsed:?}: it spins"
    );
    for client in &served {
        client.set_nonblocking(false).unwrap();
        round_trip(client, b"connected clients are still served");
    }
    let inside = served.len();
    served.drain(..40);
    let mut let_in = Vec::new();
    eventually("forty of those who wait are let in", || {
        let_in.extend(take_served(&mut waiting));
        let_in.len() >= 40
    });
    drop((served, let_in));
    // And then everyone else, in turn.
    eventually("all are served", || {
        drop(take_served(&mut waiting));
        waiting.is_empty()
    });
    assert!(inside < 64);
}

/// As many clients as the limit of open files allows for, without being told, and that limit raised as
/// far as it goes.
#[test]
fn the_limit_of_open_files_is_raised_and_respected() {
    let serve = |limits: &str| {
        let mut command = Command::new("sh");
        let script = format!("{limits}; exec \"$0\" serve --tcp 127.0.0.1:0 --udp 127.0.0.1:0");
        Process::start(command.args(["-c", &script, program()]))
    };
    let process = serve("ulimit -Sn 64");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.child.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields[3], fields[4], "{line}");

    let process = serve("ulimit -n 40");
    let clients: Vec<_> = (0..50).map(|_| process.connect()).collect();
    let served = clients.iter().filter(|client| {
        (&mut &**client).write_all(b"x").is_ok()
            && matches!((&mut &**client).read(&mut [0; 1]), Ok(1))
    });
    assert_eq!(served.count(), 8, "forty, less those that are kept back");
    process.signal("TERM");
    drop(clients);
    let (_, out, err) = process.end();
    assert!(out.contains("42 rejected"), "{out}");
    let told = err
        .lines()
        .filter(|line| line.contains("at most 8 clients"))
        .count();
    assert_eq!(told, 1, "a peer can't flood the log: {err}");
}

#[test]
fn a_port_is_shared_only_by_those_who_ask_for_it() {
    let first = Process::serve(&["--reuse-port"]);
    let address = first.tcp[0].to_string();
    let serve = |options: &[&str]| {
        let mut command = Command::new(program());
        command
            .args(["-q", "serve", "--tcp", &address, "--udp", "127.0.0.1:0"])
            .args(options);
        command
    };
    let second = Process::start(&mut serve(&["--reuse-port"]));
    assert_eq!(second.tcp, first.tcp);
    let output = serve(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

/// A reader that has had enough is no failure: `echoloop serve --help | head -1`.
#[test]
fn a_closed_pipe_is_no_failure() {
    let script = "\"$0\" serve --help | true; echo ${PIPESTATUS:-0}; \"$0\" --help | head -n 1";
    let output = Command::new("sh")
        .args(["-c", script, program()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");

    // A server whose listening lines nobody reads any more goes on serving.
    let mut process = Process::serve(&[]);
    process.stdout = None;
    round_trip(&process.connect(), b"hello");
    process.signal("TERM");
    let (code, _, err) = process.end();
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn log_lines_can_be_json() {
    let mut command = Command::new(program());
    command.args([
        "--log-format",
        "json",
        "serve",
        "--tcp",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
    ]);
    command.args(["--stats-interval", "100ms"]);
    let process = Process::start(&mut command);
    thread::sleep(Duration::from_millis(350));
    process.signal("INT");
    let (code, _, err) = process.end();
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> = err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.iter().any(|line| {
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("0 connected; 0 clients")
    }));
    assert!(
        lines
            .iter()
            .any(|line| line["message"].as_str().unwrap().starts_with("draining"))
    );
}

/// Pitfall 43: nobody reads the log, and nobody is kept waiting for that.
#[test]
fn pitfall_43_a_log_that_nobody_reads_stops_nobody() {
    // Two lines each: more than a pipe and the queue hold.
    const CLIENTS: usize = 3_000;
    let mut command = Command::new(program());
    command.args([
        "-v",
        "serve",
        "--tcp",
        "127.0.0.1:0",
        "--udp",
        "127.0.0.1:0",
    ]);
    let mut process = Process::start(&mut command);
    for _ in 0..CLIENTS {
        round_trip(&process.connect(), b"x");
    }
    // Somebody reads it after all, and is told what is missing.
    let mut log = process.child.stderr.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    });
    process.signal("TERM");
    let status = process.child.wait().unwrap();
    assert!(status.success());
    let log = reader.join().unwrap();
    let dropped = log
        .lines()
        .find_map(|line| line.strip_suffix(" log lines were dropped: nobody read them"));
    let dropped: usize = dropped.expect("it says so").parse().unwrap();
    let written = log
        .lines()
        .filter(|line| line.ends_with("connected"))
        .count();
    assert!(dropped > 0 && written > 0 && written < CLIENTS);
}

/// With a second thread, each recv(2) and send(2) of glibc takes longer.
#[cfg(target_os = "linux")]
#[test]
fn server_that_has_logged_its_start_has_one_thread() {
    let mut command = Command::new(program());
    command.args(["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let process = Process::start(&mut command);
    round_trip(&process.connect(), b"x");
    let tasks = format!("/proc/{}/task", process.child.id());
    assert_eq!(std::fs::read_dir(tasks).unwrap().count(), 1);
    process.signal("TERM");
    let (code, _, log) = process.end();
    assert!(code == 0 && log.contains("memory: up to"), "{log}");
}

/// Root has every permission in `/proc`, but no program creates files there.
#[test]
fn trace_that_cannot_be_created_is_refused_before_the_server_listens() {
    let serve = ["-q", "serve", "--tcp", "127.0.0.1:0", "--no-udp"];
    // It must not run on if the trace is accepted.
    let output = Command::new("timeout")
        .args(["20", program()])
        .args(serve)
        .args(["--trace", "/proc/echoloop-trace.json"])
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{err}");
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("--trace /proc/echoloop-trace.json"), "{err}");
    assert!(err.contains("give another path"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}
