//! `echoloop serve --console`, as an operator sees it.

#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::serving::{DEADLINE, connect};
use terminal::{CTRL_C, CTRL_D, ENTER, TAB, Terminal, signal};

impl Terminal {
    /// A client connects, and the operator sees it come. It is number `number`.
    #[track_caller]
    fn admits(&self, number: u64) -> TcpStream {
        let client = connect(self.address("tcp"));
        let address = client.local_addr().unwrap();
        self.shows(&format!("#{number} connected from {address}\n"));
        client
    }
}

/// What the client is answered, which is `expected`.
#[track_caller]
fn hears(client: &mut TcpStream, expected: &str) {
    let mut answer = vec![0; expected.len()];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), expected);
}

/// The documents' exchange: the client speaks, the operator answers, and so on, until one has had enough.
#[test]
fn with_one_client_it_goes_step_by_step() {
    let mut operator = Terminal::console(&[]);
    let mut client = operator.admits(1);
    let address = client.local_addr().unwrap();
    client.write_all("你好".as_bytes()).unwrap();
    operator.ends_in(&["  #1 | 你好", "  #1 >>>"]);
    operator.enters("您是哪位？");
    hears(&mut client, "您是哪位？");
    client.write_all(b"nobody\n").unwrap();
    operator.ends_in(&[
        &format!("  #1 connected from {address}"),
        "  #1 | 你好",
        "  #1 >>> 您是哪位？",
        "  #1 | nobody",
        "  #1 >>>",
    ]);
    operator.enters("quit");
    operator.ends_in(&["  #1 >>> quit", "  #1 was hung up on", "     >>>"]);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);

    let client = operator.admits(2);
    drop(client);
    operator.ends_in(&["  #2 has left", "     >>>"]);
    operator.types(CTRL_C);
    assert_eq!(operator.end(), 0);
    operator.shows("2 clients served (1 peer closed, 1 hung up)");
    assert!(operator.is_as_found());
}

fn connect_program(address: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echoloop"));
    command
        .args(["connect", address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn three_clients_are_answered_out_of_turn_hung_up_on_and_killed() {
    let mut operator = Terminal::console(&[]);
    let address = operator.address("tcp").to_string();
    let mut clients = Vec::new();
    for number in 1..=3 {
        let mut client = connect_program(&address);
        let stdin = client.stdin.as_mut().unwrap();
        stdin
            .write_all(format!("I am {number}").as_bytes())
            .unwrap();
        operator.shows(&format!("#{number} | I am {number}"));
        clients.push(client);
    }
    let [mut first, mut second, mut third] = <[Child; 3]>::try_from(clients).unwrap();
    operator.ends_in(&["  #3 | I am 3", "  #1 >>>"]);
    operator.enters("/to 3 third");
    let mut answer = [0; 5];
    third
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut answer)
        .unwrap();
    assert_eq!(&answer, b"third");
    operator.ends_in(&["  #1 >>> /to 3 third", "  #1 >>>"]);
    operator.enters("first");
    operator.ends_in(&["  #1 >>> first", "  #2 said: I am 2", "  #2 >>>"]);
    let mut answer = [0; 5];
    first
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut answer)
        .unwrap();
    assert_eq!(&answer, b"first");

    signal(&third, "KILL");
    operator.shows("#3 has left");
    operator.enters("/hangup 2");
    operator.ends_in(&["  #2 was hung up on", "     >>>"]);
    assert!(second.wait().unwrap().success());
    operator.enters("/clients");
    operator.shows("  #1 127.0.0.1:");
    operator.enters("/to 2 anybody?");
    operator.ends_in(&[
        "     >>> /to 2 anybody?",
        "Nobody here is #2. /clients lists who is.",
        "     >>>",
    ]);
    operator.enters("/all that is all");
    let mut answer = [0; 11];
    first
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut answer)
        .unwrap();
    assert_eq!(&answer, b"that is all");
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    third.wait().unwrap();
    operator.shows("#1 has left");
    operator.types(CTRL_D);
    assert_eq!(operator.end(), 0);
}

