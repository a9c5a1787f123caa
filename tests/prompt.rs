//! `echoloop connect` at a terminal, as a person sees it.

#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use echoloop::service::Echo;
use socket2::SockRef;
use support::serving::{DEADLINE, Serving, config, eventually};
use terminal::{CTRL_C, CTRL_D, ENTER, Terminal, program};

/// A listener for one client, and the program at a terminal, connected to it.
fn connected() -> (Terminal, TcpStream, SocketAddr) {
    connected_with(&[])
}

fn connected_with(options: &[&str]) -> (Terminal, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let person = Terminal::run(&[&["connect", &address.to_string()], options].concat());
    let (server, _) = listener.accept().unwrap();
    person.ends_in(&[
        &format!("Connected to {address}. quit, Ctrl-D or Ctrl-C leaves."),
        ">>>",
    ]);
    (person, server, address)
}

/// What the server is told, which is `expected`.
#[track_caller]
fn hears(server: &mut TcpStream, expected: &str) {
    let mut message = vec![0; expected.len()];
    server.read_exact(&mut message).unwrap();
    assert_eq!(String::from_utf8_lossy(&message), expected);
}

#[test]
fn a_person_says_something_and_is_answered() {
    let serving = Serving::start(config(), Echo);
    let mut person = Terminal::run(&["connect", &serving.tcp[0].to_string()]);
    person.ends_in(&[">>>"]);
    person.enters("hello");
    person.ends_in(&[">>> hello", "<<< hello", ">>>"]);
    person.enters("宽字 wide");
    person.ends_in(&[">>> 宽字 wide", "<<< 宽字 wide", ">>>"]);
    person.enters("quit");
    assert_eq!(person.end(), 0);
    person.ends_in(&[">>> quit", "Disconnected."]);
    assert!(person.is_as_found());
    assert_eq!(serving.finish().clients.closed.peer_closed, 1);
}

#[test]
fn a_line_is_sent_without_its_end_and_edited_before() {
    let (mut person, mut server, _) = connected();
    person.types("hxllo");
    // Back, and over the x.
    person.types("\x1b[D\x1b[D\x1b[D\x7fe");
    person.types(ENTER);
    person.enters("again");
    hears(&mut server, "helloagain");
    // The line before the last comes back.
    person.types("\x1b[A\x1b[A");
    person.types(ENTER);
    hears(&mut server, "hello");
}

#[test]
fn what_the_server_says_appears_above_what_is_being_typed() {
    let (mut person, mut server, _) = connected();
    person.types("宽字 half a li");
    person.ends_in(&[">>> 宽字 half a li"]);
    let before = person.cursor();
    server.write_all(b"first\nsecond\n").unwrap();
    person.ends_in(&["<<< first", "<<< second", ">>> 宽字 half a li"]);
    assert_eq!(person.cursor(), (before.0 + 2, before.1));
    person.enters("ne");
    hears(&mut server, "宽字 half a line");
}

#[test]
fn a_server_that_hangs_up_is_noticed_at_once() {
    let (mut person, server, _) = connected();
    person.types("half a li");
    person.ends_in(&[">>> half a li"]);
    drop(server);
    assert_eq!(person.end(), 0);
    person.ends_in(&[">>> half a li", "The server sends no more: disconnected."]);
    assert!(person.is_as_found());
}

#[test]
fn half_a_character_and_a_hang_up_are_both_shown() {
    let (mut person, mut server, _) = connected();
    server.write_all(b"half of \xe4\xbd").unwrap();
    person.shows("<<< half of");
    drop(server);
    assert_eq!(person.end(), 0);
    person.ends_in(&["<<< \\xe4\\xbd", "The server sends no more: disconnected."]);
}

#[test]
fn a_reset_is_said_in_a_line_of_its_own() {
    let (mut person, server, _) = connected();
    person.types("half a li");
    person.ends_in(&[">>> half a li"]);
    SockRef::from(&server)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(server);
    assert_eq!(person.end(), 1);
    person.ends_in(&[">>> half a li", "echoloop: the server reset the connection"]);
    assert!(person.is_as_found());
}

#[test]
fn a_server_that_stands_still_does_not_hold_up_who_types() {
    let operator = Terminal::console(&[]);
    let address = operator.address("tcp").to_string();
    let mut person = Terminal::run(&["connect", &address]);
    person.ends_in(&[">>>"]);
    operator.signal("STOP");
    person.enters("are you there?");
    person.enters("hello?");
    person.ends_in(&[">>> are you there?", ">>> hello?", ">>>"]);
    operator.signal("CONT");
    operator.shows("#1 | are you there?");
    operator.signal("STOP");
    person.types(CTRL_C);
    assert_eq!(person.end(), 0);
    operator.signal("CONT");
    operator.shows("#1 sends no more");
}

