//! TCP over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::connection::Watermarks;
use echoloop::server::{Address, OverLimit};
use echoloop::service::{Discard, Echo, Suffix};
use echoloop::{Config, Reactor, Reply, Server, Service};
use socket2::{Domain, SockRef, Socket, Type};
use support::serving::{
    Serving, config, connect, eventually, fill, payload, read_to_end, round_trip,
};

const MIB: usize = 1024 * 1024;

#[test]
fn echo_suffix_and_discard_are_what_they_say() {
    let serving = Serving::start(config(), Echo);
    round_trip(&serving.connect(), b"hello");
    serving.finish();

    let serving = Serving::start(config(), Suffix::new(*b"| lee"));
    let client = serving.connect();
    (&client).write_all(b"hello").unwrap();
    let mut answer = [0; 10];
    (&client).read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello| lee");
    serving.finish();

    let serving = Serving::start(config(), Discard);
    let client = serving.connect();
    (&client).write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&client), b"");
    let counters = serving.finish();
    assert_eq!(counters.clients.moved.received_bytes, 5);
}

/// Pitfall 1: data and FIN in one segment train are one edge.
#[test]
fn pitfall_01_data_and_fin_in_one_edge() {
    let serving = Serving::start(config(), Echo);
    for _ in 0..200 {
        let client = serving.connect();
        (&client).write_all(b"abc").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_to_end(&client), b"abc");
    }
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.peer_closed, 200);
}

/// Pitfall 2: a budget of one read leaves input behind for which no further event comes.
#[test]
fn pitfall_02_a_megabyte_with_a_budget_of_one_read_a_turn() {
    let mut config = config();
    (config.read_ahead, config.read_budget) = (1024.try_into().unwrap(), 1);
    let serving = Serving::start(config, Echo);
    let (client, sent) = (serving.connect(), payload(MIB, 2));
    assert_eq!(send_and_half_close(&client, &sent), sent);
    let counters = serving.finish();
    assert!(
        counters.clients.yields > 0,
        "the budget was never spent: {counters:?}"
    );
}

/// Pitfall 5: a client that sends as fast as it can does not keep the others from being served.
#[test]
fn pitfall_05_a_firehose_does_not_starve_its_neighbours() {
    /// Answers pings; swallows what the firehose sends, so that nothing slows it down.
    struct Pong;

    impl Service for Pong {
        fn receive(&mut self, message: &[u8], reply: &mut Reply<'_>) {
            if message == b"ping" {
                reply.echo();
            }
        }
    }

    let mut config = config();
    config.read_budget = 32 * 1024;
    let serving = Serving::start(config, Pong);
    let firehose = serving.connect();
    let pump = thread::spawn(move || while (&firehose).write_all(&[0; 256 * 1024]).is_ok() {});
    let neighbour = serving.connect();
    for _ in 0..500 {
        round_trip(&neighbour, b"ping");
    }
    assert!(!pump.is_finished());
    serving.stop.abort().unwrap();
    let counters = serving.finish();
    pump.join().unwrap();
    assert!(
        counters.clients.yields > 0,
        "the firehose never had to wait: {counters:?}"
    );
}

/// Pitfall 6: more sockets ready than one poll can report.
#[test]
fn pitfall_06_a_poll_of_eight_events_serves_two_hundred_busy_clients() {
    let serving = Serving::start_with_events(8, config(), Echo);
    let clients: Vec<_> = (0..200).map(|_| serving.connect()).collect();
    for turn in 0..10u8 {
        for client in &clients {
            (&mut &*client).write_all(&[turn; 64]).unwrap();
        }
        for client in &clients {
            let mut answer = [0; 64];
            (&mut &*client).read_exact(&mut answer).unwrap();
            assert_eq!(answer, [turn; 64]);
        }
    }
    drop(clients);
    let (counters, turns) = serving.finish_with_turns();
    assert_eq!(counters.clients.accepted, 200);
    assert!(
        turns.full_batches > 0,
        "the batch was never full: {turns:?}"
    );
}