/// A message that arrives appears above the prompt, which then names its sender, and what is being typed
/// stays, with the cursor where it was.
#[test]
fn what_is_being_typed_is_not_garbled() {
    let mut operator = Terminal::console(&[]);
    let mut client = operator.admits(1);
    operator.types("宽字 wide");
    operator.ends_in(&["     >>> 宽字 wide"]);
    let before = operator.cursor();
    client.write_all(b"one\ntwo").unwrap();
    operator.ends_in(&["  #1 | one", "  #1 | two", "  #1 >>> 宽字 wide"]);
    assert_eq!(operator.cursor(), (before.0 + 2, before.1));
    operator.types(ENTER);
    hears(&mut client, "宽字 wide");
}

/// Who would get the answer has gone by the time it is entered.
#[test]
fn an_answer_never_reaches_another_than_the_prompt_named() {
    let mut operator = Terminal::console(&[]);
    let (mut first, mut second) = (operator.admits(1), operator.admits(2));
    first.write_all(b"hello").unwrap();
    operator.shows("#1 | hello");
    second.write_all(b"hello from 2").unwrap();
    operator.ends_in(&["  #2 | hello from 2", "  #1 >>>"]);
    // With every client gone that the prompt could name, it names the next.
    socket2::SockRef::from(&first)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(first);
    operator.ends_in(&["  #2 said: hello from 2", "  #2 >>>"]);
    operator.enters("hello 2");
    hears(&mut second, "hello 2");
}

#[test]
fn a_half_closed_client_is_answered() {
    let mut operator = Terminal::console(&[]);
    let mut client = operator.admits(1);
    client.write_all(b"one question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    operator.ends_in(&[
        "  #1 | one question",
        "  #1 has said its last; an answer still reaches it",
        "  #1 >>>",
    ]);
    operator.enters("one answer");
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "one answer");
    operator.shows("#1 has left");
}

#[test]
fn lines_typed_ahead_answer_a_message_each() {
    let mut operator = Terminal::console(&[]);
    let mut clients: Vec<TcpStream> = (1..=3).map(|number| operator.admits(number)).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.write_all(b"?").unwrap();
        operator.shows(&format!("#{} | ?", index + 1));
    }
    operator.types("one\rtwo\rthree\r");
    for (client, answer) in clients.iter_mut().zip(["one", "two", "three"]) {
        hears(client, answer);
    }
}

/// What terminals obey, and what deceives: a person sees it written out.
#[test]
fn nothing_a_client_sends_acts_on_the_terminal() {
    let mut operator = Terminal::console(&[]);
    let mut client = operator.admits(1);
    let attack = "\x1b]0;owned\x07\x1b[2J\x1b[6n\u{9b}31m\u{202e}\r\n  #2 | forged\x08\x7f";
    client.write_all(attack.as_bytes()).unwrap();
    client.write_all(b" \xe4\xbd").unwrap();
    operator.shows(r"#1 | \x1b]0;owned\x07\x1b[2J\x1b[6n\u{9b}31m\u{202e}");
    operator.shows(r"#1 |   #2 | forged\x08\x7f");
    operator.enters("go on");
    hears(&mut client, "go on");
    client.write_all(b"\xa0").unwrap();
    operator.ends_in(&["  #1 | 你", "  #1 >>>"]);
    let bytes = operator.bytes();
    for forbidden in [
        &b"\x1b]"[..],
        b"\x1b[2J",
        b"\x1b[6n",
        b"\xc2\x9b",
        b"\x08",
        b"\x7f",
    ] {
        let found = bytes
            .windows(forbidden.len())
            .any(|window| window == forbidden);
        assert!(!found, "{forbidden:x?} reached the terminal");
    }
}

