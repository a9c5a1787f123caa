//! The load generator against servers of the library, over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use echoloop::Reactor;
use echoloop::load::{
    Arrival, Churn, Close, Load, MismatchKind, Outcome, Plan, Profile, Reply, Sizes, Step, Stop,
    Verify,
};
use echoloop::reactor::Timer;
use echoloop::service::{Delay, Discard, Echo, Faults, Odds, Suffix};
use socket2::SockRef;
use support::serving::{Serving, config};

const MS: Duration = Duration::from_millis(1);

fn plan(address: SocketAddr, change: impl FnOnce(&mut Plan)) -> Plan {
    let mut plan = Plan::new();
    plan.targets = vec![address];
    plan.warmup = Duration::ZERO;
    plan.stop = Stop::Messages(1_000);
    change(&mut plan);
    plan
}

fn run(plan: Plan) -> Outcome {
    let mut reactor = Reactor::with_timer(Timer::Timerfd).unwrap();
    let mut load = Load::new(plan, |_| ()).unwrap();
    reactor.run(&mut load).unwrap();
    load.finish().unwrap()
}

/// Everything was sent once and answered once, and nothing else happened.
#[track_caller]
fn assert_clean(outcome: &Outcome, messages: u64) {
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.sent, counted.answered),
        (messages, messages, messages),
        "{outcome:?}"
    );
    let wrong = [
        counted.timeout,
        counted.shed,
        counted.unsent,
        counted.unanswered,
        counted.mismatch,
        outcome.error_count(),
    ];
    assert_eq!(wrong, [0; 6], "{outcome:?}");
    assert_eq!(outcome.latency.service.len(), messages);
}

#[test]
fn a_closed_loop_sends_as_many_messages_as_it_was_told_to() {
    let serving = Serving::start(config(), Echo);
    for (connections, pipeline) in [(1, 1), (7, 1), (3, 16), (300, 1)] {
        let outcome = run(plan(serving.tcp[0], |plan| {
            (plan.connections, plan.pipeline) = (connections, pipeline);
        }));
        assert_clean(&outcome, 1_000);
        assert_eq!(outcome.bytes_sent, 64_000);
        assert_eq!(outcome.connections.established, connections as u64);
        assert_eq!(outcome.latency.connect.len(), connections as u64);
    }
    serving.finish();
}

/// Any size, many in flight, cut as TCP likes: nothing but what was sent comes back.
#[test]
fn streams_of_any_size_are_verified_to_the_byte() {
    let serving = Serving::start(config(), Echo);
    for sizes in [
        Sizes::fixed(1),
        Sizes::range(1, 5_000),
        Sizes::weighted(&[(10, 9), (300_000, 1)]),
    ] {
        let outcome = run(plan(serving.tcp[0], |plan| {
            (plan.connections, plan.pipeline, plan.sizes) = (5, 8, sizes);
            plan.stop = Stop::Messages(400);
        }));
        assert_clean(&outcome, 400);
    }
    let counters = serving.finish();
    assert_eq!(
        counters.clients.moved.received_bytes,
        counters.clients.moved.sent_bytes
    );
}

#[test]
fn an_open_loop_offers_what_its_schedule_says_however_it_is_spread() {
    let serving = Serving::start(config(), Echo);
    for (arrival, exact) in [(Arrival::Constant, true), (Arrival::Poisson, false)] {
        for warmup in [Duration::ZERO, 100 * MS] {
            let outcome = run(plan(serving.tcp[0], |plan| {
                (plan.connections, plan.arrival) = (10, arrival);
                plan.rate = Some(Profile::constant(2_000.0));
                (plan.stop, plan.warmup) = (Stop::After(500 * MS), warmup);
            }));
            let offered = outcome.messages.offered;
            assert_clean(&outcome, offered);
            assert!(!exact || offered == 1_000, "{offered}");
            // Four standard deviations of a Poisson process.
            assert!((873..=1_127).contains(&offered), "{offered}");
            assert_eq!(outcome.latency.response.len(), offered);
            assert_eq!(outcome.latency.lag.len(), offered);
            assert_eq!(outcome.measured, 500 * MS);
        }
    }
    serving.finish();
}

