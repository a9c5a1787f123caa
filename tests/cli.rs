//! The program itself: what it prints, what it does at a signal, how it ends.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::serving::{DEADLINE, connect, eventually, fill, read_to_end, round_trip};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echoloop");

/// A server process. It is killed when the test is done with it, however that comes.
struct Process {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    tcp: Vec<SocketAddr>,
    udp: Vec<SocketAddr>,
}

impl Process {
    /// Starts `echoloop serve` on free ports of loopback and waits until it can be reached.
    fn serve(options: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command
            .args([
                "-q",
                "serve",
                "--tcp",
                "127.0.0.1:0",
                "--udp",
                "127.0.0.1:0",
            ])
            .args(options);
        Self::start(&mut command)
    }

    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self {
            child,
            stdout: None,
            tcp: Vec::new(),
            udp: Vec::new(),
        };
        for _ in 0..2 {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if let Some(address) = line.strip_prefix("listening tcp://") {
                process.tcp.push(address.parse().unwrap());
            } else if let Some(address) = line.strip_prefix("listening udp://") {
                process.udp.push(address.parse().unwrap());
            } else {
                panic!("{line:?}");
            }
        }
        process.stdout = Some(stdout);
        process
    }

    fn connect(&self) -> TcpStream {
        connect(self.tcp[0])
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end; returns the exit code, and what was printed after the listening lines.
    fn end(mut self) -> (i32, String, String) {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(start.elapsed() < DEADLINE, "the program does not end"),
            }
            thread::sleep(Duration::from_millis(2));
        };
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_string(&mut out).unwrap();
        }
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (status.code().expect("an exit code, not a signal"), out, err)
    }

    /// User and system time used so far, in clock ticks of 10 ms.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

/// What a mistake comes to: nothing on stdout, one line on stderr, an exit code.
fn mistake(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    assert!(output.stdout.is_empty());
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    (output.status.code().unwrap(), line)
}

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
    let process = Process::start(command.arg(PROGRAM));
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
        Process::start(command.args(["-c", &script, PROGRAM]))
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
        .filter(|line| line.contains("--max-conns is 8"))
        .count();
    assert_eq!(told, 1, "a peer can't flood the log: {err}");
}

#[test]
fn a_port_is_shared_only_by_those_who_ask_for_it() {
    let first = Process::serve(&["--reuse-port"]);
    let address = first.tcp[0].to_string();
    let serve = |options: &[&str]| {
        let mut command = Command::new(PROGRAM);
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

#[test]
fn mistakes_are_one_line_and_exit_2() {
    for (arguments, told) in [
        (&["serve", "--recv-size", "12q"][..], "12q"),
        (&["serve", "--recv-size", "0"], "give at least 1"),
        (&["serve", "--low-water", "64k"], "low-water 65536"),
        (&["serve", "--no-tcp", "--no-udp"], "nothing to listen on"),
        (&["serve", "--udp", ":0"], "--udp-public"),
        (&["serve", "--udp", "0.0.0.0:0"], "--udp-public"),
        (&["serve", "--frobnicate"], "--frobnicate"),
        (&["swerve"], "swerve"),
        (&["serve", "--tcp", "a\nb:80:"], "'a b:80:'"),
        (&[], "subcommand"),
    ] {
        let (code, line) = mistake(arguments);
        assert_eq!(code, 2, "{line}");
        assert!(
            line.starts_with("echoloop: ") && line.contains(told),
            "{line}"
        );
    }
}

#[test]
fn what_the_system_refuses_is_one_line_and_exit_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, line) = mistake(&["serve", "--tcp", &address, "--no-udp"]);
    assert_eq!(code, 1);
    assert!(
        line.contains(&format!("tcp://{address}")) && line.contains("the port is taken"),
        "{line}"
    );

    let (code, line) = mistake(&["serve", "--tcp", "no-such-host.invalid:1", "--no-udp"]);
    assert_eq!(code, 1);
    assert!(
        line.contains("no-such-host.invalid") && line.contains("check the name"),
        "{line}"
    );

    let (code, line) = mistake(&["serve", "--tcp", "no\nsuch\u{7}.invalid:1", "--no-udp"]);
    assert_eq!(code, 1);
    assert!(line.contains("no\\nsuch\\u{7}.invalid"), "{line}");

    // Documentation addresses (RFC 5737) are no machine's.
    let (code, line) = mistake(&["serve", "--tcp", "192.0.2.1:0", "--no-udp"]);
    assert_eq!(code, 1);
    assert!(
        line.contains("tcp://192.0.2.1:0") && line.contains("no such address"),
        "{line}"
    );
}

#[test]
fn help_and_version_are_asked_for_and_succeed() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        let output = run(arguments);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{arguments:?}"
        );
        assert!(!output.stdout.is_empty());
    }
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    assert!(help.contains("Examples:\n  echoloop serve"), "{help}");
}

/// A reader that has had enough is no failure: `echoloop serve --help | head -1`.
#[test]
fn a_closed_pipe_is_no_failure() {
    let script = "\"$0\" serve --help | true; echo ${PIPESTATUS:-0}; \"$0\" --help | head -n 1";
    let output = Command::new("sh")
        .args(["-c", script, PROGRAM])
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
    let mut command = Command::new(PROGRAM);
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
