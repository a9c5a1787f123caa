//! `echoloop connect` between pipes, as netcat would be used.

#![allow(clippy::unwrap_used)]

#[path = "support/program.rs"]
mod program;
mod support;

use std::io::{Cursor, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::Reactor;
use echoloop::client::{
    self, Cut, DatagramClient, DatagramOptions, Ending, Heard, Input, StreamClient, StreamOptions,
};
use echoloop::service::{Discard, Echo};
use program::program;
use socket2::{Domain, SockRef, Socket, Type};
use support::serving::{DEADLINE, Serving, config, payload};

fn spawn(arguments: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.arg("connect").args(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Runs the program with all of `input`, and returns what came of it.
fn connect(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = spawn(arguments);
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            // The program may have had enough.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

#[track_caller]
fn assert_said(output: &Output, code: i32, said: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(said), "{error}");
}

/// A socket with a port that nobody else gets, and where nobody listens.
fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    socket
}

/// A server for one client.
fn serve_one(
    serve: impl FnOnce(TcpStream) + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (
        address,
        thread::spawn(move || serve(listener.accept().unwrap().0)),
    )
}

#[test]
fn what_is_piped_in_comes_back_byte_for_byte() {
    let serving = Serving::start(config(), Echo);
    let address = serving.tcp[0].to_string();
    for size in [0, 1, 6, 70_000, 20_000_000] {
        let sent = payload(size, size as u64);
        let output = connect(&[&address], &sent);
        assert_said(&output, 0, "");
        assert!(
            output.stdout == sent,
            "{} of {size} bytes",
            output.stdout.len()
        );
    }
    assert_eq!(
        connect(&[&format!("tcp://{address}")], b"hello\n").stdout,
        b"hello\n"
    );
    serving.finish();
}

/// Pitfall 42: the standard input may be nothing, which no poll takes.
#[test]
fn pitfall_42_stdin_can_be_nothing_and_the_rest_is_still_awaited() {
    let (address, server) = serve_one(|mut client| {
        assert_eq!(client.read(&mut [0; 9]).unwrap(), 0, "a half-close");
        client
            .write_all("half of 你 is \u{1b}[2J ".as_bytes())
            .unwrap();
        client.write_all(&"你".as_bytes()[..2]).unwrap();
    });
    let mut command = Command::new(program());
    command
        .args(["connect", &address.to_string()])
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_said(&output, 0, "");
    let expected = ["half of 你 is \u{1b}[2J ".as_bytes(), &"你".as_bytes()[..2]].concat();
    assert_eq!(
        output.stdout, expected,
        "nothing is added, nothing is changed"
    );
    server.join().unwrap();
}

/// Pitfall 42: nor does it take a file.
#[test]
fn pitfall_42_stdin_can_be_a_file() {
    let serving = Serving::start(config(), Echo);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
    let mut command = Command::new(program());
    command
        .args(["connect", &serving.tcp[0].to_string()])
        .stdin(std::fs::File::open(path).unwrap());
    let output = command.output().unwrap();
    assert_said(&output, 0, "");
    assert_eq!(output.stdout, std::fs::read(path).unwrap());
    serving.finish();
}

#[test]
fn a_server_that_hangs_up_ends_it_at_once_whatever_stdin_does() {
    let (address, server) = serve_one(|mut client| client.write_all(b"bye").unwrap());
    let mut child = spawn(&[&address.to_string()]);
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    assert_said(&output, 0, "");
    assert_eq!(output.stdout, b"bye");
    drop(stdin);
    server.join().unwrap();
}

#[test]
fn a_reset_is_said() {
    let (address, server) = serve_one(|mut client| {
        client.read_exact(&mut [0; 5]).unwrap();
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let mut child = spawn(&[&address.to_string()]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello").unwrap();
    assert_said(
        &child.wait_with_output().unwrap(),
        1,
        "the server reset the connection",
    );
    drop(stdin);
    server.join().unwrap();
}

/// The write that fails takes the error from the kernel, and a read finds an end of file after it.
#[test]
fn reset_is_reported_although_the_input_is_still_being_sent() {
    for resets in [true, false] {
        for _ in 0..10 {
            let (address, server) = serve_one(move |mut client| {
                client.read_exact(&mut [0; 10]).unwrap();
                client.write_all(b"enough").unwrap();
                // Otherwise unread bytes make the kernel send a reset.
                if resets {
                    let linger = Some(Duration::ZERO);
                    SockRef::from(&client).set_linger(linger).unwrap();
                }
            });
            let mut child = spawn(&[&address.to_string()]);
            let mut stdin = child.stdin.take().unwrap();
            let input = thread::spawn(move || while stdin.write_all(&[b'x'; 65_536]).is_ok() {});
            let output = child.wait_with_output().unwrap();
            assert_said(&output, 1, "the server reset the connection");
            input.join().unwrap();
            server.join().unwrap();
        }
    }
}

#[test]
fn a_reader_that_has_had_enough_ends_it_quietly() {
    let serving = Serving::start(config(), Echo);
    let mut child = spawn(&[&serving.tcp[0].to_string()]);
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || while stdin.write_all(b"yes\n").is_ok() {});
    let mut line = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    assert_eq!(&line, b"yes\n");
    assert_said(&child.wait_with_output().unwrap(), 0, "");
    writer.join().unwrap();
    serving.finish();
}

#[test]
fn nobody_there_and_nobody_known_are_one_line_each() {
    let socket = bound();
    let address = socket
        .local_addr()
        .unwrap()
        .as_socket()
        .unwrap()
        .to_string();
    assert_said(
        &connect(&[&address], b""),
        1,
        "refused: no program listens on that port",
    );
    assert_said(
        &connect(&["no-such-host.invalid:1"], b""),
        1,
        "check the name",
    );
    assert_said(&connect(&["localhost"], b""), 2, "HOST:PORT");
    assert_said(
        &connect(&[&address, "--datagram-size", "5"], b""),
        2,
        "udp://",
    );
    assert_said(
        &connect(&[&address, "--source", "192.0.2.1"], b""),
        1,
        "is the source an address",
    );
}

#[test]
fn a_server_that_does_not_answer_is_given_up_on() {
    let listener = bound();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    // The queue of one that it keeps is taken; the kernel drops what comes then.
    let _first = TcpStream::connect(address).unwrap();
    let output = connect(&[&address.to_string(), "--connect-timeout", "200ms"], b"");
    assert_said(&output, 1, "no answer within 200ms");
}

#[test]
fn the_wait_for_the_rest_is_bounded_when_asked() {
    let serving = Serving::start(config(), Discard);
    let (address, server) = serve_one(|mut client| {
        client.write_all(b"something").unwrap();
        // Never ends by itself.
        let _ = client.read_to_end(&mut Vec::new());
        thread::sleep(Duration::from_secs(1));
    });
    let start = Instant::now();
    let output = connect(&[&address.to_string(), "--wait", "100ms"], b"hello");
    assert_said(&output, 0, "");
    assert_eq!(output.stdout, b"something");
    assert!(start.elapsed() < DEADLINE);
    server.join().unwrap();
    serving.finish();
}

/// Waits for the end of the program, which must come although nothing else happens.
#[track_caller]
fn end(mut child: Child) -> (Option<i32>, String) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let mut error = String::new();
            child.stderr.unwrap().read_to_string(&mut error).unwrap();
            return (status.code(), error);
        }
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("the program does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// The server goes on sending a byte at a time, and each would begin a wait of its own.
#[test]
fn wait_is_a_limit_although_bytes_arrive() {
    let (address, server) = serve_one(|mut client| {
        while client.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut child = spawn(&[&address.to_string(), "--wait", "300ms"]);
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_said(&output, 0, "");
    assert!(!output.stdout.is_empty());
    server.join().unwrap();
}

#[test]
fn wait_is_a_limit_although_standard_output_is_not_read() {
    let (address, server) = serve_one(
        |mut client| {
            while client.write_all(&[b'x'; 10_000]).is_ok() {}
        },
    );
    let mut child = spawn(&[&address.to_string(), "--wait", "200ms"]);
    drop(child.stdin.take());
    let unread = child.stdout.take();
    let (code, error) = end(child);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("cannot write what came"), "{error}");
    drop(unread);
    server.join().unwrap();
}

#[test]
fn wait_is_a_limit_although_the_server_takes_nothing() {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let (address, server) = serve_one(move |client| {
        let _ = is_done.recv();
        drop(client);
    });
    let mut child = spawn(&[&address.to_string(), "--wait", "200ms"]);
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&payload(30_000_000, 1)));
    let (code, error) = end(child);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("not everything was sent"), "{error}");
    drop(done);
    assert!(writer.join().unwrap().is_err());
    server.join().unwrap();
}

#[test]
fn input_is_sent_after_a_half_close_of_the_server_if_asked() {
    let (half_closed, is_half_closed) = std::sync::mpsc::channel();
    let (address, server) = serve_one(move |mut client| {
        client.shutdown(Shutdown::Write).unwrap();
        half_closed.send(()).unwrap();
        let mut received = String::new();
        client.read_to_string(&mut received).unwrap();
        assert_eq!(received, "one, two");
    });
    let mut child = spawn(&[&address.to_string(), "--keep-sending"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one, ").unwrap();
    is_half_closed.recv_timeout(DEADLINE).unwrap();
    // Longer than the silence after which the program ends without the option.
    thread::sleep(Duration::from_millis(600));
    stdin.write_all(b"two").unwrap();
    drop(stdin);
    assert_said(&child.wait_with_output().unwrap(), 0, "");
    server.join().unwrap();
}

#[test]
fn reset_is_reported_while_input_is_sent_after_a_half_close() {
    let (address, server) = serve_one(|client| {
        client.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(100));
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let mut child = spawn(&[&address.to_string(), "--keep-sending"]);
    let stdin = child.stdin.take();
    let (code, error) = end(child);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("the server reset the connection"), "{error}");
    drop(stdin);
    server.join().unwrap();
}

#[test]
fn host_and_port_can_be_two_words() {
    let serving = Serving::start(config(), Echo);
    let (tcp, udp) = (serving.tcp[0], serving.udp[0]);
    let output = connect(&["127.0.0.1", &tcp.port().to_string()], b"hello");
    assert_said(&output, 0, "");
    assert_eq!(output.stdout, b"hello");
    let output = connect(&["udp://127.0.0.1", &udp.port().to_string()], b"hello\n");
    assert_eq!(output.stdout, b"hello| lee\n");
    serving.finish();
    for (arguments, remedy) in [
        (["127.0.0.1:80", "81"], "has a port already"),
        (["127.0.0.1", "99999"], "give one from 1 to 65535"),
        (["127.0.0.1", "http"], "write HOST:PORT"),
    ] {
        assert_said(&connect(&arguments, b""), 2, remedy);
    }
}

/// Each way to fail, with `--lang zh`: no sentence is in English.
#[test]
fn failures_are_in_chinese_if_asked() {
    let socket = bound();
    let refuses = socket.local_addr().unwrap().as_socket().unwrap();
    let refuses = refuses.to_string();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = format!("udp://{}", silent.local_addr().unwrap());
    for arguments in [
        &[refuses.as_str()][..],
        &[&refuses, "--source", "192.0.2.1"],
        &["no-such-host.invalid:1"],
        &[&format!("udp://{refuses}")],
        &[&silent, "--wait", "10ms"],
        &[&silent, "--source", "192.0.2.1"],
    ] {
        let output = connect(&[arguments, &["--lang", "zh"]].concat(), b"hello\n");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        for line in error.lines() {
            // A time and a level, or the name of the program, come before the sentence.
            let (_, sentence) = line.split_once(['\u{5d}', ' ']).unwrap();
            assert!(sentence.contains(|c: char| c > '\u{3000}'), "{line}");
            for word in [
                "cannot", "address", "refused", "answer", "error", "source", "the ",
            ] {
                assert!(!sentence.contains(word), "{word} in {line}");
            }
        }
    }
}

/// A sink that many can look at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where a client's answers go, and what it says.
fn pipes(reactor: &Reactor, said: &'static [u8], cut: Cut) -> (Shared, Input, client::Output) {
    let input = Input::read(Cursor::new(said), cut, reactor.waker()).unwrap();
    let shown = Shared::default();
    let mut sink = shown.clone();
    let show = move |heard| match heard {
        Heard::Bytes(bytes) => sink.write_all(&bytes),
        _ => Ok(()),
    };
    let output = client::Output::to_sink(show, reactor.waker()).unwrap();
    (shown, input, output)
}

#[test]
fn addresses_are_tried_in_turn() {
    let serving = Serving::start(config(), Echo);
    let socket = bound();
    let refuses = socket.local_addr().unwrap().as_socket().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let options = StreamOptions {
        addresses: vec![refuses, refuses, serving.tcp[0]],
        source: None,
        connect_timeout: DEADLINE,
        wait: None,
        stall: None,
        leave_with_server: false,
        keep_sending: false,
        separate_writes: false,
    };
    let (shown, input, output) = pipes(&reactor, b"third time lucky", Cut::Anywhere);
    let mut client = StreamClient::new(options, input, output);
    reactor.run(&mut client).unwrap();
    assert_eq!(client.finish().unwrap(), Ending::Server);
    assert_eq!(*shown.0.lock().unwrap(), b"third time lucky");
    serving.finish();
}

/// As long as nobody has answered; who has is the one to talk to, whatever becomes of it.
#[test]
fn addresses_of_datagrams_are_tried_in_turn() {
    // Bound, so that nobody else gets the port, and by TCP: whoever sends datagrams there is refused.
    let socket = bound();
    let refuses = socket.local_addr().unwrap().as_socket().unwrap();
    let unreachable = SocketAddr::from(([255, 255, 255, 255], 9));
    for (first, lost) in [
        (vec![refuses, unreachable, refuses], 0),
        (vec![unreachable], 0),
    ] {
        let serving = Serving::start(config(), Echo);
        let mut reactor = Reactor::new().unwrap();
        let options = DatagramOptions {
            addresses: [first, vec![serving.udp[0]]].concat(),
            source: None,
            wait: DEADLINE,
            in_flight_max: 1,
        };
        let (shown, input, output) = pipes(&reactor, b"one\ntwo\n", Cut::Lines);
        let mut client = DatagramClient::new(options, input, output).unwrap();
        reactor.run(&mut client).unwrap();
        assert_eq!(client.finish().unwrap(), (2, lost));
        assert_eq!(*shown.0.lock().unwrap(), b"one| leetwo| lee");
        assert_eq!(serving.finish().datagrams.received, 2);
    }
    // With nobody anywhere, each datagram is lost once.
    let mut reactor = Reactor::new().unwrap();
    let options = DatagramOptions {
        addresses: vec![refuses, refuses],
        source: None,
        wait: DEADLINE,
        in_flight_max: 1,
    };
    let (_, input, output) = pipes(&reactor, b"one\ntwo\n", Cut::Lines);
    let mut client = DatagramClient::new(options, input, output).unwrap();
    reactor.run(&mut client).unwrap();
    assert_eq!(client.finish().unwrap(), (2, 2));
}

/// Sends datagrams. Returns the replies, and the numbers of sent and of lost datagrams.
fn exchange(
    addresses: Vec<SocketAddr>,
    said: &'static [u8],
    wait: Duration,
) -> (Vec<u8>, u64, u64) {
    let mut reactor = Reactor::new().unwrap();
    let options = DatagramOptions {
        addresses,
        source: None,
        wait,
        in_flight_max: 1,
    };
    let (shown, input, output) = pipes(&reactor, said, Cut::Lines);
    let mut client = DatagramClient::new(options, input, output).unwrap();
    reactor.run(&mut client).unwrap();
    let (sent, lost) = client.finish().unwrap();
    let replied = shown.0.lock().unwrap().clone();
    (replied, sent, lost)
}

#[test]
fn datagram_without_reply_is_sent_again_to_the_next_address() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap();
    let serving = Serving::start(config(), Echo);
    let addresses = vec![silent_address, serving.udp[0]];
    let (replied, sent, lost) = exchange(addresses, b"one\ntwo\n", Duration::from_millis(500));
    assert_eq!((replied, sent, lost), (b"one| leetwo| lee".to_vec(), 2, 0));
    assert_eq!(serving.finish().datagrams.received, 2);
    // The silent address got the first datagram only.
    let mut datagram = [0; 9];
    assert_eq!(silent.recv(&mut datagram).unwrap(), 3);
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut datagram).is_err());
}

#[test]
fn after_a_datagram_without_any_reply_the_first_address_is_tried_again() {
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let addresses = sockets
        .each_ref()
        .map(|socket| socket.local_addr().unwrap());
    let [first, second] = sockets;
    let server = thread::spawn(move || {
        let mut datagram = [0; 9];
        // The first datagram is lost, as is every datagram to the other address.
        first.recv_from(&mut datagram).unwrap();
        for _ in 0..2 {
            let (size, client) = first.recv_from(&mut datagram).unwrap();
            first.send_to(&datagram[..size], client).unwrap();
        }
    });
    let said = b"one\ntwo\nthree\n";
    let (replied, sent, lost) = exchange(addresses.to_vec(), said, Duration::from_millis(500));
    assert_eq!((replied, sent, lost), (b"twothree".to_vec(), 3, 1));
    server.join().unwrap();
    second.set_nonblocking(true).unwrap();
    let mut datagram = [0; 9];
    assert_eq!(second.recv(&mut datagram).unwrap(), 3);
    assert!(second.recv(&mut datagram).is_err());
}

#[test]
fn late_reply_of_the_first_address_ends_the_search() {
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let addresses = sockets
        .each_ref()
        .map(|socket| socket.local_addr().unwrap());
    let [slow, silent] = sockets;
    let server = thread::spawn(move || {
        let mut datagram = [0; 9];
        for late in [true, false] {
            let (size, client) = slow.recv_from(&mut datagram).unwrap();
            if late {
                // The other address has got the datagram by now, too.
                silent.recv(&mut [0; 9]).unwrap();
            }
            slow.send_to(&datagram[..size], client).unwrap();
        }
    });
    let (replied, sent, lost) = exchange(addresses.to_vec(), b"one\ntwo\n", DEADLINE / 20);
    assert_eq!((replied, sent, lost), (b"onetwo".to_vec(), 2, 0));
    server.join().unwrap();
}

#[test]
fn each_line_is_a_datagram_and_each_answer_a_line() {
    let serving = Serving::start(config(), Echo);
    let target = format!("udp://{}", serving.udp[0]);
    let output = connect(&[&target], "hello\n\n你好".as_bytes());
    assert_said(&output, 0, "");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "hello| lee\n| lee\n你好| lee\n"
    );
    let output = connect(&[&target, "--datagram-size", "4"], b"abcdefghij");
    assert_eq!(output.stdout, b"abcd| leeefgh| leeij| lee");
    serving.finish();
}

