//! Servers that send a greeting before the first message.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use echoloop::load::{Churn, MismatchKind, Outcome, Plan, Reply, Step, Stop};

use super::{assert_clean, plan, run};

/// A server that calls `greet` on each connection, and then echoes messages of 64 bytes.
fn serve(greet: impl Fn(&mut TcpStream) + Send + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                greet(&mut stream);
                let mut message = [0; 64];
                while stream.read_exact(&mut message).is_ok() && stream.write_all(&message).is_ok()
                {
                }
            });
        }
    });
    address
}

fn send(stream: &mut TcpStream, bytes: &[u8]) {
    // The client may have closed the connection.
    let _ = stream.write_all(bytes);
}

fn greeted(address: SocketAddr, change: impl FnOnce(&mut Plan)) -> Outcome {
    run(plan(address, |plan| {
        plan.greeting = Some(b"\r\n".to_vec());
        plan.stop = Stop::Messages(20);
        plan.connect_timeout = Duration::from_millis(300);
        (plan.timeout, plan.drain) = (Duration::from_millis(300), Duration::from_millis(100));
        change(plan);
    }))
}

fn errors(outcome: &Outcome, name: &str) -> u64 {
    let key = (Step::Read, name.to_owned());
    outcome.errors.get(&key).copied().unwrap_or(0)
}

#[test]
fn messages_follow_a_greeting_that_comes_in_pieces() {
    let address = serve(|stream| {
        for piece in [&b"2"[..], b"20 ready\r", b"\n"] {
            thread::sleep(Duration::from_millis(10));
            send(stream, piece);
        }
    });
    let outcome = greeted(address, |plan| {
        (plan.connections, plan.idle) = (3, 2);
        plan.churn = Some(Churn::Messages(2));
    });
    assert_clean(&outcome, 20);
    let connections = &outcome.connections;
    assert!(connections.churned >= 6, "{connections:?}");
    assert_eq!(
        (connections.closed_without_reply, connections.idle_closed),
        (0, 0)
    );
    // A message is not sent, and its time does not begin, before the greeting is complete.
    assert!(outcome.latency.service.value_at_quantile(0.5) < 20_000_000);
}

#[test]
fn connection_without_a_complete_greeting_has_failed() {
    for reply in [Reply::Echo, Reply::None] {
        let outcome = greeted(serve(|stream| send(stream, b"220 ready")), |plan| {
            (plan.connections, plan.idle) = (1, 1);
            plan.reply = reply.clone();
        });
        assert_eq!(outcome.messages.replied + outcome.messages.written, 0);
        assert!(outcome.gave_up.is_some());
        let connections = &outcome.connections;
        assert!(connections.closed_without_reply >= 2, "{connections:?}");
        assert_eq!(
            errors(&outcome, "no greeting"),
            connections.closed_without_reply
        );
        assert_eq!(outcome.servers[0].failed, connections.closed_without_reply);
        assert_eq!((outcome.wrong_replies, connections.closes.count), (0, 0));
    }
}

#[test]
fn end_of_file_in_the_greeting_is_one_before_any_reply() {
    let address = serve(|stream| {
        send(stream, b"220 re");
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let outcome = greeted(address, |plan| plan.idle = 1);
    let failed = outcome.connections.closed_without_reply;
    assert!(failed > 0 && outcome.connections.idle_closed > 0);
    assert_eq!(errors(&outcome, "end of file before any reply"), failed);
}

/// Nothing may come between the greeting and the first message. Without a greeting in the plan, it is itself a wrong reply.
/// Such a run ends, although no message can be sent.
#[test]
fn bytes_before_the_first_message_are_a_wrong_reply() {
    let address = serve(|stream| send(stream, b"220 ready\r\nmore"));
    let outcome = greeted(address, |plan| plan.idle = 1);
    assert!(outcome.gave_up.is_some() && outcome.messages.replied == 0);
    assert!(outcome.wrong_replies > 1 && outcome.error_count() == 0);
    for mismatch in &outcome.mismatches {
        assert_eq!((mismatch.kind, mismatch.offset), (MismatchKind::Surplus, 0));
        assert_eq!(mismatch.got, b"more");
    }
    let address = serve(|stream| send(stream, b"220 ready\r\n"));
    let outcome = greeted(address, |plan| plan.greeting = None);
    assert!(outcome.wrong_replies > 0);
    assert!(outcome.mismatches[0].got.starts_with(b"220 ready\r\n"));
}
