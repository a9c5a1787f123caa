//! Servers that fail, and a client that does: the verdict, its first sentence, and the exit code.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Process, program};
use super::support::serving::eventually;
use super::{code, run, text};

const MS: Duration = Duration::from_millis(1);

/// The first line of a report: its verdict; and the reasons that follow, in one line.
fn verdict(output: &Output) -> (String, String) {
    let report = text(output);
    let mut lines = report.lines();
    let verdict = lines.next().unwrap_or_default().split_whitespace().next();
    let reasons: Vec<&str> = lines
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    (verdict.unwrap_or_default().to_owned(), reasons.join(" "))
}

/// The server failed for this reason, and nothing else is suggested than what helps.
#[track_caller]
fn assert_server_failed(output: &Output, cause: &str) {
    let (verdict, reasons) = verdict(output);
    assert_eq!(verdict, "SERVER-FAILED", "{output:?}");
    assert!(reasons.contains(cause), "{cause}: {reasons}");
    assert!(!reasons.contains("--rate"), "{reasons}");
    assert_eq!(code(output), 5, "{output:?}");
}

/// A server on a thread for each connection, which is never waited for.
fn serve_each(serve: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Waits until a load has opened this number of sockets to `server`, however slowly it starts.
fn wait_for_load(scheme: &str, server: SocketAddr, sockets: usize) {
    let remote = format!(":{:04X}", server.port());
    eventually("the load has its sockets", || {
        let table = std::fs::read_to_string(format!("/proc/net/{scheme}")).unwrap();
        let remotes = table
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2));
        remotes.filter(|address| address.ends_with(&remote)).count() >= sockets
    });
}

/// Echoes messages of 64 bytes, this many.
fn echo(stream: &mut TcpStream, count: u32) {
    let mut bytes = [0; 64];
    for _ in 0..count {
        if stream.read_exact(&mut bytes).is_err() || stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

#[test]
fn a_server_that_is_killed_has_failed_in_every_kind_of_load() {
    for scheme in ["tcp", "udp"] {
        for rate in [&[][..], &["-R", "1k", "--slo", "p99<5ms"]] {
            let mut server = Process::serve(&["--udp-suffix", "", "--udp-answer-replies"]);
            let address = match scheme {
                "tcp" => server.tcp[0].to_string(),
                _ => format!("udp://{}", server.udp[0]),
            };
            let load = thread::spawn(move || {
                let times = [
                    "-c",
                    "4",
                    "-d",
                    "1500ms",
                    "--warmup",
                    "100ms",
                    "--timeout",
                    "1s",
                ];
                run("bench", &[&times, rate, &[&address]].concat())
            });
            let server_address = match scheme {
                "tcp" => server.tcp[0],
                _ => server.udp[0],
            };
            wait_for_load(scheme, server_address, 4);
            thread::sleep(600 * MS);
            server.child.kill().unwrap();
            let output = load.join().unwrap();
            // A closed loop of datagrams learns it with the next one, after its time limit.
            let cause = match (scheme, rate.is_empty()) {
                ("udp", true) => "The server ",
                _ => "The server was gone at the end: 4 of 4",
            };
            assert_server_failed(&output, cause);
            let missed = text(&output).contains("missed  p99<5ms");
            assert_eq!(missed, !rate.is_empty(), "{}", text(&output));
        }
    }
}

#[test]
fn a_server_that_closes_after_each_reply_suggests_churn_which_makes_it_valid() {
    let address = serve_each(|mut stream| echo(&mut stream, 1)).to_string();
    let output = run("bench", &["-c", "2", "-n", "1k", &address]);
    assert_server_failed(&output, "closes each connection after 1 reply");
    assert!(verdict(&output).1.contains("use --churn 1."), "{output:?}");
    let json = super::json(&["-c", "2", "-n", "1k", "--churn", "1", &address]);
    let messages = &json["messages"];
    assert_eq!(
        (&messages["replied"], &messages["failed"]),
        (&1_000.into(), &0.into())
    );
    assert_ne!(json["validity"]["verdict"], "server-failed", "{json}");
    // The next message is never sent on a connection that is about to be closed.
    assert_eq!(json["connections"]["churned"], 1_000);
}

#[test]
fn a_server_that_resets_or_closes_at_once_has_failed() {
    let reset = serve_each(|mut stream| {
        echo(&mut stream, 7);
        // Otherwise the next write may fail before any byte is taken, and its message is sent elsewhere.
        stream.read_exact(&mut [0]).unwrap_or_default();
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&stream).set_linger(linger).unwrap();
    });
    let output = run("bench", &["-c", "2", "-n", "400", &reset.to_string()]);
    assert_server_failed(&output, "closes each connection after 7 replies");
    let close = serve_each(drop).to_string();
    // Without a warm-up, the first messages are sent in the measured window on any machine.
    let output = run(
        "bench",
        &["-c", "2", "-d", "500ms", "--warmup", "0", &close],
    );
    assert_server_failed(&output, "The server replied to none of ");
}

/// Half of the connections are let in.
#[test]
fn a_server_that_refuses_from_some_point_on_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().take(40).flatten() {
            thread::spawn(move || echo(&mut { stream }, 50));
        }
    });
    let arguments = [
        "-c", "4", "-d", "1s", "--warmup", "0", "--churn", "50", &address,
    ];
    assert_server_failed(
        &run("bench", &arguments),
        "The server was gone at the end: 4 of 4",
    );
}