#[test]
fn a_lost_answer_is_said_and_the_conversation_goes_on() {
    let serving = Serving::start(config(), Echo);
    let target = format!("udp://{}", serving.udp[0]);
    // The guard does not answer what already ends in its suffix.
    let output = connect(&[&target, "--wait", "200ms"], b"one\ntwo| lee\nthree\n");
    assert_said(&output, 1, "1 of 3 datagrams got no answer");
    assert_said(
        &output,
        1,
        "no answer to datagram 2: none came within 200ms",
    );
    assert_eq!(output.stdout, b"one| lee\nthree| lee\n");
    serving.finish();
}

#[test]
fn a_strangers_datagram_is_not_shown_as_the_servers() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answering = thread::spawn(move || {
        let mut question = [0; 99];
        let (_, client) = server.recv_from(&mut question).unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(b"forged", client).unwrap();
        server.send_to(b"true", client).unwrap();
    });
    let output = connect(&[&format!("udp://{address}")], b"who are you?\n");
    assert_eq!(output.stdout, b"true\n");
    answering.join().unwrap();
}

/// Input and output are independent: who reads only after everything was written still gets all.
#[test]
fn a_slow_reader_of_the_output_loses_nothing() {
    let serving = Serving::start(config(), Echo);
    let mut child = spawn(&[&serving.tcp[0].to_string()]);
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sent = payload(3_000_000, 3);
    let writer = {
        let sent = sent.clone();
        thread::spawn(move || stdin.write_all(&sent).unwrap())
    };
    thread::sleep(Duration::from_millis(300));
    let mut received = Vec::new();
    stdout.read_to_end(&mut received).unwrap();
    assert!(received == sent);
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    serving.finish();
}

