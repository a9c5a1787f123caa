//! A server that misbehaves on purpose, over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::probe::Counters;
use echoloop::probe::Off;
use echoloop::service::{Delay, Echo, Faults, HELD_TIME, Odds, Stall};
use echoloop::{Config, Reactor, Server};
use support::serving::{DEADLINE, Serving, config, payload, read_to_end, round_trip};

const MS: Duration = Duration::from_millis(1);

/// A turn answers one datagram and no more, so that several take several turns.
fn serve(faults: &Faults) -> Serving {
    let config = Config {
        datagram_budget: 1,
        ..config()
    };
    Serving::start_faulty(config, Echo, faults)
}

fn socket(serving: &Serving) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(serving.udp[0]).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut answer = vec![0; 2048];
    let size = socket.recv(&mut answer).unwrap();
    answer.truncate(size);
    answer
}

#[test]
fn a_server_with_no_fault_to_commit_serves_as_any() {
    let serving = serve(&Faults::default());
    round_trip(&serving.connect(), &payload(100_000, 1));
    let socket = socket(&serving);
    socket.send(b"hello").unwrap();
    assert_eq!(receive(&socket), b"hello| lee");
    let counters = serving.finish();
    assert!(!counters.to_string().contains("faults"), "{counters}");
}

#[test]
fn an_answer_is_held_back_for_its_time_and_no_other_waits_for_it() {
    let faults = Faults {
        delay: Some(Delay::Constant(60 * MS)),
        ..Faults::default()
    };
    let serving = serve(&faults);
    let (first, second) = (serving.connect(), serving.connect());
    let start = Instant::now();
    (&first).write_all(b"first").unwrap();
    thread::sleep(20 * MS);
    let later = Instant::now();
    round_trip(&second, b"second");
    assert!(later.elapsed() >= 60 * MS, "too early");
    let mut answer = [0; 5];
    (&first).read_exact(&mut answer).unwrap();
    assert!(start.elapsed() >= 60 * MS && &answer == b"first");
    let counters = serving.finish();
    assert_eq!(counters.faults.delayed, 2, "{counters}");
}

/// More than a console's sixteen messages, and a client that ends its side before it has an answer.
#[test]
fn delayed_answers_keep_their_order_and_survive_a_half_close() {
    for delay in [Delay::Constant(30 * MS), Delay::Exponential(2 * MS)] {
        let faults = Faults {
            delay: Some(delay),
            ..Faults::default()
        };
        let serving = serve(&faults);
        let (client, sent) = (serving.connect(), payload(100_000, 2));
        (&client).write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(read_to_end(&client) == sent);
        let counters = serving.finish();
        assert!(counters.faults.delayed >= 98, "{counters}");
        assert_eq!(counters.clients.closed.peer_closed, 1, "{counters}");
    }
}

#[test]
fn a_server_that_stops_loses_no_delayed_answer() {
    let faults = Faults {
        delay: Some(Delay::Constant(Duration::from_secs(600))),
        ..Faults::default()
    };
    let serving = serve(&faults);
    let clients = [serving.connect(), serving.connect()];
    for client in &clients {
        (&mut &*client).write_all(b"in time").unwrap();
    }
    clients[1].shutdown(Shutdown::Write).unwrap();
    // No answer tells that the messages have been read. In a few turns of the loop they have.
    let socket = socket(&serving);
    for _ in 0..5 {
        socket.send(b"turn").unwrap();
        receive(&socket);
    }
    serving.stop.drain().unwrap();
    for client in &clients {
        assert_eq!(read_to_end(client), b"in time");
    }
    let counters = serving.finish();
    assert_eq!(
        counters.faults.delayed, 2,
        "they were read before: {counters}"
    );
}

