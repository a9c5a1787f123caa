//! Sizes and counts that are more than the system can give.

use super::process::Process;
use super::{bench, code, json, run, text};

#[test]
fn buffer_sizes_beyond_an_int_are_usage_errors() {
    for (option, size, number) in [
        ("--rcvbuf", "4G", "4294967296"),
        ("--rcvbuf", "2G", "2147483648"),
        ("--sndbuf", "2147483648", "2147483648"),
        ("--sndbuf", "17179869183G", "18446744072635809792"),
    ] {
        for command in ["bench", "doctor"] {
            for server in ["127.0.0.1:1", "udp://127.0.0.1:1"] {
                let output = run(command, &[option, size, server]);
                let line = String::from_utf8(output.stderr.clone()).unwrap();
                assert_eq!(code(&output), 2, "{option} {size}: {line}");
                assert_eq!(line.trim_end().lines().count(), 1, "{line}");
                for part in [option, number, "2147483647"] {
                    assert!(line.contains(part), "{option} {size}: {line}");
                }
            }
        }
    }
}

/// No kernel gives so much: its own limit is half of it, because it doubles the size.
#[test]
fn buffer_sizes_that_the_kernel_caps_are_warnings() {
    let server = Process::serve(&["--udp-suffix", "", "--udp-answer-replies"]);
    let udp = format!("udp://{}", server.udp[0]);
    for address in [&server.tcp[0].to_string(), &udp] {
        for (option, parameter) in [("--rcvbuf", "rmem_max"), ("--sndbuf", "wmem_max")] {
            let run_ = [option, "2147483647", address];
            let json = json(&[&["-n", "1"][..], &run_].concat());
            let warnings = json["warnings"].to_string();
            assert!(
                warnings.contains(option) && warnings.contains(parameter),
                "{address}: {warnings}"
            );
            let told = text(&run("doctor", &run_));
            let noted = |line: &str| line.starts_with("note") && line.contains(parameter);
            assert!(told.lines().any(noted), "{told}");
        }
    }
    let json = json(&["-n", "1", "--rcvbuf", "8k", "--sndbuf", "8k", &udp]);
    assert!(!json["warnings"].to_string().contains("mem_max"), "{json}");
}

#[test]
fn counts_as_large_as_a_word_are_usage_errors() {
    let most = usize::MAX.to_string();
    for option in ["-c", "--idle", "-p"] {
        let output = bench(&["-c", "1", option, &most, "127.0.0.1:1"]);
        let (same, line) = (
            option == "-c",
            String::from_utf8(output.stderr.clone()).unwrap(),
        );
        assert!(code(&output) == 2, "{option}: {line}");
        assert!(same || line.contains("give"), "{option}: {line}");
    }
}

/// An address of another machine is a mistake in the arguments.
#[test]
fn a_source_of_another_machine_is_a_usage_error() {
    let output = bench(&["--source", "192.0.2.1", "127.0.0.1:1"]);
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(code(&output), 2, "{line}");
    assert!(line.contains("192.0.2.1"), "{line}");
}
