//! Datagrams: numbered, and all accounted for.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;

use echoloop::load::{MismatchKind, Plan, Profile, Reply, Sizes, Step, Stop};
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
fn a_datagram_nobody_takes_is_an_error_by_name() {
    // Bound, so that nobody else gets the port, and by TCP: whoever sends datagrams there is refused.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let outcome = run(udp(nobody.local_addr().unwrap(), |plan| {
        (plan.stop, plan.timeout) = (Stop::Messages(3), 50 * MS);
    }));
    assert_eq!(outcome.messages.answered, 0);
    assert_eq!(outcome.udp.as_ref().unwrap().lost, 3);
    let refused = |step| outcome.errors.get(&(step, "ECONNREFUSED".to_owned()));
    let count = refused(Step::Read).unwrap_or(&0) + refused(Step::Write).unwrap_or(&0);
    assert!(count >= 1, "{:?}", outcome.errors);
    // A poll that forgets a socket which has had an error is no reason to ask over and over.
    assert!(outcome.client.reads < 50, "{} reads", outcome.client.reads);
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
        assert_eq!((counted.answered, counted.mismatch), (90, 10), "{size}");
        assert_eq!((counted.unanswered, counted.timeout), (0, 0), "{size}");
        let datagrams = outcome.udp.unwrap();
        assert_eq!((datagrams.corrupt, datagrams.received), (10, 100));
        assert_eq!((datagrams.lost, datagrams.late), (0, 0), "{size}");
    }
}

/// What was given up for lost and comes after all was late.
#[test]
fn an_answer_behind_its_time_is_late_and_no_longer_lost() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut bytes = [0; 64];
        for number in 0..10 {
            let (count, from) = server.recv_from(&mut bytes).unwrap();
            // The second is never answered, the third behind its time.
            match number {
                1 => continue,
                2 => thread::sleep(150 * MS),
                _ => {}
            }
            server.send_to(&bytes[..count], from).unwrap();
        }
    });
    let outcome = run(udp(address, |plan| {
        (plan.reply, plan.stop) = (Reply::Echo, Stop::Messages(10));
        (plan.timeout, plan.drain) = (50 * MS, 400 * MS);
    }));
    served.join().unwrap();
    let datagrams = outcome.udp.unwrap();
    assert!(datagrams.late >= 1, "{datagrams:?}");
    assert_eq!(
        datagrams.lost + datagrams.received,
        10,
        "what came is not lost: {datagrams:?}"
    );
    assert_eq!(
        outcome.messages.answered + datagrams.late,
        datagrams.received
    );
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
    assert_eq!(outcome.messages.mismatch, 1, "{outcome:?}");
    let mismatch = &outcome.mismatches[0];
    let other = 1 - mismatch.connection;
    assert_eq!(mismatch.kind, MismatchKind::Foreign(other));
}
