//! Servers that close, reset, refuse, alter, or do not read.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use echoloop::Reactor;
use echoloop::load::{Load, MismatchKind, Profile, Reply, Sizes, Step, Stop};
use socket2::{Domain, SockRef, Socket, Type};

use super::support::serving::{Serving, config};
use super::{MS, plan, run};
use echoloop::service::Echo;

/// A server for one connection at a time, which does with it what it likes.
fn serve_each(
    connections: usize,
    serve: impl Fn(TcpStream) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        for _ in 0..connections {
            serve(listener.accept().unwrap().0);
        }
    });
    (address, served)
}

/// Echoes two messages of 64 bytes rightly, then what `change` makes of the third.
fn tamper(mut stream: TcpStream, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = vec![0; 64];
    for message in 0..3 {
        stream.read_exact(&mut bytes).unwrap();
        if message == 2 {
            change(&mut bytes);
        }
        stream.write_all(&bytes).unwrap();
    }
    let _ = stream.read_to_end(&mut bytes);
}

#[test]
fn a_wrong_byte_is_told_with_its_connection_and_place() {
    for (change, offset, kind) in [
        (
            (|bytes| bytes[5] ^= 1) as fn(&mut Vec<u8>),
            133,
            MismatchKind::Altered,
        ),
        (|bytes| drop(bytes.drain(3..7)), 131, MismatchKind::Lost(4)),
        (
            |bytes| {
                let again = bytes[2..20].to_vec();
                drop(bytes.splice(20..20, again));
            },
            148,
            MismatchKind::Repeated(18),
        ),
    ] {
        let (address, served) = serve_each(1, move |stream| tamper(stream, change));
        let outcome = run(plan(address, |plan| plan.stop = Stop::Messages(3)));
        assert_eq!((outcome.messages.mismatched, outcome.wrong_replies), (1, 1));
        assert_eq!(outcome.messages.replied, 2);
        let mismatch = &outcome.mismatches[0];
        assert_eq!((mismatch.connection, mismatch.offset), (0, offset));
        assert_eq!(mismatch.kind, kind);
        served.join().unwrap();
    }
}

#[test]
fn bytes_of_another_connection_are_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let (mut one, mut other) = (listener.accept().unwrap().0, listener.accept().unwrap().0);
        let (mut first, mut second) = ([0; 64], [0; 64]);
        one.read_exact(&mut first).unwrap();
        other.read_exact(&mut second).unwrap();
        one.write_all(&second).unwrap();
        let _ = one.read_to_end(&mut Vec::new());
    });
    let outcome = run(plan(address, |plan| {
        (plan.connections, plan.stop) = (2, Stop::Messages(2));
        plan.drain = 300 * MS;
    }));
    assert_eq!(outcome.mismatches.len(), 1, "{outcome:?}");
    let mismatch = &outcome.mismatches[0];
    let other = 1 - mismatch.connection;
    assert_eq!(mismatch.kind, MismatchKind::Foreign(other));
    served.join().unwrap();
}

