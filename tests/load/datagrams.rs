//! Datagrams: numbered, and all accounted for.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Instant;

use echoloop::Reactor;
use echoloop::load::{Load, MismatchKind, Plan, Profile, Reply, Sizes, Stop};
use echoloop::reactor::Timer;
use echoloop::service::{Echo, Faults, Odds};

use super::support::serving::{Serving, config};
use super::{MS, assert_clean, plan, run};

fn udp(address: SocketAddr, change: impl FnOnce(&mut Plan)) -> Plan {
    plan(address, |plan| {
        plan.udp = true;
        plan.reply = Reply::Suffix(b"| lee".to_vec());
        (plan.timeout, plan.drain) = (500 * MS, 500 * MS);
        change(plan);
    })
}

#[test]
fn datagrams_are_numbered_and_all_accounted_for() {
    let serving = Serving::start(config(), Echo);
    for (connections, pipeline) in [(1, 1), (5, 8)] {
        let outcome = run(udp(serving.udp[0], |plan| {
            (plan.connections, plan.pipeline) = (connections, pipeline);
        }));
        assert_clean(&outcome, 1_000);
        let counted = outcome.udp.clone().unwrap();
        assert!(counted.numbered);
        assert_eq!(
            (counted.sent, counted.received, counted.lost),
            (1_000, 1_000, 0)
        );
        assert_eq!(
            (counted.duplicate, counted.reordered, counted.corrupt),
            (0, 0, 0)
        );
    }
    // Too small for a number: one at a time.
    let outcome = run(udp(serving.udp[0], |plan| {
        (plan.sizes, plan.pipeline) = (Sizes::fixed(5), 8);
    }));
    assert_clean(&outcome, 1_000);
    assert!(!outcome.udp.unwrap().numbered);
    serving.finish();
}

/// Loss, duplicates and reordering that the server commits are counted as it counts them.
#[test]
fn the_fate_of_every_datagram_is_counted_exactly() {
    let faults = Faults {
        odds: Odds {
            drop: 0.02,
            duplicate: 0.015,
            reorder: 0.03,
        },
        ..Faults::default()
    };
    for (connections, open) in [(1, true), (4, true), (3, false)] {
        let serving = Serving::start_faulty(config(), Echo, &faults);
        let outcome = run(udp(serving.udp[0], |plan| {
            (plan.connections, plan.pipeline) = (connections, 64);
            plan.timeout = 200 * MS;
            if open {
                plan.rate = Some(Profile::constant(10_000.0));
            }
            plan.stop = Stop::Messages(10_000);
        }));
        let counters = serving.finish();
        // What a busy machine's server had no room for did not reach it.
        let unseen = 10_000 - counters.datagrams.received;
        let counters = counters.faults;
        let counted = outcome.udp.unwrap();
        assert_eq!(counted.sent, 10_000);
        assert_eq!(counted.overflow.unwrap_or(0), 0);
        assert_eq!(counted.lost, counters.dropped + unseen, "{counted:?}");
        assert_eq!(counted.duplicate, counters.sent_twice, "{counted:?}");
        assert_eq!(counted.reordered, counters.out_of_order, "{counted:?}");
        assert!(counters.dropped > 100 && counters.sent_twice > 80 && counters.out_of_order > 150);
    }
}

#[test]
fn a_closed_port_ends_the_run_at_once_as_refused() {
    // Bound for TCP, so that no other program gets the port: datagrams to it are refused.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    for reply in [Reply::Echo, Reply::None] {
        let started = Instant::now();
        let mut reactor = Reactor::with_timer(Timer::Timerfd).unwrap();
        let plan = udp(nobody.local_addr().unwrap(), |plan| {
            (plan.stop, plan.reply) = (Stop::After(20_000 * MS), reply);
        });
        let mut load = Load::new(plan, |_| ()).unwrap();
        reactor.run(&mut load).unwrap();
        let error = load.finish().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(started.elapsed() < 5_000 * MS);
    }
}

