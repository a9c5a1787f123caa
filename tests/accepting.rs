//! Who is let in, and when, over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use echoloop::server::{Address, OverLimit};
use echoloop::service::Echo;
use echoloop::{Config, Reactor, Server};
use socket2::SockRef;
use support::serving::{Serving, config, connect, eventually, payload, read_to_end, round_trip};

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
    check_accepts_one_a_turn(config);
}

#[test]
fn pitfall_34_accepted_clients_are_work_of_the_iteration() {
    let mut config = config();
    (config.accept_budget, config.iteration_budget) = (64, 16 * 1024);
    check_accepts_one_a_turn(config);
}

fn check_accepts_one_a_turn(config: Config) {
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
    assert_eq!(
        counters.clients.accept_yields, 0,
        "it was room that was wanting"
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
