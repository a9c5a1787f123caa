//! Which rows a terminal shows: none of a peer looks like a row of someone else.

#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use support::serving::{DEADLINE, connect};
use terminal::{CTRL_C, ENTER, Terminal, program};

const CONSOLE: &str = "serve --console --tcp 127.0.0.1:0 --no-udp";

/// The program at a terminal of a kind, by a line for a shell.
fn run(kind: &str, arguments: &str) -> Terminal {
    let mut command = Command::new("sh");
    let line = format!("exec {} {arguments}", program());
    command.args(["-c", &line]).env("LC_ALL", "C");
    Terminal::start_as(kind, command)
}

/// The rows of the screen that contain `text`.
fn rows_with(terminal: &Terminal, text: &str) -> Vec<String> {
    terminal.shows(text);
    let screen = terminal.screen();
    let rows = screen.lines().filter(|row| row.contains(text));
    rows.map(str::to_owned).collect()
}

#[test]
fn long_line_of_a_client_is_wrapped_by_the_console_in_every_mode() {
    for (kind, input) in [("xterm", ""), ("xterm", "</dev/null"), ("dumb", "")] {
        let operator = run(kind, &format!("{CONSOLE} {input}"));
        operator.shows("listening tcp://");
        let mut client = connect(operator.address("tcp"));
        // A row that is forged by blanks alone, if the terminal wraps the line.
        let text = format!("hello{:68}  #2 | forged", "");
        client.write_all(text.as_bytes()).unwrap();
        let rows = rows_with(&operator, "forged");
        assert_eq!(rows, ["     |   #2 | forged"], "{kind} {input}");
    }
}

#[test]
fn long_line_of_a_server_is_wrapped_by_connect_in_every_mode() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for (kind, input) in [("xterm", ""), ("xterm", "</dev/null"), ("dumb", "")] {
        let person = run(kind, &format!("connect {address} {input}"));
        let (mut server, _) = listener.accept().unwrap();
        // A row that is forged by blanks alone, if the terminal wraps the line.
        let text = format!("hello{:75}echoloop: forged\n", "");
        server.write_all(text.as_bytes()).unwrap();
        let rows = rows_with(&person, "forged");
        assert_eq!(rows, ["<<<     echoloop: forged"], "{kind} {input}");
    }
}

#[test]
fn characters_that_terminals_disagree_about_forge_no_row() {
    let operator = run("xterm", CONSOLE);
    operator.shows(">>>");
    let mut client = connect(operator.address("tcp"));
    for c in ['\u{cc0}', '\u{302e}', '\u{3248}'] {
        let line = format!("{}  #2 | forged", String::from(c).repeat(120));
        client.write_all(line.as_bytes()).unwrap();
        operator.shows("forged");
        let first_row = 80 - "  #1 | ".len();
        let shown = String::from_utf8(operator.bytes()).unwrap();
        // A terminal that gives each of them as many columns as any does has room for the row.
        let width = if c == '\u{cc0}' { 1 } else { 2 };
        let longest = shown
            .lines()
            .map(|row| row.matches(c).count())
            .max()
            .unwrap();
        assert!(longest <= first_row / width, "{c:?}: {longest} in a row");
    }
}

#[test]
fn notice_of_connect_does_not_begin_with_the_mark_of_the_server() {
    let server = UdpSocket::bind("127.100.200.100:0").unwrap();
    let address = server.local_addr().unwrap();
    let person = Terminal::run(&["connect", &format!("udp://{address}")]);
    person.shows(">>>");
    person.shows("leaves.");
    assert!(!person.screen().contains("<<<"), "{}", person.screen());
    // The sentence is wrapped between words.
    let screen = person.screen();
    let words = screen.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("Ctrl-D or Ctrl-C leaves."), "{screen}");
}

#[test]
fn one_message_takes_a_bounded_number_of_rows_of_the_console() {
    let operator = run("xterm", CONSOLE);
    operator.shows(">>>");
    let mut client = connect(operator.address("tcp"));
    client.write_all(&[b'\n'; 1000]).unwrap();
    operator.shows("more characters are left out");
    let shown = String::from_utf8(operator.bytes()).unwrap();
    let rows = shown.matches("  #1 | ").count();
    assert!((1..=20).contains(&rows), "{rows} rows");
}

