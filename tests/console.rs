//! `echoloop serve --console`, as an operator sees it.

#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use support::serving::{DEADLINE, connect};
use terminal::{CTRL_C, CTRL_D, CTRL_R, ENTER, TAB, Terminal, program, signal};

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
    operator.ends_in(&["  #1 >>> quit", "  #1 was disconnected", "     >>>"]);
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
    let mut command = Command::new(program());
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
    operator.ends_in(&["  #2 was disconnected", "     >>>"]);
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

fn reset(client: TcpStream) {
    socket2::SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Two clients have asked, and the prompt names the first.
fn two_questions(operator: &Terminal) -> (TcpStream, TcpStream) {
    let (mut first, mut second) = (operator.admits(1), operator.admits(2));
    first.write_all(b"hello").unwrap();
    operator.shows("#1 | hello");
    second.write_all(b"hello from 2").unwrap();
    operator.ends_in(&["  #2 | hello from 2", "  #1 >>>"]);
    (first, second)
}

/// Who an answer was begun for has gone by the time it is entered.
#[test]
fn an_answer_never_reaches_another_than_it_was_begun_for() {
    let mut operator = Terminal::console(&[]);
    let (first, mut second) = two_questions(&operator);
    operator.types("secret for one");
    operator.ends_in(&["  #1 >>> secret for one"]);
    reset(first);
    operator.ends_in(&["  #2 said: hello from 2", "  #1 >>> secret for one"]);
    operator.types(ENTER);
    operator.ends_in(&[
        "  #1 >>> secret for one",
        "  #1 no longer waits for that answer: nothing was sent",
        "  #2 >>>",
    ]);
    operator.enters("hello 2");
    hears(&mut second, "hello 2");
}

/// While the history is searched nothing else is drawn, until a key is pressed.
#[test]
fn an_answer_found_in_the_history_never_reaches_another_than_the_prompt_named() {
    for accept_first in [false, true] {
        let mut operator = Terminal::console(&[]);
        operator.enters("secret for one");
        operator.shows("Nobody waits for an answer.");
        let (first, mut second) = two_questions(&operator);
        operator.types(CTRL_R);
        operator.types("secret");
        operator.shows("(reverse-i-search)`secret': secret for one");
        reset(first);
        // The operator can't see that, and the server has to have noticed. It answers datagrams behind its clients.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"?", operator.address("udp")).unwrap();
        socket.recv(&mut [0; 9]).unwrap();
        let mut third = connect(operator.address("tcp"));
        third.write_all(b"?").unwrap();
        if accept_first {
            // To the beginning of the line, which ends the search.
            operator.types("\x01");
            operator.ends_in(&["  #3 | ?", "  #1 >>> secret for one"]);
        }
        operator.types(ENTER);
        operator.shows("#1 no longer waits for that answer: nothing was sent");
        operator.ends_in(&["  #2 >>>"]);
        operator.enters("hello 2");
        hears(&mut second, "hello 2");
    }
}

/// With nothing begun, the prompt goes on to whoever is next.
#[test]
fn a_prompt_at_rest_goes_on_to_the_next() {
    let mut operator = Terminal::console(&[]);
    let (first, mut second) = two_questions(&operator);
    reset(first);
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
        "  #1 sends no more; it may still read a reply",
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

/// A paste is one reply to one client, and the operator sees that.
#[test]
fn pasted_lines_are_one_reply_without_the_last_line_end() {
    let mut operator = Terminal::console(&[]);
    let (mut first, mut second) = two_questions(&operator);
    operator.enters("\x1b[200~one\ntwo\n\x1b[201~");
    operator.shows("2 lines were sent as one reply.");
    operator.enters("\x1b[200~three\n\x1b[201~");
    hears(&mut second, "three");
    operator.enters("/hangup 1");
    let mut reply = String::new();
    first.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "one\ntwo");
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
    assert_eq!(operator.end(), 0);
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
    let mut command = Command::new(program());
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
    operator.shows("#1 was disconnected: the server stops");
    operator.shows("1 client served");
    assert!(operator.is_as_found());
    // Nobody has asked for the log's words as well.
    assert!(!operator.screen().contains("INFO"));
    drop(client);
}

/// A console between pipes, with all of a script written to it; its output behind the line that says where it
/// listens, and where that is.
fn scripted(script: &[u8], options: &[&str]) -> (Child, BufReader<ChildStdout>, SocketAddr) {
    let mut command = Command::new(program());
    command
        .args([
            "-q",
            "serve",
            "--console",
            "--tcp",
            "127.0.0.1:0",
            "--no-udp",
        ])
        .args(options)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(script).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening tcp://").unwrap();
    (child, stdout, address.parse().unwrap())
}

/// Without a terminal, each line of a script answers the message that is next.
#[test]
fn a_script_can_answer() {
    let (mut child, mut stdout, address) = scripted(b"one\ntwo\nquit\n", &[]);
    let mut client = connect(address);
    for answer in ["one", "two"] {
        client.write_all(b"?").unwrap();
        hears(&mut client, answer);
    }
    client.write_all(b"bye").unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop(client);
    // The end of the script is not that of the server.
    let client = connect(address);
    assert_eq!(child.try_wait().unwrap(), None);
    drop(client);
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    let mut shown = String::new();
    stdout.read_to_string(&mut shown).unwrap();
    assert!(shown.contains("  #1 | bye\n"), "{shown}");
    assert!(shown.contains("Nobody is left to answer"), "{shown}");
}

/// Pitfall 43, with the prompt away: an answer has been entered, and its echo and what follows is not taken.
#[test]
fn pitfall_43_a_terminal_that_stops_between_prompts_stops_nobody() {
    let mut operator = Terminal::console(&[]);
    // The line that names the address may leave the screen.
    let address = operator.address("tcp");
    operator.stop();
    for _ in 0..60 {
        operator.enters("/help");
    }
    drop(connect(address));
    operator.signal("TERM");
    assert_eq!(operator.end(), 0);
}

/// A search, or a choice of completions, waits for a key. The log and the totals do not wait for it.
#[test]
fn an_unfinished_search_keeps_nothing_from_the_end() {
    let mut operator = Terminal::console(&[]);
    operator.enters("/help");
    operator.types(CTRL_R);
    operator.shows("(reverse-i-search)");
    let client = connect(operator.address("tcp"));
    operator.signal("TERM");
    drop(client);
    assert_eq!(operator.end(), 0);
    operator.shows("#1 connected from");
    operator.shows("1 client served");
    assert!(operator.is_as_found());
}

#[test]
fn an_ambiguous_completion_holds_nothing_up() {
    let mut operator = Terminal::console(&[]);
    operator.types("/h");
    operator.types(TAB);
    operator.shows("/hangup   /help");
    let client = operator.admits(1);
    operator.ends_in(&["     >>> /h"]);
    drop(client);
}

/// Nobody will answer any more, so nobody is kept waiting for an answer.
#[test]
fn when_the_script_has_ended_no_answer_is_promised() {
    let (mut child, mut stdout, address) = scripted(b"", &["--max-conns", "2"]);
    let mut told = String::new();
    while !told.contains("Nobody is left to answer") {
        assert_ne!(stdout.read_line(&mut told).unwrap(), 0, "{told}");
    }
    for _ in 0..5 {
        let mut client = connect(address);
        client.write_all(b"anybody?").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
    stdout.read_to_string(&mut told).unwrap();
    assert!(told.contains("5 clients served (5 peer closed)"), "{told}");
}

/// What was said is still shown when it stops, however slowly it is read.
#[test]
fn a_log_that_is_read_late_is_whole() {
    let (mut child, mut stdout, address) = scripted(b"", &[]);
    let mut client = connect(address);
    for _ in 0..100 {
        client.write_all(&[b'x'; 1000]).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    signal(&child, "TERM");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(
        child.try_wait().unwrap(),
        None,
        "its reader has not seen all of it"
    );
    let mut shown = String::new();
    stdout.read_to_string(&mut shown).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(shown.bytes().filter(|&byte| byte == b'x').count(), 100_000);
    assert!(shown.ends_with("0 datagrams in, 0 answered\n"), "{shown}");
}

/// In a script too, what sees to a message waits for one.
#[test]
fn a_scripts_lines_wait_for_a_message_even_if_they_begin_with_a_stroke() {
    let (mut child, _stdout, address) = scripted(b"//etc/passwd\r\n/skip\nthird\n", &[]);
    let mut client = connect(address);
    client.write_all(b"?").unwrap();
    hears(&mut client, "/etc/passwd");
    client.write_all(b"?").unwrap();
    client.write_all(b"?").unwrap();
    hears(&mut client, "third");
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

/// More clients than the line editor can tell descriptors apart: it stays, whatever becomes of
/// them.
#[test]
fn there_are_no_more_clients_than_the_line_editor_allows() {
    for over_limit in ["reject", "wait"] {
        let mut operator = Terminal::console(&["-q", "--over-limit", over_limit]);
        let address = operator.address("tcp");
        let mut clients = Vec::new();
        for _ in 0..1_100 {
            clients.extend(TcpStream::connect(address));
            if clients.len() % 100 == 0 {
                operator.enters("/skip");
            }
        }
        operator.shows("The line editor waits for keys with select(2)");
        operator.enters("/clients");
        operator.shows("... and 8");
        operator.enters("/to 1 hello");
        hears(&mut clients[0], "hello");
        operator.types(CTRL_C);
        assert_eq!(operator.end(), 0);
    }
}

#[test]
fn console_that_cannot_start_says_why_in_the_language_of_its_operator() {
    let line = format!(
        "exec {} -q serve --console --lang zh --tcp 127.0.0.1:0 --no-udp >/dev/full",
        program()
    );
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert_eq!(err, "echoloop: 无法运行：磁盘空间已满（系统错误 28）\n");
}

#[test]
fn operator_learns_that_the_limit_of_open_files_leaves_no_room() {
    for over_limit in ["reject", "wait", "evict-idle"] {
        let mut command = Command::new("sh");
        let line = format!(
            "ulimit -n 40; exec {} -q serve --console --tcp 127.0.0.1:0 --udp 127.0.0.1:0 \
             --over-limit {over_limit}",
            program()
        );
        command.args(["-c", &line]).env("LC_ALL", "C");
        let operator = Terminal::start(command);
        operator.shows(">>>");
        let address = operator.address("tcp");
        let clients: Vec<_> = (0..8).map(|_| TcpStream::connect(address)).collect();
        operator.shows("No room for more clients: at most 8 are served here");
        let screen = operator.screen();
        assert!(screen.contains("ulimit -Hn") && !screen.contains("select(2)"));
        drop(clients);
    }
}

/// The window was closed.
#[test]
fn a_hang_up_of_the_terminal_is_a_signal_to_stop() {
    let mut operator = Terminal::console(&[]);
    let client = operator.admits(1);
    operator.signal("HUP");
    assert_eq!(operator.end(), 129);
    operator.shows("1 client served");
    assert!(operator.is_as_found());
    drop(client);
}

/// What is not written to the operator's terminal is none of its business.
#[test]
fn a_log_on_another_terminal_stays_there() {
    let other = Terminal::start({
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    });
    let log = other.path();
    let shell = format!(
        "exec {} -v serve --console --tcp 127.0.0.1:0 --udp 127.0.0.1:0 2>{log}",
        program()
    );
    let mut command = Command::new("sh");
    command.args(["-c", &shell]).env("LC_ALL", "C");
    let operator = Terminal::start(command);
    operator.shows(">>>");
    let client = operator.admits(1);
    let address = client.local_addr().unwrap();
    other.shows(&format!("{address} connected"));
    assert!(!operator.screen().contains("DEBUG"));
}