/// A server that shuts its own side may go on listening: what is being said still reaches it.
#[test]
fn a_servers_half_close_does_not_cut_what_is_being_said_short() {
    let sent = payload(3_000_000, 5);
    let expected = sent.clone();
    let (address, server) = serve_one(move |mut client| {
        client.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(300));
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        assert!(received == expected, "{} bytes", received.len());
    });
    assert_said(&connect(&[&address.to_string()], &sent), 0, "");
    server.join().unwrap();
}

/// One that has gone altogether has not taken it, and that is no success.
#[test]
fn a_server_that_hangs_up_on_who_is_still_talking_is_told_of() {
    let (address, server) = serve_one(|client| {
        client.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(100));
    });
    let output = connect(&[&address.to_string()], &payload(20_000_000, 5));
    assert_said(&output, 1, "not everything was sent");
    server.join().unwrap();
}

/// Whoever shares our pipes may have made them non-blocking.
#[test]
fn pipes_that_would_block_are_waited_for() {
    let serving = Serving::start(config(), Echo);
    let (input, mut said) = std::io::pipe().unwrap();
    let (mut heard, output) = std::io::pipe().unwrap();
    for end in [
        rustix::fd::AsFd::as_fd(&input),
        rustix::fd::AsFd::as_fd(&output),
    ] {
        rustix::io::ioctl_fionbio(end, true).unwrap();
    }
    let mut command = Command::new(program());
    command.args(["connect", &serving.tcp[0].to_string()]);
    let mut child = command.stdin(input).stdout(output).spawn().unwrap();
    drop(command);
    // Nothing is there to be read at first, and then there is no room for what is to be written.
    thread::sleep(Duration::from_millis(100));
    let sent = payload(1_000_000, 9);
    let writer = {
        let sent = sent.clone();
        thread::spawn(move || said.write_all(&sent).unwrap())
    };
    thread::sleep(Duration::from_millis(100));
    let mut received = Vec::new();
    heard.read_to_end(&mut received).unwrap();
    assert!(received == sent, "{} bytes", received.len());
    assert!(child.wait().unwrap().success());
    writer.join().unwrap();
    serving.finish();
}

/// A half-close of the server's while we still talk is the end.
#[test]
fn a_server_that_shuts_its_side_has_ended() {
    let (address, server) = serve_one(|mut client| {
        client.write_all(b"enough").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let _ = client.read_to_end(&mut Vec::new());
    });
    let mut child = spawn(&[&address.to_string()]);
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    assert_said(&output, 0, "");
    assert_eq!(output.stdout, b"enough");
    drop(stdin);
    server.join().unwrap();
}