#[test]
fn every_interval_is_told_and_together_they_are_the_whole() {
    let serving = Serving::start(config(), Echo);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.connections, plan.interval) = (4, 100 * MS);
        plan.rate = Some(Profile::constant(1_000.0));
        (plan.stop, plan.warmup) = (Stop::After(400 * MS), 50 * MS);
    }));
    assert_eq!(outcome.intervals.len(), 4, "{:?}", outcome.intervals);
    assert!(
        outcome
            .intervals
            .iter()
            .all(|interval| interval.answered > 0)
    );
    let sent: u64 = outcome.intervals.iter().map(|interval| interval.sent).sum();
    // What was due in the last moment may have been sent behind it.
    assert!((396..=400).contains(&sent), "{sent}");
    assert!(
        outcome
            .intervals
            .iter()
            .all(|interval| interval.p50 > 0 && interval.max >= interval.p99)
    );
    serving.finish();
}

/// A server that takes 50 ms for an answer.
fn serve_slowly() -> Serving {
    let faults = Faults {
        delay: Some(Delay::Constant(50 * MS)),
        ..Faults::default()
    };
    Serving::start_faulty(config(), Echo, &faults)
}

/// A message is measured from when it was due, although it could not be sent before the one ahead of it was answered.
#[test]
fn what_waits_behind_a_slow_answer_is_measured_from_when_it_was_due() {
    let serving = serve_slowly();
    let outcome = run(plan(serving.tcp[0], |plan| {
        // One connection can do 20 a second, and is asked for 100.
        plan.rate = Some(Profile::constant(100.0));
        (plan.stop, plan.drain) = (Stop::After(500 * MS), Duration::from_secs(30));
    }));
    assert_clean(&outcome, 50);
    let (response, service) = (&outcome.latency.response, &outcome.latency.service);
    assert!(service.min() >= 49_000_000, "{}", service.min());
    // The fiftieth is due after 0.49 s and answered after 2.5 s.
    assert!(response.max() >= 1_990_000_000, "{}", response.max());
    // We were not late: the answers were.
    assert!(outcome.latency.lag.value_at_quantile(0.5) < 40_000_000);
    serving.finish();
}

/// A server that falls behind already while it warms up: what was due then is not what is measured.
#[test]
fn what_a_warm_up_leaves_behind_is_not_sent_in_the_place_of_what_is_measured() {
    let serving = serve_slowly();
    let outcome = run(plan(serving.tcp[0], |plan| {
        plan.rate = Some(Profile::constant(100.0));
        (plan.stop, plan.warmup, plan.drain) = (Stop::After(500 * MS), 500 * MS, MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(counted.offered, 50, "{counted:?}");
    assert!((1..=12).contains(&counted.sent), "{counted:?}");
    serving.finish();
}

#[test]
fn what_is_too_late_to_be_sent_is_dropped_and_counted() {
    let serving = serve_slowly();
    let outcome = run(plan(serving.tcp[0], |plan| {
        plan.rate = Some(Profile::constant(100.0));
        (plan.stop, plan.deadline) = (Stop::After(500 * MS), Some(20 * MS));
    }));
    let counted = &outcome.messages;
    assert_eq!(counted.offered, 50);
    assert_eq!(counted.sent + counted.shed, 50);
    assert_eq!(counted.answered, counted.sent);
    assert!(counted.shed >= 30, "{counted:?}");
    serving.finish();
}

/// It was due and never sent, or sent and never answered: it counts with the time it has waited.
#[test]
fn what_was_never_answered_is_not_left_out() {
    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| {
        plan.connections = 2;
        plan.rate = Some(Profile::constant(100.0));
        (plan.stop, plan.timeout, plan.drain) = (Stop::After(300 * MS), 100 * MS, 100 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!((counted.sent, counted.unsent), (2, 28), "{counted:?}");
    assert_eq!((counted.unanswered, counted.timeout), (2, 2), "{counted:?}");
    assert_eq!((counted.offered, counted.answered), (30, 0));
    assert_eq!(outcome.latency.response.len(), 30);
    assert!(outcome.latency.response.max() >= 390_000_000);
    serving.finish();
}

#[test]
fn a_run_of_so_many_messages_ends_although_nobody_answers() {
    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.timeout, plan.drain, plan.interval) = (50 * MS, 50 * MS, 20 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(
        (counted.sent, counted.unanswered, counted.timeout),
        (1, 1, 1)
    );
    serving.finish();
}

#[test]
fn a_load_that_sends_seldom_is_not_taken_for_one_that_has_come_to_a_stand() {
    let serving = Serving::start(config(), Echo);
    let outcome = run(plan(serving.tcp[0], |plan| {
        plan.rate = Some(Profile::constant(2.0));
        (plan.stop, plan.connections) = (Stop::Messages(3), 1);
        (plan.timeout, plan.drain) = (Duration::from_millis(200), Duration::from_millis(20));
    }));
    assert_clean(&outcome, 3);
    serving.finish();
}

#[test]
fn answers_of_every_kind_are_recognised() {
    let serving = Serving::start(config(), Suffix::new(*b"| lee"));
    let suffix = || Reply::Suffix(b"| lee".to_vec());
    for reply in [suffix(), Reply::Size(69), Reply::Until(b"| lee".to_vec())] {
        let outcome = run(plan(serving.tcp[0], |plan| {
            (plan.connections, plan.reply) = (3, reply);
        }));
        assert_clean(&outcome, 1_000);
    }
    let counted = run(plan(serving.tcp[0], |plan| plan.stop = Stop::Messages(10))).messages;
    assert_eq!(counted.mismatch, 10, "five bytes too many are not an echo");
    let lax = run(plan(serving.tcp[0], |plan| plan.verify = Verify::Off));
    assert_clean(&lax, 1_000);
    serving.finish();

    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| plan.reply = Reply::None));
    assert_eq!(
        (outcome.messages.sent, outcome.messages.answered),
        (1_000, 0)
    );
    assert_eq!(serving.finish().clients.moved.received_bytes, 64_000);
}

#[test]
fn a_message_of_ones_own_is_sent_as_it_is() {
    let serving = Serving::start(config(), Echo);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.message, plan.pipeline) = (Some(b"PING\r\n".to_vec()), 4);
    }));
    assert_clean(&outcome, 1_000);
    assert_eq!(serving.finish().clients.moved.received_bytes, 6_000);
}

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
        assert_eq!(outcome.messages.mismatch, 1);
        assert_eq!(outcome.messages.answered, 2);
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