#[test]
fn control_d_and_control_c_leave() {
    for key in [CTRL_D, CTRL_C] {
        let (mut person, mut server, _) = connected();
        person.enters("hello");
        hears(&mut server, "hello");
        person.ends_in(&[">>> hello", ">>>"]);
        person.types(key);
        assert_eq!(person.end(), 0);
        person.shows("Disconnected.");
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        assert!(person.is_as_found());
    }
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let (mut person, _server, _) = connected();
        person.types("half a li");
        person.ends_in(&[">>> half a li"]);
        assert!(!person.is_as_found());
        person.signal(name);
        assert_eq!(person.end(), code);
        assert!(person.is_as_found(), "{name}");
    }
}

#[test]
fn nobody_there_is_one_line() {
    let nobody = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    nobody
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = nobody.local_addr().unwrap().as_socket().unwrap();
    let mut person = Terminal::run(&["connect", &address.to_string()]);
    assert_eq!(person.end(), 1);
    let expected = format!(
        "echoloop: cannot connect to {address}: refused: no program listens on that port, or a firewall rejects it\n"
    );
    person.shows(expected.trim_end());
    assert_eq!(person.screen().trim_end(), expected.trim_end());
    let mut person = Terminal::run(&["connect", &address.to_string(), "--lang", "zh"]);
    assert_eq!(person.end(), 1);
    person.shows("被拒绝，该端口没有程序监听");
}

#[test]
fn each_line_is_a_datagram_and_a_lost_one_is_said() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut person = Terminal::run(&["connect", &format!("udp://{address}"), "--wait", "200ms"]);
    person.ends_in(&[
        &format!("Each line goes to {address} as a datagram. quit, Ctrl-D or Ctrl-C leaves."),
        ">>>",
    ]);
    let mut room = [0; 99];
    person.enters("lost");
    let (size, client) = server.recv_from(&mut room).unwrap();
    assert_eq!(&room[..size], b"lost");
    person.ends_in(&[
        ">>> lost",
        "no answer to datagram 1: none came within 200ms",
        ">>>",
    ]);
    person.enters("你好");
    let (size, _) = server.recv_from(&mut room).unwrap();
    server.send_to(&room[..size], client).unwrap();
    person.ends_in(&[">>> 你好", "<<< 你好", ">>>"]);
    person.types(CTRL_D);
    assert_eq!(person.end(), 1);
    person.shows("echoloop: 1 of 2 datagrams got no answer");
}

/// Who has had enough does not wait for the answer that is still awaited.
#[test]
fn control_c_does_not_wait_for_an_answer() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut person = Terminal::run(&["connect", &format!("udp://{address}"), "--wait", "1h"]);
    person.ends_in(&[">>>"]);
    person.enters("hello");
    server.recv_from(&mut [0; 9]).unwrap();
    person.ends_in(&[">>> hello", ">>>"]);
    person.types(CTRL_C);
    assert_eq!(person.end(), 0);
}

/// A terminal that can't have text above the prompt still gets netcat's manners, without what could act on
/// it.
#[test]
fn a_dumb_terminal_is_written_to_as_it_is() {
    let serving = Serving::start(config(), Echo);
    let mut command = std::process::Command::new(program());
    command.args(["connect", &serving.tcp[0].to_string()]);
    let mut person = Terminal::start_as("dumb", command);
    person.types("hello \u{9b}2J\n");
    person.shows("hello \\u{9b}2J");
    person.types(CTRL_D);
    assert_eq!(person.end(), 0);
    serving.finish();
}

/// A key that is no text costs itself, and not the line.
#[test]
fn a_key_that_is_no_text_does_not_take_the_line_along() {
    let (mut person, mut server, _) = connected();
    person.types("transfer 100");
    person.ends_in(&[">>> transfer 100"]);
    person.presses(b"\xff");
    person.ends_in(&[
        ">>> transfer 100",
        "A key was no UTF-8 text, and is left out with what was typed right behind it.",
        ">>> transfer 100",
    ]);
    person.enters(" to bob");
    hears(&mut server, "transfer 100 to bob");
}

/// What is typed while no prompt is up is typed ahead: nothing of it is lost, echoed or taken for a signal.
#[test]
fn what_is_typed_ahead_is_not_lost() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut person = Terminal::run(&["connect", &format!("udp://{address}"), "--wait", "10ms"]);
    person.ends_in(&[">>>"]);
    // More lines than wait to be sent, and one longer than a terminal would hand over in its usual mode.
    let long = "x".repeat(6_000);
    for number in 0..25 {
        person.enters(&format!("line {number}"));
    }
    person.enters(&long);
    let mut room = [0; 9_000];
    for number in 0..25 {
        let size = server.recv(&mut room).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&room[..size]),
            format!("line {number}")
        );
    }
    assert_eq!(server.recv(&mut room).unwrap(), long.len());
    person.types(CTRL_D);
    assert_eq!(person.end(), 1);
    person.shows("26 of 26 datagrams got no answer");
}

/// A line that the terminal itself would fold could have rows that look like ours.
#[test]
fn each_row_of_a_long_line_is_marked() {
    let (person, mut server, _) = connected();
    let forged = format!(
        "{:76}{:80}hello",
        "", "The server sends no more: disconnected."
    );
    server.write_all(forged.as_bytes()).unwrap();
    person.ends_in(&[
        "<<< The server sends no more: disconnected.",
        "<<<     hello",
        ">>>",
    ]);
}