#[test]
fn a_server_that_stops_replying_is_silent_at_the_end_and_a_number_of_messages_is_given_up() {
    let address = serve_each(|mut stream| {
        echo(&mut stream, 500);
        thread::sleep(20_000 * MS);
    });
    let address = address.to_string();
    let times = [
        "--warmup",
        "0",
        "--timeout",
        "300ms",
        "--drain",
        "300ms",
        &address,
    ];
    let closed = run("bench", &[&["-c", "2", "-d", "1s"], &times[..]].concat());
    assert_server_failed(&closed, "The server stopped replying ");
    let open = run(
        "bench",
        &[&["-c", "2", "-d", "1s", "-R", "2k"], &times[..]].concat(),
    );
    assert_server_failed(&open, "The server stopped replying ");
    let counted = run("bench", &[&["-n", "1k"], &times[..]].concat());
    let cause = "without a reply: 499 of 1 000 messages were never sent";
    assert_server_failed(&counted, cause);
    let never = serve_each(|_stream| thread::sleep(20_000 * MS)).to_string();
    let output = run(
        "bench",
        &["-n", "10", "--timeout", "100ms", "--drain", "100ms", &never],
    );
    assert_server_failed(&output, "The server replied to none of 1 message");
}

/// Runs the load on a server of its own, and stops the client for a second of its two and a half.
fn stopped(arguments: &[&str]) -> Output {
    let server = Process::serve(&[]);
    let mut command = Command::new(program());
    command.args(["-q", "bench", "-c", "4", "-d", "2500ms", "--warmup", "0"]);
    command.args(arguments).arg(server.tcp[0].to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let signal = |name: &str| {
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success());
    };
    thread::sleep(700 * MS);
    signal("STOP");
    thread::sleep(1_000 * MS);
    signal("CONT");
    child.wait_with_output().unwrap()
}

#[test]
fn a_client_that_is_stopped_is_limited_and_the_server_is_not_blamed_for_timeouts() {
    for rate in [&[][..], &["-R", "1k"]] {
        let output = stopped(&[rate, &["--timeout", "500ms"]].concat());
        let (verdict, reasons) = verdict(&output);
        assert_eq!(verdict, "CLIENT-LIMITED", "{output:?}");
        assert!(reasons.contains("was late for its own timer"), "{reasons}");
        assert_eq!(code(&output), 5);
    }
}

/// A pause counts for every message that it delayed, and not only for the first of each connection.
#[test]
fn lag_counts_every_message_that_a_pause_has_delayed() {
    let output = stopped(&["-R", "1k", "--json", "-"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let p90 = json["latency_ns"]["lag"]["p"]["90"].as_u64().unwrap();
    assert!(p90 > 300_000_000, "a second of two and a half: {p90}");
    let paused = json["client"]["longest_pause_ns"].as_u64().unwrap();
    assert!((900_000_000..2_000_000_000).contains(&paused), "{paused}");
}

#[test]
fn exit_codes_follow_the_verdict_then_the_goals_and_accept_removes_the_first() {
    let address = serve_each(|mut stream| echo(&mut stream, 1)).to_string();
    let failing = |options: &[&str]| {
        let load = ["-c", "2", "-n", "300"];
        code(&run("bench", &[&load, options, &[&address]].concat()))
    };
    let all = "server-failed,client-limited,unstable,too-few-samples";
    assert_eq!(failing(&[]), 5);
    assert_eq!(failing(&["--slo", "max<1ns"]), 5);
    assert_eq!(failing(&["--accept", all]), 0);
    assert_eq!(failing(&["--accept", all, "--slo", "failures<1%"]), 3);
    let noise = "client-limited,unstable,too-few-samples";
    assert_eq!(failing(&["--failures-max", "60%", "--accept", noise]), 0);
    assert_eq!(failing(&["--accept", "fine"]), 2);
    let server = Process::serve(&["--fault", "corrupt:6400"]);
    let wrong = |options: &[&str]| {
        let address = server.tcp[0].to_string();
        code(&run(
            "bench",
            &[&["-n", "200"], options, &[&address]].concat(),
        ))
    };
    assert_eq!(wrong(&["--slo", "max<1ns"]), 4);
    assert_eq!(wrong(&["--accept", "mismatch"]), 0);
    assert_eq!(wrong(&["--accept", "mismatch", "--slo", "max<1ns"]), 3);
}

#[test]
fn a_run_that_a_signal_ends_has_the_exit_code_of_its_verdict() {
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let mut command = Command::new(program());
    command.args(["-q", "bench", "-R", "500", "-d", "10m", "--warmup", "0"]);
    command.args(super::NOISE).arg(&address);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    wait_for_load("tcp", server.tcp[0], 1);
    thread::sleep(600 * MS);
    let interrupt = |pid: u32| {
        let pid = pid.to_string();
        let kill = Command::new("kill").args(["-s", "INT", &pid]).status();
        assert!(kill.unwrap().success());
    };
    let started = Instant::now();
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(started.elapsed() < 5_000 * MS);
    let silent = serve_each(|_stream| thread::sleep(20_000 * MS));
    let mut command = Command::new(program());
    let options = ["-d", "10m", "--warmup", "0", "--drain", "100ms"];
    command
        .args(["-q", "bench"])
        .args(options)
        .arg(silent.to_string());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    wait_for_load("tcp", silent, 1);
    thread::sleep(500 * MS);
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(5));
}
