//! The longest datagrams, and lines and options that are longer.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;
mod support;

use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::thread;

use echoloop::Config;
use echoloop::service::Echo;
use program::{NOISE, program};
use support::serving::{Serving, config};

/// Loopback addresses of this machine, and the longest datagram to each in bytes.
fn longest() -> Vec<(IpAddr, usize)> {
    let all = [("127.0.0.1", 65_507), ("::1", 65_527)];
    let all = all.map(|(ip, longest)| (ip.parse().unwrap(), longest));
    let exists = |(ip, _): &(IpAddr, usize)| UdpSocket::bind((*ip, 0)).is_ok();
    all.into_iter().filter(exists).collect()
}

/// A pure echo of whole datagrams.
fn serve(ip: IpAddr) -> (Serving, String) {
    let config = Config {
        recv_size: (64 * 1024).try_into().unwrap(),
        udp_suffix: Vec::new(),
        udp: vec![SocketAddr::new(ip, 0).into()],
        ..config()
    };
    let serving = Serving::start(config, Echo);
    let target = format!("udp://{}", serving.udp[0]);
    (serving, target)
}

fn echoloop(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // The program may end before it has read everything.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

#[test]
fn line_that_is_too_long_is_refused_whole_and_nothing_is_sent_instead() {
    for (ip, longest) in longest() {
        for size in [longest + 1, 65_536, 65_537, 70_000, 1 << 20, 3 << 20] {
            let (serving, target) = serve(ip);
            let lines = [&vec![b'x'; size][..], b"\nnext\n"].concat();
            let output = echoloop(&["connect", &target], &lines);
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{error}");
            let shown = if size > 1 << 20 {
                ">1048576".to_owned()
            } else {
                size.to_string()
            };
            let reason = format!(
                "datagram 1 was not sent: it has {shown} bytes, and a datagram at most {longest}"
            );
            assert!(error.contains(&reason), "{error}");
            assert!(error.contains("1 of 2 datagrams"), "{error}");
            assert_eq!(output.stdout, b"next\n", "{size}");
            let counters = serving.finish().datagrams;
            assert_eq!(
                (counters.received, counters.received_bytes),
                (1, 4),
                "{size}"
            );
        }
    }
}

#[test]
fn longest_line_is_sent_and_its_reply_shown() {
    for (ip, longest) in longest() {
        let (serving, target) = serve(ip);
        let line = [&vec![b'x'; longest][..], b"\n"].concat();
        let output = echoloop(&["connect", &target], &line);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stdout, line);
        assert_eq!(serving.finish().datagrams.received_bytes, longest as u64);
    }
}

#[test]
fn sizes_beyond_the_longest_datagram_are_usage_errors() {
    for (ip, longest) in longest() {
        let (serving, target) = serve(ip);
        let (fits, exceeds) = (longest.to_string(), (longest + 1).to_string());
        let connect = |size| echoloop(&["connect", "--datagram-size", size, &target], b"hello");
        let bench = |size| {
            let bench = [&["bench", "-n", "2", "-s", size], &NOISE[..], &[&target]].concat();
            echoloop(&bench, b"")
        };
        for output in [connect(&exceeds), bench(&exceeds)] {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(error.contains(&exceeds) && error.contains(&fits), "{error}");
        }
        for output in [connect(&fits), bench(&fits)] {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{error}");
        }
        assert_eq!(serving.finish().datagrams.received, 3);
    }
}
