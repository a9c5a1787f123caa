//! `bench --greeting`: servers that speak first, such as SMTP.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use super::{bench, code, json, text};

/// An SMTP-like server: it sends a greeting, and replies to each line.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.write_all(b"220 ready\r\n");
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for _ in lines.map_while(Result::ok) {
                    if stream.write_all(b"250 ok\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

const LINES: [&str; 9] = [
    "-e",
    "-m",
    r"NOOP\r\n",
    "--reply",
    r"until:\r\n",
    "-n",
    "200",
    "--warmup",
    "0",
];

#[test]
fn smtp_server_is_measured_with_its_greeting() {
    let address = serve().to_string();
    let options = [
        "--greeting",
        r"until:\r\n",
        "-c",
        "3",
        "--idle",
        "2",
        "--churn",
        "7",
    ];
    let result = json(&[&LINES[..], &options, &[&address]].concat());
    assert_eq!(result["config"]["greeting"], "until");
    assert_eq!(result["messages"]["replied"], 200);
    assert_eq!(
        (&result["wrong_replies"], &result["errors"]),
        (&0.into(), &serde_json::json!([]))
    );
    // An idle connection shows it without the option: nothing is to come there.
    let result = json(&[&LINES[..], &["--idle", "1", &address]].concat());
    assert_eq!(result["config"].get("greeting"), None);
    assert_ne!(result["wrong_replies"], 0);
    let output = bench(&[&LINES[..], &["--idle", "1", &address]].concat());
    assert_eq!(code(&output), 4);
    let report = text(&output)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let remedy =
        r"If the server sends that before the first message, use -e --greeting 'until:\r\n'.";
    assert!(report.contains(remedy), "{report}");
}

#[test]
fn greeting_without_an_end_or_over_udp_is_a_usage_error() {
    for (arguments, part) in [
        (&["--greeting", "220", "127.0.0.1:9"][..], "until:"),
        (&["--greeting", "until:", "127.0.0.1:9"], "until:"),
        (
            &["--greeting", "until:x", "udp://127.0.0.1:9"],
            "--greeting is for TCP",
        ),
        (
            &["-e", "--greeting", r"until:\q", "127.0.0.1:9"],
            "backslash",
        ),
    ] {
        let output = bench(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(code(&output) == 2 && message.contains(part), "{message}");
    }
}