/// Nothing is served between the first client, or datagram, and a stall that begins with it.
#[test]
fn everything_stands_still_from_a_time_after_the_first_came() {
    let stall = |at, length| Stall {
        at: at * MS,
        length: length * MS,
    };
    let faults = Faults {
        stalls: vec![stall(0, 200), stall(10, 100)],
        ..Faults::default()
    };
    let serving = serve(&faults);
    thread::sleep(20 * MS);
    let start = Instant::now();
    round_trip(&serving.connect(), b"after the first stall, or both");
    assert!(start.elapsed() >= 200 * MS, "too early");
    round_trip(&serving.connect(), b"after both");
    assert!(start.elapsed() >= 300 * MS, "too early");
    let counters = serving.finish();
    assert_eq!(counters.faults.stalls, 2, "{counters}");

    let serving = serve(&faults);
    let socket = socket(&serving);
    let start = Instant::now();
    for _ in 0..2 {
        socket.send(b"hello").unwrap();
        assert_eq!(receive(&socket), b"hello| lee");
    }
    assert!(start.elapsed() >= 200 * MS, "too early");
    serving.finish();
}

#[test]
fn one_bit_of_one_byte_is_flipped_in_each_connection() {
    let faults = Faults {
        corrupt: Some(5_000),
        ..Faults::default()
    };
    let serving = serve(&faults);
    for _ in 0..3 {
        let (client, sent) = (serving.connect(), payload(20_000, 3));
        (&client).write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut received = read_to_end(&client);
        assert_eq!((received[5_000] ^ sent[5_000]).count_ones(), 1);
        received[5_000] = sent[5_000];
        assert!(received == sent, "and nothing else");
    }
    // Too short to get there.
    round_trip(&serving.connect(), &payload(5_000, 4));
    let counters = serving.finish();
    assert_eq!(counters.faults.corrupted, 3, "{counters}");
}

/// A write that stops at a slice is not a full kernel buffer: no event would tell when to go on.
#[test]
fn slices_are_all_sent_also_to_a_slow_reader() {
    for slice in [1, 7, 1000] {
        let faults = Faults {
            slice: Some(slice.try_into().unwrap()),
            ..Faults::default()
        };
        let serving = serve(&faults);
        // A byte of a socket's buffer is counted with all that is around it: single ones fill it soon.
        let (client, sent) = (serving.connect(), payload(300_000, 5));
        let writer = {
            let (client, sent) = (client.try_clone().unwrap(), sent.clone());
            thread::spawn(move || {
                (&client).write_all(&sent).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            })
        };
        thread::sleep(20 * MS);
        assert!(read_to_end(&client) == sent, "slices of {slice}");
        writer.join().unwrap();
        serving.finish();
    }
}

#[test]
fn a_conversation_is_closed_in_good_order_behind_its_bytes() {
    for sent in [&b"exactly"[..], b"more than seven", &[b'x'; 50_000]] {
        let faults = Faults {
            close: Some(7),
            ..Faults::default()
        };
        let serving = serve(&faults);
        let client = serving.connect();
        (&client).write_all(sent).unwrap();
        assert_eq!(
            read_to_end(&client),
            sent[..7],
            "and then an end, not a reset"
        );
        drop(client);
        let counters = serving.finish();
        assert_eq!(counters.faults.closed, 1, "{counters}");
        assert_eq!(counters.clients.closed.hung_up, 1, "{counters}");
    }
}

#[test]
fn a_connection_is_reset_behind_its_bytes() {
    let faults = Faults {
        reset: Some(7),
        ..Faults::default()
    };
    let serving = serve(&faults);
    let client = serving.connect();
    round_trip(&client, b"short");
    (&client).write_all(b"more than that").unwrap();
    let mut received = Vec::new();
    let error = (&client).read_to_end(&mut received).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(b"mo".starts_with(&received), "{received:?}");
    let counters = serving.finish();
    assert_eq!(counters.faults.reset, 1, "{counters}");
    assert_eq!(counters.clients.closed.reset, 1, "{counters}");
}

/// What a client has seen of the answers to numbered datagrams.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// How often each number has come.
    times: BTreeMap<u32, u32>,
    /// How many came behind a larger one.
    out_of_order: u64,
    last: Option<u32>,
}