/// Pitfall 43: the terminal stands still, and the server has said more than it takes, and left.
#[test]
fn pitfall_43_a_stopped_terminal_does_not_keep_it_from_ending() {
    for hangs_up in [true, false] {
        let (mut person, server, _) = connected();
        person.stop();
        server.set_nonblocking(true).unwrap();
        let mut server = Some(server);
        for _ in 0..10_000 {
            // It takes no more once everything on the way is full.
            let _ = server.as_mut().unwrap().write(&[b'x'; 1000]);
        }
        if hangs_up {
            server = None;
        }
        person.signal("TERM");
        assert_eq!(person.end(), 143);
        drop(server);
    }
}

/// Whoever else has used the terminal meanwhile left it in other modes.
#[test]
fn a_stopped_and_continued_prompt_is_drawn_again() {
    let (mut person, mut server, _) = connected();
    person.types("half a li");
    person.ends_in(&[">>> half a li"]);
    person.signal("STOP");
    person.set_usual_modes();
    assert!(person.echoes());
    person.signal("CONT");
    person.waits_until_raw();
    person.enters("ne");
    hears(&mut server, "half a line");
    person.ends_in(&[">>> half a line", ">>>"]);
}

/// Replies belong to the datagrams in order, and one that is missing is the last.
#[test]
fn datagrams_without_reply_are_counted_when_several_await_one() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut person = Terminal::run(&["connect", &format!("udp://{address}"), "--wait", "500ms"]);
    person.ends_in(&[">>>"]);
    person.enters(&pasted("one\ntwo\nthree\n"));
    let mut room = [0; 99];
    let mut client = None;
    for _ in 0..3 {
        let (_, from) = server.recv_from(&mut room).unwrap();
        client = Some(from);
    }
    for reply in ["first", "second"] {
        server.send_to(reply.as_bytes(), client.unwrap()).unwrap();
    }
    person.shows("<<< second");
    person.shows("no answer to datagram 3: none came within 500ms");
    // Leaving waits for replies that are awaited still.
    person.enters(&pasted("four\nfive\nquit\n"));
    assert_eq!(person.end(), 1);
    person.shows("3 of 5 datagrams got no answer");
}

/// Whenever no prompt is there to read it: while lines wait to be sent, and while the rest is awaited.
#[test]
fn control_c_leaves_although_no_prompt_is_up() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut person = Terminal::run(&["connect", &format!("udp://{address}"), "--wait", "1h"]);
    person.ends_in(&[">>>"]);
    // Sixteen await replies and sixteen wait to be sent; with the next, the prompt does not come back.
    for number in 0..33 {
        person.enters(&format!("line {number}"));
    }
    person.ends_in(&[">>> line 32"]);
    person.waits_until_signals(true);
    person.types(CTRL_C);
    assert_eq!(person.end(), 130);
    assert!(person.is_as_found());

    let (mut person, mut server, _) = connected_with(&["--wait", "1h"]);
    person.enters("hello");
    hears(&mut server, "hello");
    person.enters("quit");
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "it has shut its side");
    eventually("the terminal is given back", || person.is_as_found());
    person.types(CTRL_C);
    assert_eq!(person.end(), 130);
}

/// What a terminal sends for pasted text.
fn pasted(text: &str) -> String {
    format!("\x1b[200~{text}\x1b[201~")
}

#[test]
fn each_pasted_line_is_a_datagram_without_its_end() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = server.local_addr().unwrap();
    let mut person = Terminal::run(&["connect", &format!("udp://{address}"), "--wait", "1h"]);
    person.ends_in(&[">>>"]);
    person.enters(&pasted("ping one\nping two\r\nthree\n"));
    person.enters("typed");
    let mut room = [0; 99];
    for expected in ["ping one", "ping two", "three", "typed"] {
        let size = server.recv(&mut room).unwrap();
        assert_eq!(String::from_utf8_lossy(&room[..size]), expected);
    }
}

#[test]
fn pasted_line_end_is_not_sent_twice() {
    let (mut person, mut server, _) = connected_with(&["--newline"]);
    person.enters(&pasted("GET\nHEAD\n"));
    person.enters("typed");
    hears(&mut server, "GET\nHEAD\ntyped\n");
}

#[test]
fn all_pasted_lines_are_sent_before_the_prompt_is_left() {
    let (mut person, mut server, _) = connected_with(&["--newline"]);
    let lines: String = (0..30).map(|number| format!("line {number}\n")).collect();
    person.enters(&pasted(&format!("{lines}quit\n")));
    let mut received = String::new();
    server.read_to_string(&mut received).unwrap();
    assert_eq!(received, lines);
    assert_eq!(person.end(), 0);
}

#[test]
fn lines_can_be_sent_with_their_ends() {
    let (mut person, mut server, _) = connected_with(&["--newline"]);
    person.enters("one");
    person.enters("two");
    hears(&mut server, "one\ntwo\n");
}