/// Pitfall 7: a half-close is no hang-up, however slowly the peer reads.
#[test]
fn pitfall_07_a_half_close_and_a_slow_reader_get_every_byte() {
    let serving = Serving::start(config(), Echo);
    let (client, sent) = (serving.connect(), payload(8 * MIB, 7));
    SockRef::from(&client)
        .set_recv_buffer_size(64 * 1024)
        .unwrap();
    let writer = {
        let (client, sent) = (client.try_clone().unwrap(), sent.clone());
        thread::spawn(move || {
            (&client).write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        })
    };
    let mut received = Vec::new();
    let mut chunk = vec![0; 3000];
    loop {
        let count = (&client).read(&mut chunk).unwrap();
        if count == 0 {
            break;
        }
        received.extend_from_slice(&chunk[..count]);
        if received.len() % 7 == 0 {
            thread::yield_now();
        }
    }
    writer.join().unwrap();
    assert!(
        received == sent,
        "{} of {} bytes",
        received.len(),
        sent.len()
    );
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.peer_closed, 1);
    assert!(
        counters.clients.moved.pauses > 0,
        "the reader was not slow enough: {counters:?}"
    );
}

/// Many at once, each half-closing before it reads anything.
#[test]
fn fifty_clients_half_close_a_quarter_megabyte_each_before_they_read() {
    let serving = Serving::start(config(), Echo);
    let clients: Vec<_> = (0..50)
        .map(|seed| {
            let client = serving.connect();
            thread::spawn(move || {
                let sent = payload(MIB / 4, seed);
                assert!(send_and_half_close(&client, &sent) == sent, "client {seed}");
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let counters = serving.finish();
    assert_eq!(counters.clients.closed.peer_closed, 50);
    assert_eq!(counters.clients.moved.sent_bytes, 50 * MIB as u64 / 4);
}

/// Pitfall 11: urgent data stops a read short, and does not belong to the stream.
#[test]
fn pitfall_11_urgent_data_neither_stalls_the_stream_nor_joins_it() {
    let serving = Serving::start(config(), Echo);
    for _ in 0..50 {
        let client = serving.connect();
        (&client).write_all(b"abc").unwrap();
        SockRef::from(&client).send_out_of_band(b"!").unwrap();
        (&client).write_all(b"efg").unwrap();
        let mut answer = [0; 6];
        (&client).read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"abcefg");
    }
    serving.finish();
}

/// Pitfall 14: sockets that stay ready in a direction nobody wants must not keep the loop awake.
#[test]
fn pitfall_14_idle_half_closed_and_stuck_clients_cost_no_turns() {
    let serving = Serving::start(config(), Echo);
    let idle: Vec<_> = (0..20).map(|_| serving.connect()).collect();
    round_trip(&idle[0], b"x");
    // Owed more than the kernel takes, and half-closed: readable for ever, writable never.
    let stuck = serving.connect();
    SockRef::from(&stuck).set_recv_buffer_size(4096).unwrap();
    fill(&stuck);
    let _ = stuck.shutdown(Shutdown::Write);
    thread::sleep(Duration::from_millis(500));
    drop((idle, stuck));
    let (_, turns) = serving.finish_with_turns();
    assert!(turns.count < 2_000, "the loop kept turning: {turns:?}");
}

/// Pitfall 15: one that never reads costs a bounded amount and nobody else's service.
#[test]
fn pitfall_15_a_client_that_never_reads_is_bounded() {
    let mut config = config();
    config.watermarks = Watermarks {
        high: 32 * 1024,
        low: 8 * 1024,
    };
    config.write_stall_timeout = None;
    let bound = (config.watermarks.high + config.read_ahead.get()) as u64;
    let serving = Serving::start(config, Echo);
    let glutton = serving.connect();
    fill(&glutton);
    let neighbour = serving.connect();
    for _ in 0..100 {
        round_trip(&neighbour, b"still here");
    }
    serving.stop.abort().unwrap();
    let counters = serving.finish();
    assert!(counters.clients.moved.pauses >= 1);
    assert!(
        counters.clients.unsent_bytes <= bound,
        "{} unsent",
        counters.clients.unsent_bytes
    );
    let closed = &counters.clients.closed;
    assert_eq!(
        (closed.aborted, closed.drained),
        (1, 1),
        "the neighbour is owed nothing"
    );
}

/// Pitfall 22: hanging up on a client that goes on sending must not destroy what it was told.
#[test]
fn pitfall_22_the_last_words_reach_a_client_that_goes_on_sending() {
    struct LastWords;

    impl Service for LastWords {
        fn receive(&mut self, _message: &[u8], reply: &mut Reply<'_>) {
            reply.send(&payload(MIB, 22));
            reply.hang_up();
        }
    }

    let serving = Serving::start(config(), LastWords);
    let client = serving.connect();
    (&client).write_all(b"tell me").unwrap();
    let chatter = {
        let client = client.try_clone().unwrap();
        thread::spawn(move || {
            for _ in 0..200 {
                if (&client).write_all(&[7; 5000]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let expected = payload(MIB, 22);
    let mut answer = vec![0; MIB];
    for chunk in answer.chunks_mut(10_000) {
        (&client).read_exact(chunk).unwrap();
        thread::sleep(Duration::from_millis(1));
    }
    assert!(answer == expected);
    chatter.join().unwrap();
    drop(client);
    let counters = serving.finish();
    assert_eq!(
        counters.clients.closed.hung_up + counters.clients.closed.reset,
        1,
        "{counters}"
    );
}

/// Pitfalls 23 and 26: clients that leave in every way at every moment are each counted once.
#[test]
fn pitfall_23_and_26_a_storm_of_comings_and_goings_balances() {
    let serving = Serving::start(config(), Echo);
    let address = serving.tcp[0];
    let threads: Vec<_> = (0..4u64)
        .map(|seed| {
            thread::spawn(move || {
                for turn in 0..200u64 {
                    let client = connect(address);
                    match (turn + seed) % 5 {
                        0 => drop(client),
                        1 => round_trip(&client, b"and away"),
                        2 => {
                            (&client).write_all(&payload(50_000, turn)).unwrap();
                            SockRef::from(&client)
                                .set_linger(Some(Duration::ZERO))
                                .unwrap();
                        }
                        3 => {
                            client.shutdown(Shutdown::Write).unwrap();
                            assert_eq!(read_to_end(&client), b"");
                        }
                        _ => {
                            (&client).write_all(b"never read").unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let counters = serving.finish();
    assert_eq!(counters.clients.accepted, 800, "{counters}");
    assert_eq!(counters.clients.closed.total(), 800, "{counters}");
    assert_eq!(counters.clients.closed.aborted, 0, "{counters}");
}

/// Pitfall 34: a crowd at the door, let in one a turn, and served as it comes.
#[test]
fn pitfall_34_a_crowd_at_the_door_does_not_hold_up_those_inside() {
    let mut config = config();
    config.accept_budget = 1;
    let mut reactor = Reactor::new().unwrap();
    let mut server = Server::bind(&reactor, config, Echo).unwrap();
    let (address, stop) = (server.tcp_addresses()[0], server.stop());
    let crowd: Vec<_> = (0..100).map(|_| connect(address)).collect();
    for client in &crowd {
        (&mut &*client).write_all(b"hello").unwrap();
    }
    let clients = thread::spawn(move || {
        for client in &crowd {
            let mut answer = [0; 5];
            (&mut &*client).read_exact(&mut answer).unwrap();
        }
        drop(crowd);
        stop.drain().unwrap();
    });
    reactor.run(&mut server).unwrap();
    clients.join().unwrap();
    let counters = server.counters();
    assert_eq!(counters.clients.accepted, 100);
    assert!(
        counters.clients.accept_yields >= 99,
        "not one a turn: {counters:?}"
    );
}

/// Pitfall 36: a slot that frees must let in who waits, although nobody new knocks.
#[test]
fn pitfall_36_who_waits_is_let_in_when_a_client_leaves() {
    let mut config = config();
    (config.max_conns, config.over_limit) = (2, OverLimit::Wait);
    let serving = Serving::start(config, Echo);
    let mut inside = vec![serving.connect(), serving.connect()];
    for client in &inside {
        round_trip(client, b"inside");
    }
    let waiting: Vec<_> = (0..3).map(|_| serving.connect()).collect();
    for client in &waiting {
        (&mut &*client).write_all(b"waiting").unwrap();
    }
    for client in waiting {
        drop(inside.remove(0));
        let mut answer = [0; 7];
        (&client).read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"waiting");
        inside.push(client);
    }
    drop(inside);
    let counters = serving.finish();
    assert_eq!(
        (counters.clients.accepted, counters.clients.rejected),
        (5, 0)
    );
}

/// Who waits at one listener does not get every slot that frees.
#[test]
fn listeners_take_turns_for_free_slots() {
    let mut config = config().with_tcp(([127, 0, 0, 1], 0).into());
    (config.max_conns, config.over_limit) = (1, OverLimit::Wait);
    let serving = Serving::start(config, Echo);
    let mut inside = connect(serving.tcp[0]);
    round_trip(&inside, b"x");
    let second = connect(serving.tcp[1]);
    (&second).write_all(b"x").unwrap();
    second
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let mut first: VecDeque<_> = (0..2).map(|_| connect(serving.tcp[0])).collect();
    for _ in 0..20 {
        first.push_back(connect(serving.tcp[0]));
        drop(inside);
        inside = first.pop_front().unwrap();
        (&inside).write_all(b"x").unwrap();
        // The slot goes to this one or, sooner or later, to the one at the second listener.
        inside
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        if (&inside).read(&mut [0; 1]).is_err() {
            assert_eq!((&second).read(&mut [0; 1]).unwrap(), 1);
            serving.stop.abort().unwrap();
            serving.finish();
            return;
        }
    }
    panic!("the one at the second listener waited through twenty others");
}

#[test]
fn who_comes_when_it_is_full_is_turned_away_and_counted() {
    let mut config = config();
    config.max_conns = 2;
    let serving = Serving::start(config, Echo);
    let inside = [serving.connect(), serving.connect()];
    for client in &inside {
        round_trip(client, b"inside");
    }
    for _ in 0..5 {
        let client = serving.connect();
        assert_eq!(
            (&client).read(&mut [0; 1]).unwrap_or(0),
            0,
            "closed at once"
        );
    }
    for client in &inside {
        round_trip(client, b"not disturbed");
    }
    drop(inside);
    // One that leaves makes room for one.
    eventually("room again", || {
        let client = serving.connect();
        (&client).write_all(b"x").is_ok() && matches!((&client).read(&mut [0; 1]), Ok(1))
    });
    let counters = serving.finish();
    assert!(counters.clients.rejected >= 5, "{counters}");
}

/// Pitfall 37: two sockets for two families, so that no client appears under a mapped address.
#[test]
fn pitfall_37_everywhere_is_two_sockets_on_one_port() {
    let mut config = Config::new();
    config.tcp.push(Address::Everywhere(0));
    let serving = Serving::start(config, Echo);
    let port = serving.tcp[0].port();
    assert!(
        serving.tcp.iter().all(|address| address.port() == port),
        "{:?}",
        serving.tcp
    );
    round_trip(&connect(([127, 0, 0, 1], port).into()), b"four");
    if serving.tcp.len() == 2 {
        assert!(serving.tcp[0].is_ipv4() && serving.tcp[1].is_ipv6());
        round_trip(&connect(([0u16, 0, 0, 0, 0, 0, 0, 1], port).into()), b"six");
    }
    serving.finish();
}

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

#[test]
fn a_stopped_server_can_be_reached_no_more_and_its_port_is_free() {
    let serving = Serving::start(config(), Echo);
    let address = serving.tcp[0];
    round_trip(&serving.connect(), b"x");
    serving.finish();
    assert_eq!(
        TcpStream::connect(address).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    let mut config = Config::new().with_tcp(address);
    config.idle_timeout = None;
    let serving = Serving::start(config, Echo);
    round_trip(&serving.connect(), b"again");
    serving.finish();
}

/// Sends everything, shuts, and reads everything, at once.
fn send_and_half_close(client: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    thread::scope(|scope| {
        scope.spawn(|| {
            (&mut &*client).write_all(bytes).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        read_to_end(client)
    })
}