impl Seen {
    /// Takes what has come, and waits for nothing.
    fn take(&mut self, socket: &UdpSocket) {
        let mut answer = [0; 99];
        loop {
            match socket.recv(&mut answer) {
                Ok(size) => self.saw(u32::from_be_bytes(answer[..size].try_into().unwrap())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn saw(&mut self, number: u32) {
        let times = self.times.entry(number).or_default();
        *times += 1;
        if *times > 1 {
            return;
        }
        if self.last > Some(number) {
            self.out_of_order += 1;
        } else {
            self.last = Some(number);
        }
    }

    fn came(&self, times: u32) -> u64 {
        self.times.values().filter(|&&came| came == times).count() as u64
    }
}

/// Sends `count` numbered datagrams, and returns what came of them and what the server says of it.
fn number(odds: Odds, seed: u64, count: u32) -> (Seen, Counters) {
    /// Fewer than a datagram budget, so that one turn answers them.
    const BURST: u32 = 50;
    let faults = Faults {
        seed,
        odds,
        ..Faults::default()
    };
    let config = Config {
        udp_suffix: Vec::new(),
        ..config()
    };
    let serving = Serving::start_faulty(config, Echo, &faults);
    let socket = socket(&serving);
    socket.set_nonblocking(true).unwrap();
    let beside = [serving.connect(), serving.connect()];
    let mut seen = Seen::default();
    for number in 0..count {
        socket.send(&number.to_be_bytes()).unwrap();
        if number % BURST == BURST - 1 {
            // The turn that serves the one serves the datagrams too, and the other is served in a later one. (The same one could
            // be twice in a turn, where reads go on until one would block.)
            for stream in &beside {
                round_trip(stream, b"turn");
            }
            seen.take(&socket);
        }
    }
    drop(beside);
    let counters = serving.finish();
    seen.take(&socket);
    (seen, counters)
}

#[test]
fn a_client_counts_the_fates_of_its_datagrams_as_the_server_does() {
    let odds = Odds {
        drop: 0.02,
        duplicate: 0.03,
        reorder: 0.05,
    };
    let (seen, counters) = number(odds, 7, 4_000);
    let faults = &counters.faults;
    let dropped = 4_000 - seen.times.len() as u64;
    assert_eq!(dropped, faults.dropped, "{counters}");
    assert_eq!(seen.came(2), faults.sent_twice, "{counters}");
    assert_eq!(seen.came(1) + seen.came(2) + dropped, 4_000);
    assert_eq!(seen.out_of_order, faults.out_of_order, "{counters}");
    assert_eq!(counters.datagrams.answered, 4_000 - dropped, "{counters}");
    for (count, expected) in [
        (faults.dropped, 80),
        (faults.sent_twice, 120),
        (faults.out_of_order, 200),
    ] {
        assert!(count.abs_diff(expected) < expected / 2, "{counters}");
    }
}

#[test]
fn a_seed_decides_which_datagrams_it_is() {
    let odds = Odds {
        drop: 0.1,
        duplicate: 0.1,
        reorder: 0.0,
    };
    let fates = |seed| number(odds, seed, 500).0.times;
    assert_eq!(fates(1), fates(1));
    assert_ne!(fates(1), fates(2));
}

/// A server that keeps every answer back for the next to overtake.
fn serve_all_kept() -> Serving {
    let odds = Odds {
        reorder: 1.0,
        ..Odds::default()
    };
    serve(&Faults {
        odds,
        ..Faults::default()
    })
}

#[test]
fn an_answer_that_nothing_follows_comes_late_and_in_order() {
    let serving = serve_all_kept();
    let (socket, other) = (socket(&serving), socket(&serving));
    let start = Instant::now();
    socket.send(b"first").unwrap();
    other.send(b"nobody's").unwrap();
    assert_eq!(receive(&socket), b"first| lee");
    assert!(start.elapsed() >= HELD_TIME, "too early");
    assert_eq!(receive(&other), b"nobody's| lee");
    let counters = serving.finish();
    assert_eq!(
        (counters.faults.out_of_order, counters.datagrams.answered),
        (0, 2)
    );
}

#[test]
fn an_answer_that_is_still_kept_leaves_before_the_server_does() {
    let serving = serve_all_kept();
    let socket = socket(&serving);
    socket.send(b"first").unwrap();
    serving.finish();
    assert_eq!(receive(&socket), b"first| lee");
}

#[test]
fn faults_that_exclude_each_other_are_refused() {
    let faults = Faults {
        odds: Odds {
            drop: 0.6,
            duplicate: 0.5,
            reorder: 0.0,
        },
        ..Faults::default()
    };
    let reactor = Reactor::new().unwrap();
    let error = Server::bind_with_faults(&reactor, config(), Echo, &faults, Off).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