#[test]
fn datagrams_are_shown_and_answered_with_the_suffix() {
    let operator = Terminal::console(&[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket
        .send_to("数据报".as_bytes(), operator.address("udp"))
        .unwrap();
    let mut answer = [0; 99];
    let size = socket.recv(&mut answer).unwrap();
    assert_eq!(&answer[..size], "数据报| lee".as_bytes());
    operator.ends_in(&[&format!("udp {address} | 数据报"), "     >>>"]);
}

#[test]
fn commands_are_completed_and_lines_come_back() {
    let mut operator = Terminal::console(&[]);
    operator.types("/cl");
    operator.types(TAB);
    operator.ends_in(&["     >>> /clients"]);
    operator.types(ENTER);
    operator.ends_in(&["Nobody is connected.", "     >>>"]);
    operator.types("/h");
    operator.types(TAB);
    operator.types(TAB);
    operator.shows("/hangup   /help");
    operator.types("e");
    operator.types(TAB);
    operator.types(ENTER);
    operator.shows("//TEXT       answers with /TEXT");
    // The line before the last.
    operator.types("\x1b[A\x1b[A");
    operator.ends_in(&["     >>> /clients"]);
}

/// Pitfalls 41 and 43: nobody looks at the terminal, and it takes nothing more.
#[test]
fn pitfall_41_and_43_a_stopped_terminal_stops_nobody() {
    let mut operator = Terminal::console(&[]);
    let address = operator.address("tcp");
    let mut noisy = operator.admits(1);
    operator.stop();
    // More than the terminal, the queue and the console take.
    let (line, rounds) = ([b'x'; 1000], 3_000);
    noisy
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    for _ in 0..rounds {
        if noisy.write_all(&line).is_err() {
            break;
        }
    }
    drop(noisy);
    // Sixteen messages of one client wait for answers, then it is not read from: many come instead.
    for _ in 0..200 {
        let mut client = connect(address);
        for _ in 0..16 {
            client.write_all(&line).unwrap();
        }
    }
    // It is still served: whoever comes is let in, and the loop obeys a signal.
    let last = connect(address);
    operator.signal("TERM");
    let start = std::time::Instant::now();
    assert_eq!(operator.end(), 0);
    assert!(start.elapsed() < DEADLINE);
    drop(last);
}

#[test]
fn what_a_stopped_terminal_missed_is_counted_when_it_goes_on() {
    let mut operator = Terminal::console(&[]);
    operator.stop();
    let address = operator.address("udp");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    for _ in 0..4_000 {
        socket.send_to(&[b'x'; 900], address).unwrap();
        // Each is answered, so the loop does not wait.
        socket.recv(&mut [0; 1024]).unwrap();
    }
    operator.resume();
    operator.shows("lines were not shown: the screen could not keep up)");
    operator.types(CTRL_D);
    assert_eq!(operator.end(), 0);
    operator.shows("4000 datagrams in, 4000 answered");
}

#[test]
fn it_speaks_chinese_when_the_locale_does() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echoloop"));
    command
        .args(["serve", "--console", "--tcp", "127.0.0.1:0", "--no-udp"])
        .env("LC_ALL", "zh_CN.UTF-8");
    let operator = Terminal::start(command);
    operator.shows("/help 列出其他命令");
    let client = connect(operator.address("tcp"));
    operator.shows("#1 已接入，来自 ");
    drop(client);
    operator.shows("#1 离开了");
    let mut operator = Terminal::console(&["--lang", "zh"]);
    operator.enters("/clients");
    operator.shows("没有人在线。");
}

#[test]
fn the_log_is_shown_above_the_prompt() {
    let mut operator = Terminal::console(&["-v"]);
    operator.types("half a li");
    operator.ends_in(&["     >>> half a li"]);
    let client = connect(operator.address("tcp"));
    let address = client.local_addr().unwrap();
    operator.shows(&format!("{address} connected"));
    operator.ends_in(&["     >>> half a li"]);
}

#[test]
fn a_signal_ends_it_with_the_terminal_as_it_was() {
    let mut operator = Terminal::console(&[]);
    let client = operator.admits(1);
    operator.types("half a li");
    operator.ends_in(&["     >>> half a li"]);
    assert!(!operator.is_as_found());
    operator.signal("TERM");
    assert_eq!(operator.end(), 0);
    operator.shows("#1 was hung up on: the server stops");
    operator.shows("1 client served");
    assert!(operator.is_as_found());
    drop(client);
}

/// Without a terminal, each line of a script answers the message that is next.
#[test]
fn a_script_can_answer() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_echoloop"));
    command
        .args([
            "-q",
            "serve",
            "--console",
            "--tcp",
            "127.0.0.1:0",
            "--no-udp",
        ])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\nquit\n").unwrap();
    drop(stdin);
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let address = line.trim().strip_prefix("listening tcp://").unwrap();
    let mut client = connect(address.parse().unwrap());
    for answer in ["one", "two"] {
        client.write_all(b"?").unwrap();
        hears(&mut client, answer);
    }
    client.write_all(b"bye").unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    // The end of the script is not that of the server.
    let client = connect(address.parse().unwrap());
    assert_eq!(child.try_wait().unwrap(), None);
    drop(client);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    let mut shown = String::new();
    stdout.read_to_string(&mut shown).unwrap();
    assert!(shown.contains("  #1 | bye\n"), "{shown}");
    assert!(shown.contains("Nobody is left to answer"), "{shown}");
}
