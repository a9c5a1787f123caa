//! SIGUSR1: the counters, in the log.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use super::process::Process;
use super::support::serving::{eventually, round_trip};
use super::{Running, echoloop};

#[test]
fn server_logs_its_counters_in_every_mode_however_quiet_it_is() {
    for mode in [
        &[][..],
        &["--watch"],
        &["--fault", "delay:1ms"],
        &["--console"],
        &["--reply", "discard"],
    ] {
        let mut command = echoloop(&["-qq", "serve", "--tcp", "127.0.0.1:0"]);
        command.args(["--udp", "127.0.0.1:0"]).args(mode);
        let mut server = Process::start(command.stdin(Stdio::piped()));
        let client = server.connect();
        if !mode.contains(&"--console") && !mode.contains(&"--reply") {
            round_trip(&client, b"hello");
        }
        let mut log = BufReader::new(server.child.stderr.take().unwrap());
        let (mut line, mut tries) = (String::new(), 0);
        // The client may not have been accepted yet.
        while !line.contains("1 connected; 1 client") {
            tries += 1;
            assert!(tries < 100, "{mode:?}: {line}");
            server.signal("USR1");
            line.clear();
            log.read_line(&mut line).unwrap();
        }
        assert!(line.contains("INFO") && line.contains(" in, "), "{line}");
        // It goes on.
        assert_eq!(server.child.try_wait().unwrap(), None);
    }
}

#[test]
fn load_logs_its_counters() {
    let server = Process::serve(&[]);
    let address = server.tcp[0].to_string();
    let load = [
        "-qq", "bench", "-c", "3", "-d", "10m", "--warmup", "0", &address,
    ];
    let mut load = Running::start(echoloop(&load).stderr(Stdio::piped()));
    let descriptors = format!("/proc/{}/fd", load.id());
    eventually("it is connected", || {
        // Three connections, and two sockets through which signals come.
        let targets = std::fs::read_dir(&descriptors).unwrap();
        let targets = targets.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets
            .filter(|target| target.to_str().unwrap().starts_with("socket:"))
            .count()
            >= 5
    });
    load.signal("USR1");
    let mut log = BufReader::new(load.0.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(
        line.contains("connected; in the measured window:"),
        "{line}"
    );
    load.signal("TERM");
    load.signal("INT");
    load.end();
}

/// Nothing is logged there, but nothing ends either.
#[test]
fn it_does_not_end_other_commands() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = echoloop(&["connect", &address]);
    let mut client = Running::start(command.stdin(Stdio::piped()));
    let _connection = listener.accept().unwrap();
    client.signal("USR1");
    client.signal("CONT");
    assert!(client.is_running());
    client.signal("TERM");
    assert_eq!(client.end(), Some(143));
}
