//! TCP over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::connection::Watermarks;
use echoloop::service::{Discard, Echo, Suffix};
use echoloop::{ClientId, Reply, Service};
use socket2::SockRef;
use support::serving::{Serving, config, connect, fill, payload, read_to_end, round_trip};

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
        fn receive(&mut self, _: ClientId, message: &[u8], reply: &mut Reply<'_>) {
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
    let written = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (client, sent) = (client.try_clone().unwrap(), sent.clone());
        let written = written.clone();
        thread::spawn(move || {
            for piece in sent.chunks(16 * 1024) {
                (&client).write_all(piece).unwrap();
                written.fetch_add(piece.len(), Ordering::Relaxed);
            }
            client.shutdown(Shutdown::Write).unwrap();
        })
    };
    // Nothing is read until everything on the way is full: more is sent than all buffers behind the server take.
    let (mut before, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        let now = written.load(Ordering::Relaxed);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(5));
    }
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
    println!("proof: {} bytes verified", received.len());
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
    let bound = config.watermarks.high.max(config.read_ahead.get()) as u64;
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
        fn receive(&mut self, _: ClientId, _: &[u8], reply: &mut Reply<'_>) {
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

/// Sends everything, shuts, and reads everything, at once.
/// Pitfall 58: a word may come in pieces, or with others; and a stream of bytes has no words for a server.
#[test]
fn pitfall_58_no_word_of_a_client_means_anything_however_it_is_cut() {
    let serving = Serving::start(config(), Echo);
    let mut client = connect(serving.tcp[0]);
    client.set_nodelay(true).unwrap();
    let mut said = 0;
    for cut in 0..=7 {
        for piece in ["quit\r\n\0".split_at(cut).0, "quit\r\n\0".split_at(cut).1] {
            client.write_all(piece.as_bytes()).unwrap();
            let mut back = vec![0; piece.len()];
            client.read_exact(&mut back).unwrap();
            assert_eq!(back, piece.as_bytes());
            said += piece.len() as u64;
        }
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    let counters = serving.finish().clients;
    assert_eq!(
        (counters.moved.sent_bytes, counters.closed.peer_closed),
        (said, 1)
    );
}

fn send_and_half_close(client: &TcpStream, bytes: &[u8]) -> Vec<u8> {
    thread::scope(|scope| {
        scope.spawn(|| {
            (&mut &*client).write_all(bytes).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        read_to_end(client)
    })
}
