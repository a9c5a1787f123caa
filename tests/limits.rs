//! Limits to what clients may take together, over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use echoloop::connection::Watermarks;
use echoloop::server::OverLimit;
use echoloop::service::Echo;
use socket2::{Domain, Socket, Type};
use support::serving::{DEADLINE, Serving, config, eventually, read_to_end, round_trip};

/// A client that comes from `host`, one of the many addresses of loopback.
fn connect_from(host: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((host, 0)).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.into()
}

/// Writes until nothing has been taken for a while, or it was cut off.
fn flood(mut client: &TcpStream) {
    client
        .set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while client.write(&[7; 64 * 1024]).is_ok() {}
}

#[test]
fn a_host_that_has_all_its_places_keeps_nobody_else_out() {
    let mut config = config();
    config.max_conns_per_ip = NonZeroUsize::new(3);
    let serving = Serving::start(config, Echo);
    let (one, other) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let mut inside: Vec<_> = (0..3).map(|_| connect_from(one, serving.tcp[0])).collect();
    inside
        .iter()
        .for_each(|client| round_trip(client, b"hello"));
    assert_eq!(read_to_end(&connect_from(one, serving.tcp[0])), b"");
    let elsewhere = connect_from(other, serving.tcp[0]);
    round_trip(&elsewhere, b"hello");
    // A place that is given back can be had again.
    drop(inside.pop());
    eventually("there is room again", || {
        let mut client = connect_from(one, serving.tcp[0]);
        let _ = client.write_all(b"x");
        matches!(client.read(&mut [0]), Ok(1))
    });
    drop((inside, elsewhere));
    let counters = serving.finish();
    assert!(counters.clients.rejected_per_ip >= 1, "{counters}");
    assert_eq!(counters.clients.rejected, 0, "{counters}");
}

#[test]
fn who_comes_when_all_places_are_taken_gets_that_of_the_quietest() {
    let mut config = config();
    (config.max_conns, config.over_limit) = (2, OverLimit::EvictIdle);
    let serving = Serving::start(config, Echo);
    let (quiet, talks) = (serving.connect(), serving.connect());
    round_trip(&quiet, b"hello");
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(1500) {
        round_trip(&talks, b"still here");
        thread::sleep(Duration::from_millis(10));
    }
    let next = serving.connect();
    round_trip(&next, b"hello");
    assert_eq!(read_to_end(&quiet), b"", "its place was given away");
    round_trip(&talks, b"still here");
    drop((talks, next));
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.evicted, 1, "{counters}");
}

#[test]
fn a_crowd_is_let_in_at_the_accept_rate_and_nobody_is_turned_away() {
    let mut config = config();
    config.accept_rate = Some(100.0);
    let serving = Serving::start(config, Echo);
    let start = Instant::now();
    let crowd: Vec<_> = (0..40).map(|_| serving.connect()).collect();
    crowd.iter().for_each(|client| round_trip(client, b"hello"));
    // A tenth of a second's worth at once, and the rest one by one.
    assert!(
        start.elapsed() >= Duration::from_millis(300),
        "{:?}",
        start.elapsed()
    );
    drop(crowd);
    let (counters, turns) = serving.finish_with_turns();
    assert_eq!(
        (counters.clients.accepted, counters.clients.rejected),
        (40, 0),
        "{counters}"
    );
    assert!(counters.clients.accept_waits > 0, "{counters:?}");
    assert!(turns.count < 1000, "it spun: {turns:?}");
}

#[test]
fn who_waits_for_the_accept_rate_is_let_in_when_the_server_stops() {
    let mut config = config();
    config.accept_rate = Some(0.01);
    let serving = Serving::start(config, Echo);
    let crowd: Vec<_> = (0..10).map(|_| serving.connect()).collect();
    for client in &crowd {
        (&mut &*client).write_all(b"hello").unwrap();
    }
    (&crowd[0]).read_exact(&mut [0; 5]).unwrap();
    (&crowd[0]).write_all(b"again").unwrap();
    let clients = thread::spawn(move || {
        for client in &crowd {
            assert!(!read_to_end(client).is_empty(), "it was not answered");
        }
    });
    let counters = serving.finish();
    clients.join().unwrap();
    assert_eq!(counters.clients.accepted, 10, "{counters}");
}

#[test]
fn who_never_says_anything_is_hung_up_on() {
    let mut config = config();
    config.first_byte_timeout = Some(Duration::from_millis(300));
    let serving = Serving::start(config, Echo);
    let (silent, talks) = (serving.connect(), serving.connect());
    round_trip(&talks, b"hello");
    assert_eq!(read_to_end(&silent), b"");
    round_trip(&talks, b"still here");
    drop((silent, talks));
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.first_byte_timeout, 1, "{counters}");
}

/// Pitfall 15: the memory of all that never read, together.
#[test]
fn pitfall_15_a_crowd_that_never_reads_is_owed_no_more_than_the_limit() {
    const MOST: usize = 256 * 1024;
    let mut config = config();
    config.watermarks = Watermarks {
        high: 64 * 1024,
        low: 16 * 1024,
    };
    config.unsent_max = Some(MOST);
    let serving = Serving::start(config, Echo);
    let good = serving.connect();
    let crowd: Vec<_> = (0..12).map(|_| serving.connect()).collect();
    thread::scope(|scope| {
        for client in &crowd {
            scope.spawn(|| flood(client));
        }
        for _ in 0..50 {
            round_trip(&good, b"in spite of them");
            thread::sleep(Duration::from_millis(4));
        }
    });
    drop((good, crowd));
    let counters = serving.finish();
    // Twelve could be owed 64 KiB each: three times as much as may be.
    assert!(counters.clients.closed.owed_too_much >= 8, "{counters}");
    assert!(counters.clients.unsent_bytes > 0, "{counters}");
}