/// A socket that is bound, so that nobody else gets its port, and not listening: whoever connects is refused.
fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn a_server_that_closes_resets_or_refuses_is_told_by_name() {
    let (address, served) = serve_each(3, |mut stream| {
        stream.read_exact(&mut [0; 64]).unwrap();
    });
    let outcome = run(plan(address, |plan| {
        (plan.stop, plan.drain) = (Stop::Messages(3), 200 * MS);
    }));
    let eof = (Step::Read, "end of file before the reply".to_owned());
    assert_eq!(outcome.errors.get(&eof), Some(&3), "{:?}", outcome.errors);
    assert_eq!(outcome.messages.connection_lost, 3);
    served.join().unwrap();

    let (address, served) = serve_each(3, |mut stream| {
        stream.read_exact(&mut [0; 64]).unwrap();
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let outcome = run(plan(address, |plan| {
        (plan.stop, plan.drain) = (Stop::Messages(3), 200 * MS);
    }));
    let reset = (Step::Read, "ECONNRESET".to_owned());
    assert_eq!(outcome.errors.get(&reset), Some(&3), "{:?}", outcome.errors);
    served.join().unwrap();

    let (_nobody, address) = nobody();
    let mut reactor = Reactor::new().unwrap();
    let mut load = Load::new(plan(address, |plan| plan.connections = 3), |_| ()).unwrap();
    reactor.run(&mut load).unwrap();
    let error = load.finish().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// One that ends its side while nothing is in flight has done nothing wrong, and is connected to again.
#[test]
fn a_server_that_ends_a_quiet_connection_is_connected_to_again() {
    let (address, served) = serve_each(2, |mut stream| {
        let mut bytes = [0; 64];
        for _ in 0..2 {
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let outcome = run(plan(address, |plan| {
        (plan.stop, plan.think) = (Stop::Messages(4), 20 * MS);
    }));
    assert_eq!(outcome.messages.replied, 4, "{outcome:?}");
    assert!(outcome.connections.closed_by_server >= 1);
    served.join().unwrap();
}

/// What is wrong while the load warms up is told, but is no message of those that are measured.
#[test]
fn a_wrong_answer_of_the_warm_up_is_told_and_not_counted() {
    let first = AtomicBool::new(true);
    let (address, served) = serve_each(2, move |mut stream| {
        let mut bytes = [0; 64];
        while stream.read_exact(&mut bytes).is_ok() {
            // The first message alone: what is connected anew is served rightly.
            bytes[9] ^= u8::from(first.swap(false, Ordering::Relaxed));
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let outcome = run(plan(address, |plan| {
        plan.rate = Some(Profile::constant(100.0));
        (plan.warmup, plan.stop) = (25 * MS, Stop::After(100 * MS));
    }));
    served.join().unwrap();
    assert_eq!(outcome.messages.replied, 10, "{outcome:?}");
    assert_eq!(outcome.messages.mismatched, 0, "{outcome:?}");
    assert_eq!(outcome.wrong_replies, 1, "{outcome:?}");
    assert_eq!(outcome.mismatches.len(), 1, "{outcome:?}");
}

/// The first server's last bytes of a pipeline arrive with the connection's end.
#[test]
fn messages_in_flight_on_a_lost_connection_are_lost_with_it() {
    let (address, served) = serve_each(1, |mut stream| {
        stream.read_exact(&mut [0; 64]).unwrap();
        thread::sleep(300 * MS);
    });
    let outcome = run(plan(address, |plan| {
        plan.rate = Some(Profile::constant(100.0));
        (plan.stop, plan.pipeline) = (Stop::After(200 * MS), 64);
        plan.timeout = 50 * MS;
    }));
    served.join().unwrap();
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.connection_lost),
        (20, 20),
        "{counted:?}"
    );
    assert_eq!(outcome.latency.response.len(), 0);
}

/// A server that closes after each reply: the next message may have been sent by then.
#[test]
fn times_of_a_server_that_closes_after_each_reply_are_within_the_run() {
    let (address, served) = serve_each(200, |mut stream| {
        let mut bytes = [0; 64];
        if stream.read_exact(&mut bytes).is_ok() {
            let _ = stream.write_all(&bytes);
        }
    });
    let outcome = run(plan(address, |plan| plan.stop = Stop::Messages(100)));
    let counted = &outcome.messages;
    assert_eq!(counted.offered, 100, "{counted:?}");
    assert_eq!(
        counted.replied + counted.connection_lost,
        100,
        "{counted:?}"
    );
    assert!(counted.replied >= 40, "{counted:?}");
    let closes = &outcome.connections.closes;
    assert_eq!((closes.fewest, closes.most), (1, 1), "{closes:?}");
    // Not all were used.
    while !served.is_finished() {
        let _ = TcpStream::connect(address);
    }
    served.join().unwrap();
}

#[test]
fn a_server_that_closes_without_replying_is_not_connected_to_in_a_storm() {
    for idle in [0, 2] {
        let (address, served) = serve_each(1_000, drop);
        let outcome = run(plan(address, |plan| {
            (plan.connections, plan.idle) = (2, idle);
            plan.stop = Stop::After(500 * MS);
        }));
        let connections = &outcome.connections;
        // 10, 20, 40 ms and so on: at most six or seven attempts for each.
        let most = 8 * (2 + idle as u64);
        assert!(connections.attempted <= most, "{connections:?}");
        assert!(connections.closed_without_reply >= 6, "{connections:?}");
        assert_eq!(connections.idle_closed > 0, idle > 0, "{connections:?}");
        while !served.is_finished() {
            let _ = TcpStream::connect(address);
        }
        served.join().unwrap();
    }
}

/// Who was never let in was to send something all the same.
#[test]
fn the_part_of_connections_that_were_never_opened_is_offered_too() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(1).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let outcome = run(plan(address, |plan| {
        (plan.connections, plan.rate) = (400, Some(Profile::constant(400.0)));
        (plan.stop, plan.connect_timeout) = (Stop::After(500 * MS), 200 * MS);
        (plan.timeout, plan.drain) = (50 * MS, MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(counted.offered, 200, "{counted:?}");
    assert_eq!(counted.sent() + counted.never_sent, 200, "{counted:?}");
}

/// What the kernel has taken was written, what waits behind it was not, and nobody is to believe that it was.
#[test]
fn without_answers_a_message_is_done_when_it_is_written_and_not_before() {
    let (address, served) = serve_each(1, |mut stream| {
        thread::sleep(600 * MS);
        let mut taken = 0;
        let mut bytes = vec![0; 1 << 20];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            taken += count;
        }
        // One message at most was being written when the connection was closed.
        assert!(taken >= 1 << 16, "{taken}");
    });
    let outcome = run(plan(address, |plan| {
        (plan.reply, plan.sizes) = (Reply::None, Sizes::fixed(1 << 16));
        (plan.pipeline, plan.stop) = (64, Stop::Messages(10_000));
        plan.dial.buffers.send = Some(1 << 16);
        (plan.timeout, plan.drain) = (100 * MS, 100 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(counted.written + counted.never_sent, counted.offered);
    assert!(counted.never_sent >= 1, "{counted:?}");
    assert!(outcome.bytes_sent >= counted.written << 16);
    assert_eq!(counted.failed(), 0);
    served.join().unwrap();
}

/// Those who are there to say nothing are no reason to wait for more.
#[test]
fn a_run_of_so_many_messages_ends_when_only_idle_connections_are_left() {
    let serving = Serving::start(config(), Echo);
    let (_nobody, address) = nobody();
    let outcome = run(plan(address, |plan| {
        plan.targets.push(serving.tcp[0]);
        (plan.idle, plan.stop) = (1, Stop::Messages(5));
        (plan.timeout, plan.drain) = (100 * MS, 100 * MS);
    }));
    assert_eq!(
        (outcome.messages.sent(), outcome.messages.never_sent),
        (0, 5)
    );
    assert_eq!(outcome.connections.at_end, 1);
    assert_eq!(outcome.connections.refused_at_end, 1);
    serving.finish();
}
