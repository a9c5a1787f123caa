//! What time and a stop do to clients, over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::service::Echo;
use echoloop::{Reactor, Server};
use socket2::{Domain, SockRef, Socket, Type};
use support::serving::{
    Serving, config, connect, eventually, fill, payload, read_to_end, round_trip,
};

const MIB: usize = 1024 * 1024;

#[test]
fn an_idle_client_is_hung_up_on_and_a_busy_one_is_not() {
    let mut config = config();
    config.idle_timeout = Some(Duration::from_millis(400));
    let serving = Serving::start(config, Echo);
    let (idle, busy) = (serving.connect(), serving.connect());
    let start = Instant::now();
    let idle = thread::spawn(move || {
        assert_eq!(read_to_end(&idle), b"");
        start.elapsed()
    });
    while !idle.is_finished() {
        round_trip(&busy, b"busy");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(
        idle.join().unwrap() >= Duration::from_millis(400),
        "hung up on too early"
    );
    round_trip(&busy, b"busy");
    drop(busy);
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.idle_timeout, 1, "{counters}");
}

#[test]
fn a_client_that_takes_nothing_is_closed_and_a_slow_one_is_not() {
    let mut config = config();
    config.write_stall_timeout = Some(Duration::from_millis(700));
    let serving = Serving::start(config, Echo);
    let stuck = serving.connect();
    stuck.set_nonblocking(true).unwrap();
    let slow = serving.connect();
    SockRef::from(&slow)
        .set_recv_buffer_size(64 * 1024)
        .unwrap();
    let sent = payload(4 * MIB, 1);
    let writer = {
        let (slow, sent) = (slow.try_clone().unwrap(), sent.clone());
        thread::spawn(move || {
            (&slow).write_all(&sent).unwrap();
            slow.shutdown(Shutdown::Write).unwrap();
        })
    };
    fill(&stuck);
    // Reads all the time, and takes longer than the stuck one is given.
    let start = Instant::now();
    let mut received = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = (&slow).read(&mut chunk).unwrap();
        if count == 0 {
            break;
        }
        received.extend_from_slice(&chunk[..count]);
        if start.elapsed() < Duration::from_millis(2500) {
            thread::sleep(Duration::from_millis(50));
        }
    }
    writer.join().unwrap();
    assert!(received == sent);
    eventually("the stuck one is closed", || match (&stuck).write(b"x") {
        Err(error) => error.kind() != ErrorKind::WouldBlock,
        Ok(_) => false,
    });
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.write_stalled, 1, "{counters}");
    assert_eq!(counters.clients.closed.peer_closed, 1, "{counters}");
}

/// The kernel reports room only when a third of a send buffer is free, and one on loopback has
/// megabytes: who reads steadily but slowly must not be taken for one that does not read.
#[test]
fn a_reader_too_slow_for_an_event_is_not_taken_for_one_that_takes_nothing() {
    let mut config = config();
    config.write_stall_timeout = Some(Duration::from_secs(1));
    let serving = Serving::start(config, Echo);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Set before connecting, so that the window is small from the start.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&serving.tcp[0].into()).unwrap();
    let slow = TcpStream::from(socket);
    let writer = {
        let slow = slow.try_clone().unwrap();
        thread::spawn(move || while (&slow).write_all(&[0; 64 * 1024]).is_ok() {})
    };
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        assert_ne!(
            (&slow).read(&mut [0; 4096]).expect("not reset"),
            0,
            "not closed"
        );
        thread::sleep(Duration::from_millis(20));
    }
    serving.stop.abort().unwrap();
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.aborted, 1, "{counters}");
    drop(slow);
    writer.join().unwrap();
}

/// What clients have sent is answered before the server stops, however slowly they take it.
#[test]
fn draining_loses_no_reply() {
    let serving = Serving::start(config(), Echo);
    let clients: Vec<_> = (0..100)
        .map(|seed| {
            let client = serving.connect();
            let sent = payload(300_000, seed);
            // As much as fits between us and the server, which the server may not have seen yet.
            client.set_nonblocking(true).unwrap();
            let count = (&client).write(&sent).unwrap();
            client.set_nonblocking(false).unwrap();
            (client, sent, count)
        })
        .collect();
    serving.stop.drain().unwrap();
    for (client, sent, count) in clients {
        assert!(
            read_to_end(&client) == sent[..count],
            "{count} bytes were sent"
        );
    }
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.drained, 100, "{counters}");
    assert_eq!(counters.clients.unsent_bytes, 0);
}

#[test]
fn draining_ends_at_its_deadline_whatever_clients_do() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(300);
    let serving = Serving::start(config, Echo);
    let glutton = serving.connect();
    fill(&glutton);
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.aborted, 1, "{counters}");
    assert!(counters.clients.unsent_bytes > 0);
}

#[test]
fn a_client_that_just_stays_does_not_hold_up_a_drain() {
    let serving = Serving::start(config(), Echo);
    let idle = serving.connect();
    round_trip(&idle, b"x");
    let start = Instant::now();
    let counters = serving.finish();
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "the drain timeout is 10 s"
    );
    assert_eq!(counters.clients.closed.drained, 1, "{counters}");
    assert_eq!(read_to_end(&idle), b"");
}

/// Who has connected before the server was told to stop is served, even if it was not accepted yet.
#[test]
fn draining_serves_who_waits_in_the_kernel() {
    let mut config = config();
    config.accept_budget = 1;
    let mut reactor = Reactor::new().unwrap();
    let mut server = Server::bind(&reactor, config, Echo).unwrap();
    let address = server.tcp_addresses()[0];
    let clients: Vec<_> = (0..50).map(|_| connect(address)).collect();
    for client in &clients {
        (&mut &*client).write_all(b"in time").unwrap();
    }
    server.stop().drain().unwrap();
    let clients = thread::spawn(move || {
        for client in &clients {
            assert_eq!(read_to_end(client), b"in time");
        }
    });
    reactor.run(&mut server).unwrap();
    clients.join().unwrap();
    assert_eq!(server.counters().clients.accepted, 50);
}

/// With no time to drain, nobody is let in only to be forgotten.
#[test]
fn stopping_at_once_leaves_nobody_uncounted() {
    let mut config = config();
    config.drain_timeout = Duration::ZERO;
    let mut reactor = Reactor::new().unwrap();
    let mut server = Server::bind(&reactor, config, Echo).unwrap();
    let _clients = [
        connect(server.tcp_addresses()[0]),
        connect(server.tcp_addresses()[0]),
    ];
    server.stop().drain().unwrap();
    reactor.run(&mut server).unwrap();
    assert_eq!(server.counters().clients.live(), 0, "{}", server.counters());
}
