//! `--watch` together with results on standard output.

use std::process::Command;

use serde_json::Value;

use super::folder::Folder;
use super::process::{Process, program};
use super::terminal::Terminal;

/// A watched run at a terminal, with standard output in the file `out` if `redirected`.
fn watched(folder: &Folder, server: &Process, options: &str, redirected: bool) -> Terminal {
    let mut shell = Command::new("sh");
    let place = folder.0.display();
    let address = server.tcp[0];
    let redirection = if redirected { "> out" } else { "" };
    let script = format!(
        "cd '{place}' && exec {} -q bench --watch -d 700ms --warmup 0 {options} {address} {redirection}",
        program()
    );
    shell.args(["-c", &script]);
    Terminal::start(shell)
}

#[test]
fn watch_is_drawn_on_stderr_when_a_result_uses_stdout() {
    let (folder, server) = (Folder::new(), Process::serve(&[]));
    for option in ["--json -", "--csv -", "--hgrm -", "--hlog -", "--trace -"] {
        let mut terminal = watched(&folder, &server, option, true);
        terminal.shows("closed loop, 1 TCP connection");
        terminal.end();
        let screen = terminal.screen();
        assert!(screen.starts_with("echoloop bench 127.0.0.1:"), "{screen}");
        let out = folder.read("out");
        assert!(
            !out.contains('\x1b') && !out.contains("queue   ready"),
            "{option}: {out}"
        );
        match option {
            "--json -" | "--trace -" => drop(serde_json::from_str::<Value>(&out).unwrap()),
            "--csv -" => assert!(out.starts_with("end_ns,"), "{out}"),
            "--hlog -" => assert!(out.starts_with('#'), "{out}"),
            _ => assert!(out.contains("Percentile"), "{out}"),
        }
    }
}

#[test]
fn watch_and_a_result_at_one_terminal_are_refused() {
    let (folder, server) = (Folder::new(), Process::serve(&[]));
    let mut terminal = watched(&folder, &server, "--csv -", false);
    assert_eq!(terminal.end(), 2);
    let screen = terminal.screen();
    assert!(screen.contains("redirect standard output"), "{screen}");
}

#[test]
fn report_follows_the_last_view_after_a_blank_line() {
    let (folder, server) = (Folder::new(), Process::serve(&[]));
    let mut terminal = watched(&folder, &server, "", false);
    terminal.shows("client      busy");
    terminal.end();
    let screen = terminal.screen();
    let lines: Vec<&str> = screen.lines().collect();
    let verdict = lines
        .iter()
        .position(|line| line.contains("closed loop,"))
        .unwrap();
    assert!(
        lines[0].starts_with("echoloop bench") && lines[verdict - 1].is_empty(),
        "{screen}"
    );
    assert_eq!(screen.matches("echoloop bench").count(), 1, "{screen}");
}
