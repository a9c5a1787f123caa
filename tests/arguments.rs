//! What the program says to right and wrong arguments.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;

use std::net::TcpListener;
use std::process::{Command, Output};

use program::program;

fn run(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
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
fn mistakes_are_one_line_and_exit_2() {
    for (arguments, told) in [
        (&["serve", "--recv-size", "12q"][..], "12q"),
        (&["serve", "--recv-size", "0"], "give at least 1"),
        (&["serve", "--low-water", "64k"], "low-water 65536"),
        (&["serve", "--accept-rate", "fast"], "how many a second"),
        (
            &["serve", "--accept-rate", "0.0000000001"],
            "accept-rate 0.0000000001",
        ),
        (&["serve", "--over-limit", "evict"], "evict-idle"),
        (&["serve", "--first-byte-timeout", "5d"], "in seconds"),
        (&["serve", "--no-tcp", "--no-udp"], "nothing to listen on"),
        (&["serve", "--udp", ":0"], "--udp-public"),
        (&["serve", "--udp", "0.0.0.0:0"], "--udp-public"),
        (&["serve", "--fault", "stall:1s"], "stall:TIME@TIME"),
        (
            &["serve", "--fault", "udp-drop:60%", "--fault", "udp-dup:50%"],
            "at most 100%",
        ),
        (
            &["serve", "--fault", "slice:1", "--fault", "slice:2"],
            "twice",
        ),
        (
            &["serve", "--no-udp", "--fault", "udp-drop:1%"],
            "leave --no-udp out",
        ),
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
fn unknown_option_is_one_line_with_the_option_to_use() {
    for (arguments, line) in [
        (
            &["bench", "--port", "25555", "127.0.0.1"][..],
            "unexpected argument '--port': the server is an argument, such as 127.0.0.1:25555 (see --help)",
        ),
        (
            &["bench", "-t", "4", "127.0.0.1:1"],
            "unexpected argument '-t': the load runs on one thread; use -c N for the number of connections (see --help)",
        ),
        (
            &["bench", "--requets", "4", "127.0.0.1:1"],
            "unexpected argument '--requets' (see --help)",
        ),
        (
            &["bench", "--warmpu=4", "127.0.0.1:1"],
            "unexpected argument '--warmpu': did you mean --warmup? (see --help)",
        ),
        (
            &["serve", "--port", "1"],
            "unexpected argument '--port': use --tcp HOST:PORT and --udp HOST:PORT (see --help)",
        ),
    ] {
        let told = mistake(arguments);
        assert_eq!(told, (2, format!("echoloop: {line}\n")));
    }
}

#[test]
fn server_that_is_no_address_is_one_line_with_the_form() {
    for (server, told) in [
        (
            "localhost",
            "it has no port: write HOST:PORT, such as localhost:25555",
        ),
        ("udp://a", "such as udp://a:25555"),
        ("http://a:1", "http:// is not supported"),
        ("::1:1", "[::1]:25555"),
    ] {
        for command in ["bench", "connect", "doctor"] {
            let (code, line) = mistake(&[command, server]);
            assert_eq!(code, 2);
            assert!(
                line.contains(&format!("'{server}'")) && line.contains(told),
                "{line}"
            );
        }
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
    assert!(line.contains("no\\nsuch\\x07.invalid"), "{line}");

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
    for part in [
        "Examples:\n  echoloop serve",
        "\nFaults:\n",
        "serve --fault ",
    ] {
        assert!(help.contains(part), "{help}");
    }
}