/// Linux reports an ICMP error of a datagram before with the next call, and does not carry that out (udp(7)).
#[test]
fn a_datagram_that_is_refused_on_behalf_of_another_is_sent_again() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut bytes = [0; 64];
        for _ in 0..20 {
            let (count, from) = server.recv_from(&mut bytes).unwrap();
            server.send_to(&bytes[..count], from).unwrap();
        }
        // Datagrams that arrive before the port closes were not refused.
        server.set_nonblocking(true).unwrap();
        let mut more = 0;
        while server.recv_from(&mut bytes).is_ok() {
            more += 1;
        }
        more
    });
    let outcome = run(udp(address, |plan| {
        plan.reply = Reply::Echo;
        plan.rate = Some(Profile::constant(1_000.0));
        (plan.stop, plan.pipeline) = (Stop::After(300 * MS), 1024);
        (plan.timeout, plan.drain) = (50 * MS, 50 * MS);
    }));
    let more = served.join().unwrap();
    let counted = &outcome.messages;
    assert_eq!((counted.offered, counted.sent()), (300, 300), "{counted:?}");
    assert_eq!((counted.replied, counted.lost), (20, 280), "{counted:?}");
    let refused: u64 = outcome.errors.values().sum();
    // Each datagram that reached a closed port was refused, and nothing else was.
    assert!(refused <= 280 - more, "{:?}", outcome.errors);
    assert!(refused >= 250, "{:?}", outcome.errors);
    assert_eq!(outcome.connections.refused_at_end, 1);
}

/// A damaged answer is an answer, to the message whose number it carries: nothing is awaited in its place, and
/// nothing counted twice.
#[test]
fn a_damaged_answer_is_wrong_and_neither_lost_nor_late() {
    for size in [64, 8] {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(5_000 * MS)).unwrap();
        let address = server.local_addr().unwrap();
        let served = thread::spawn(move || {
            let mut bytes = [0; 64];
            for number in 0..100 {
                let (count, from) = server.recv_from(&mut bytes).unwrap();
                bytes[count - 1] ^= u8::from(number % 10 == 3);
                server.send_to(&bytes[..count], from).unwrap();
            }
        });
        let outcome = run(udp(address, |plan| {
            (plan.reply, plan.sizes) = (Reply::Echo, Sizes::fixed(size));
            plan.stop = Stop::Messages(100);
            plan.pipeline = 8;
        }));
        served.join().unwrap();
        let counted = &outcome.messages;
        assert_eq!((counted.replied, counted.mismatched), (90, 10), "{size}");
        let datagrams = outcome.udp.unwrap();
        assert_eq!((datagrams.corrupt, datagrams.received), (10, 100));
        assert_eq!((datagrams.lost, datagrams.late), (0, 0), "{size}");
    }
}

/// A reply that was cut in two says neither what it replies to, nor is anything lost.
#[test]
fn a_truncated_reply_is_a_mismatch_and_not_lost_as_well() {
    for pipeline in [1, 8] {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(5_000 * MS)).unwrap();
        let address = server.local_addr().unwrap();
        let served = thread::spawn(move || {
            let mut bytes = [0; 64];
            for number in 0..100 {
                let (count, from) = server.recv_from(&mut bytes).unwrap();
                let count = if number % 10 == 3 { 20 } else { count };
                server.send_to(&bytes[..count], from).unwrap();
            }
        });
        let outcome = run(udp(address, |plan| {
            (plan.reply, plan.stop) = (Reply::Echo, Stop::Messages(100));
            (plan.pipeline, plan.timeout) = (pipeline, 200 * MS);
        }));
        served.join().unwrap();
        let counted = &outcome.messages;
        assert_eq!(
            (counted.replied, counted.mismatched),
            (90, 10),
            "{counted:?}"
        );
        let datagrams = outcome.udp.unwrap();
        assert_eq!(
            (datagrams.corrupt, datagrams.lost),
            (10, 0),
            "{datagrams:?}"
        );
    }
}