#[test]
fn a_server_that_closes_resets_or_refuses_is_told_by_name() {
    let (address, served) = serve_each(3, |mut stream| {
        stream.read_exact(&mut [0; 64]).unwrap();
    });
    let outcome = run(plan(address, |plan| {
        (plan.stop, plan.drain) = (Stop::Messages(3), 200 * MS);
    }));
    let eof = (Step::Read, "end of file before the answer".to_owned());
    assert_eq!(outcome.errors.get(&eof), Some(&3), "{:?}", outcome.errors);
    assert_eq!(outcome.messages.unanswered, 3);
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

    // The last server's port: nobody listens there any more.
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
    assert_eq!(outcome.messages.answered, 4, "{outcome:?}");
    assert!(outcome.connections.closed_by_peer >= 1);
    served.join().unwrap();
}

#[test]
fn churn_opens_connections_anew_from_every_source() {
    let serving = Serving::start(config(), Echo);
    for (close, churn) in [
        (Close::Fin, Churn::Messages(1)),
        (Close::Reset, Churn::Messages(3)),
        (Close::Fin, Churn::After(20 * MS)),
    ] {
        let outcome = run(plan(serving.tcp[0], |plan| {
            (plan.connections, plan.close, plan.churn) = (4, close, Some(churn));
            plan.sources = (1..=3).map(|last| [127, 0, 0, last].into()).collect();
            if let Churn::After(_) = churn {
                plan.stop = Stop::After(300 * MS);
            }
        }));
        let connections = &outcome.connections;
        assert_clean(&outcome, outcome.messages.offered);
        assert!(connections.churned >= 4, "{connections:?}");
        if let Churn::Messages(each) = churn {
            assert!(connections.churned >= 1_000 / each - 4, "{connections:?}");
        }
        assert!(connections.established >= connections.churned);
    }
    serving.finish();
}

#[test]
fn idle_connections_are_held_and_say_nothing() {
    let serving = Serving::start(config(), Echo);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.connections, plan.idle) = (2, 50);
    }));
    assert_clean(&outcome, 1_000);
    assert_eq!(outcome.connections.most, 52);
    let counters = serving.finish();
    assert_eq!(counters.clients.accepted, 52);
    assert_eq!(counters.clients.moved.received_bytes, 64_000);
}

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
}