#[test]
fn auto_wrap_is_on_again_however_the_program_ends() {
    for end in ["TERM", "INT", "HUP", CTRL_C, "quit"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut person = Terminal::run(&["connect", &address]);
        person.shows(">>>");
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(&[b'x'; 10_000]).unwrap();
        person.shows("<<< xxx");
        match end {
            CTRL_C => person.types(CTRL_C),
            "quit" => {
                person.types("quit");
                person.types(ENTER);
            }
            name => person.signal(name),
        }
        person.end();
        let shown = String::from_utf8(person.bytes()).unwrap();
        let (off, on) = (shown.rfind("\x1b[?7l"), shown.rfind("\x1b[?7h"));
        assert!(off.is_some() && off < on, "{end}: {off:?}, {on:?}");
    }
}

#[test]
fn dumb_terminal_gets_no_control_sequence() {
    let operator = run("dumb", CONSOLE);
    operator.shows("listening tcp://");
    let mut client = connect(operator.address("tcp"));
    client.write_all(b"hello").unwrap();
    operator.shows("  #1 | hello");
    assert!(!operator.bytes().contains(&0x1b));
}

/// A terminal emulator with a table of its own.
struct Tmux {
    socket: String,
}

impl Tmux {
    fn start(name: &str, command: &str) -> Self {
        let socket = format!("echoloop-rows-{name}-{}", std::process::id());
        let tmux = Self { socket };
        tmux.run(&[
            "-f",
            "/dev/null",
            "-u",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            command,
        ]);
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket, "-u"]).args(arguments);
        let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn screen_with(&self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let screen = self.run(&["capture-pane", "-p"]);
            if screen.contains(text) {
                return screen;
            }
            assert!(start.elapsed() < DEADLINE, "no {text:?} in\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// Whether a terminal emulator is there. Without one the test is skipped, which CI does not allow.
fn has_tmux() -> bool {
    if Command::new("tmux").arg("-V").output().is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("ECHOLOOP_REQUIRE_TMUX").is_none(),
        "tmux is not installed, and ECHOLOOP_REQUIRE_TMUX is set: install it"
    );
    // Not by a macro: their output is not shown if a test passes.
    let _ = std::io::stderr().write_all(b"skipped: tmux is not installed\n");
    false
}

/// Whether the row of a client begins with its whole mark.
fn is_marked(row: &str) -> bool {
    let Some((mark, _)) = row.split_once('|') else {
        return false;
    };
    let number = mark.trim_start().strip_prefix('#').map(str::trim_end);
    let is_number = number.is_some_and(|number| number != "99" && number.parse::<u32>().is_ok());
    mark.len() == "     ".len() && (is_number || mark.trim().is_empty())
}

#[test]
fn no_row_of_a_terminal_emulator_is_forged() {
    if !has_tmux() {
        return;
    }
    for (name, shell) in [
        ("editor", ""),
        ("dumb", "TERM=dumb"),
        ("redirected", "</dev/null"),
    ] {
        let command = format!("{shell} exec {} {CONSOLE}", program());
        let command = match shell.strip_prefix('<') {
            Some(_) => format!("exec {} {CONSOLE} {shell}", program()),
            None => command.replace("exec ", "").trim_start().to_owned(),
        };
        let tmux = Tmux::start(name, &command);
        let screen = tmux.screen_with("listening tcp://");
        let line = screen
            .lines()
            .find_map(|row| row.strip_prefix("listening tcp://"));
        let address = line.unwrap().trim().parse().unwrap();
        let mut number = 0;
        for c in [
            "\u{cc0}",
            "\u{302e}",
            "\u{3248}",
            " ",
            "👩\u{200d}👩",
            "é",
            "❤\u{fe0f}",
            "x\u{200d}",
            "x\u{200c}",
        ] {
            let mut client: TcpStream = connect(address);
            // At one of these lengths the forged part begins a row, unless we wrap the line.
            for count in [36, 37, 72, 73] {
                let text = format!("{} #99 | forged", c.repeat(count));
                client.write_all(text.as_bytes()).unwrap();
            }
            // Of another client: the text and its end could be read as one message, and be shortened.
            number += 1;
            let end = format!("end {number}.");
            let mut other: TcpStream = connect(address);
            other.write_all(end.as_bytes()).unwrap();
            let screen = tmux.screen_with(&end);
            let forged = screen
                .lines()
                .find(|row| row.contains('|') && !is_marked(row) || row.trim().starts_with("#99"));
            assert_eq!(forged, None, "{name} {c:?}\n{screen}");
            tmux.run(&["clear-history"]);
        }
    }
}