#[test]
fn a_datagram_replied_to_after_its_time_limit_is_late_and_not_lost() {
    for size in [64, 8] {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let served = thread::spawn(move || {
            let mut bytes = [0; 64];
            for number in 0..10 {
                let (count, from) = server.recv_from(&mut bytes).unwrap();
                // The second is never replied to, the third too late, and only then the rest is read.
                match number {
                    1 => continue,
                    2 => thread::sleep(120 * MS),
                    _ => {}
                }
                server.send_to(&bytes[..count], from).unwrap();
            }
        });
        let outcome = run(udp(address, |plan| {
            (plan.reply, plan.sizes) = (Reply::Echo, Sizes::fixed(size));
            plan.stop = Stop::Messages(10);
            (plan.timeout, plan.drain) = (50 * MS, 400 * MS);
        }));
        served.join().unwrap();
        let counted = &outcome.messages;
        let datagrams = outcome.udp.as_ref().unwrap();
        assert_eq!((counted.offered, counted.lost), (10, 1), "{counted:?}");
        assert_eq!(counted.replied + counted.replied_late, 9, "{counted:?}");
        assert!(counted.replied_late >= 1, "{counted:?}");
        assert_eq!(
            (datagrams.lost, datagrams.received),
            (1, 9),
            "{datagrams:?}"
        );
        assert_eq!(datagrams.late, counted.replied_late);
    }
}

/// Datagrams without a number of their own, of any size: one that comes twice is not taken for a wrong answer to the next.
#[test]
fn an_answer_that_comes_twice_is_no_wrong_one_without_a_number_either() {
    let faults = Faults {
        odds: Odds {
            duplicate: 0.3,
            ..Odds::default()
        },
        ..Faults::default()
    };
    let serving = Serving::start_faulty(config(), Echo, &faults);
    let outcome = run(udp(serving.udp[0], |plan| {
        plan.sizes = Sizes::range(1, 31);
        plan.stop = Stop::Messages(500);
    }));
    assert_clean(&outcome, 500);
    assert!(serving.finish().faults.sent_twice > 100);
}

/// What was sent on one flow and comes back on another is as wrong as can be.
#[test]
fn an_answer_to_another_flow_is_a_mismatch_that_names_it() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(5_000 * MS)).unwrap();
    let address = server.local_addr().unwrap();
    let served = thread::spawn(move || {
        let (mut first, mut second) = ([0; 64], [0; 64]);
        let (_, one) = server.recv_from(&mut first).unwrap();
        let (_, other) = server.recv_from(&mut second).unwrap();
        assert_ne!(one, other);
        server.send_to(&second, one).unwrap();
    });
    let outcome = run(udp(address, |plan| {
        (plan.reply, plan.stop) = (Reply::Echo, Stop::Messages(2));
        (plan.connections, plan.timeout) = (2, 100 * MS);
    }));
    served.join().unwrap();
    let counted = &outcome.messages;
    assert_eq!((counted.mismatched, counted.lost), (1, 1), "{outcome:?}");
    let mismatch = &outcome.mismatches[0];
    let other = 1 - mismatch.connection;
    assert_eq!(mismatch.kind, MismatchKind::Foreign(other));
}

/// connect(2) to the broadcast address fails: the socket does not have `SO_BROADCAST` (ip(7)).
#[test]
fn unreachable_address_is_skipped_and_the_result_names_the_one_in_use() {
    let serving = Serving::start(config(), Echo);
    let unreachable = SocketAddr::from(([255, 255, 255, 255], 9));
    let outcome = run(udp(unreachable, |plan| {
        plan.other_addresses = vec![vec![unreachable, serving.udp[0]]];
        plan.connections = 3;
    }));
    assert_clean(&outcome, 1_000);
    assert_eq!(outcome.servers[0].address, serving.udp[0]);
    assert_eq!(outcome.servers[0].failed, 0);
    serving.finish();
}

#[test]
fn addresses_are_not_left_once_a_datagram_has_come() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let serving = Serving::start(config(), Echo);
    // It replies to one datagram.
    let replied = thread::spawn(move || {
        let mut datagram = [0; 64];
        let (size, from) = server.recv_from(&mut datagram).unwrap();
        let reply = [&datagram[..size], b"| lee"].concat();
        server.send_to(&reply, from).unwrap();
        server
    });
    let outcome = run(udp(address, |plan| {
        plan.other_addresses = vec![vec![serving.udp[0]]];
        (plan.timeout, plan.drain) = (50 * MS, 500 * MS);
        plan.stop = Stop::Messages(5);
    }));
    assert_eq!((outcome.messages.replied, outcome.messages.lost), (1, 4));
    assert_eq!(outcome.servers[0].address, address);
    drop(replied.join().unwrap());
    serving.finish();
}
