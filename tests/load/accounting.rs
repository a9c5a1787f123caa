//! How messages end, what the measured window contains, and what a load does while nothing happens.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use echoloop::Reactor;
use echoloop::load::{Load, Plan, Profile, Stop};
use echoloop::reactor::Timer;
use echoloop::service::{Delay, Discard, Echo, Faults};

use super::support::serving::{Serving, config};
use super::{MS, assert_accounted, assert_clean, plan, run, serve_slowly};

#[test]
fn messages_without_a_reply_are_counted_as_timed_out_or_never_sent_and_not_timed() {
    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| {
        plan.connections = 2;
        plan.rate = Some(Profile::constant(100.0));
        (plan.stop, plan.timeout, plan.drain) = (Stop::After(300 * MS), 100 * MS, 100 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!((counted.offered, counted.sent()), (30, 2), "{counted:?}");
    assert_eq!(
        (counted.timed_out, counted.never_sent),
        (2, 28),
        "{counted:?}"
    );
    assert_eq!(outcome.latency.response.len(), 0);
    assert!(outcome.silence.is_some_and(|silence| silence >= 250 * MS));
    serving.finish();
}

#[test]
fn messages_in_flight_when_the_run_ends_before_their_time_limit_are_unanswered() {
    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| {
        plan.connections = 3;
        (plan.stop, plan.drain) = (Stop::After(100 * MS), 50 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.unanswered_at_end),
        (3, 3),
        "{counted:?}"
    );
    assert_eq!(counted.failed(), 3);
    serving.finish();
}

#[test]
fn a_message_of_the_warm_up_that_times_out_is_not_counted() {
    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| {
        plan.rate = Some(Profile::constant(100.0));
        (plan.warmup, plan.stop) = (50 * MS, Stop::After(200 * MS));
        (plan.timeout, plan.drain) = (100 * MS, 10 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.never_sent),
        (20, 20),
        "{counted:?}"
    );
    serving.finish();
}

#[test]
fn a_run_of_a_number_of_messages_is_given_up_when_no_reply_comes() {
    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.timeout, plan.drain, plan.interval) = (50 * MS, 50 * MS, 20 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!((counted.offered, counted.sent()), (1_000, 1), "{counted:?}");
    assert_eq!(
        (counted.timed_out, counted.never_sent),
        (1, 999),
        "{counted:?}"
    );
    assert!(outcome.gave_up.is_some_and(|waited| waited >= 100 * MS));
    serving.finish();
}

/// Ten connections can do 100 messages per second at most when a reply takes 100 ms.
#[test]
fn rates_do_not_contain_what_is_sent_and_replied_to_while_draining() {
    let faults = Faults {
        delay: Some(Delay::Constant(100 * MS)),
        ..Faults::default()
    };
    let serving = Serving::start_faulty(config(), Echo, &faults);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.connections, plan.rate) = (10, Some(Profile::constant(400.0)));
        plan.stop = Stop::After(500 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.completed()),
        (200, 200),
        "{counted:?}"
    );
    assert!((30..=60).contains(&counted.sent_in_window), "{counted:?}");
    assert!(
        (20..=50).contains(&counted.completed_in_window),
        "{counted:?}"
    );
    assert_eq!(outcome.bytes_sent, 64 * counted.sent_in_window);
    assert_eq!(outcome.bytes_received, 64 * counted.completed_in_window);
    serving.finish();
}

#[test]
fn the_window_of_a_number_of_messages_ends_with_the_last_reply() {
    let serving = serve_slowly();
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.connections, plan.stop) = (10, Stop::Messages(10));
    }));
    assert_clean(&outcome, 10);
    assert_eq!(outcome.messages.completed_in_window, 10);
    assert!(outcome.measured >= 50 * MS, "{:?}", outcome.measured);
    assert!(outcome.measured <= outcome.length);
    serving.finish();
}

#[test]
fn a_reply_after_its_time_limit_is_late() {
    let serving = serve_slowly();
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.stop, plan.timeout) = (Stop::Messages(5), 20 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.replied_late),
        (5, 5),
        "{counted:?}"
    );
    assert_eq!(counted.failed(), 0);
    serving.finish();
}

#[test]
fn each_server_has_counts_of_its_own() {
    let (one, other) = (Serving::start(config(), Echo), serve_slowly());
    let outcome = run(plan(one.tcp[0], |plan| {
        plan.targets.push(other.tcp[0]);
        (plan.connections, plan.stop) = (4, Stop::After(300 * MS));
    }));
    let [fast, slow] = &outcome.servers[..] else {
        panic!("two servers: {:?}", outcome.servers);
    };
    assert_eq!((fast.address, slow.address), (one.tcp[0], other.tcp[0]));
    assert_eq!((fast.established, slow.established), (2, 2));
    assert!(
        (8..=14).contains(&slow.messages.replied),
        "{:?}",
        slow.messages
    );
    let sum = fast.messages.replied + slow.messages.replied;
    assert_eq!(sum, outcome.messages.replied);
    let times = slow.service.as_ref().unwrap();
    assert_eq!(times.len(), slow.messages.timed());
    assert!(times.min() >= 49_000_000);
    one.finish();
    other.finish();
}

/// A slow schedule: the time between its messages is not a wait for a reply.
#[test]
fn one_lost_datagram_does_not_end_a_slow_run_of_a_number_of_messages() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut bytes = [0; 64];
        for number in 0..5 {
            let (count, from) = server.recv_from(&mut bytes).unwrap();
            if number != 1 {
                server.send_to(&bytes[..count], from).unwrap();
            }
        }
    });
    let outcome = run(plan(address, |plan| {
        (plan.udp, plan.stop) = (true, Stop::Messages(5));
        plan.rate = Some(Profile::constant(4.0));
        (plan.timeout, plan.drain) = (20 * MS, 20 * MS);
    }));
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.replied, counted.lost),
        (5, 4, 1),
        "{counted:?}"
    );
    assert_eq!(outcome.gave_up, None);
    served.join().unwrap();
}

/// Idle connections that the server closes do not reach back behind the replies on others.
#[test]
fn a_connection_that_is_closed_without_a_reply_does_not_end_a_run_that_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = AtomicUsize::new(0);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let is_second = accepted.fetch_add(1, Ordering::Relaxed) == 1;
            thread::spawn(move || {
                if is_second {
                    // Long after the first replies on the other.
                    return thread::sleep(400 * MS);
                }
                let mut bytes = [0; 64];
                while stream.read_exact(&mut bytes).is_ok() {
                    thread::sleep(5 * MS);
                    if stream.write_all(&bytes).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let outcome = run(plan(address, |plan| {
        (plan.connections, plan.stop) = (2, Stop::Messages(150));
        (plan.timeout, plan.drain) = (100 * MS, 100 * MS);
    }));
    assert_eq!(outcome.gave_up, None, "{:?}", outcome.messages);
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.connection_lost),
        (150, 1),
        "{counted:?}"
    );
}

/// The last datagrams are lost: the window ends with the last reply, and so do its counts.
#[test]
fn messages_sent_after_the_last_reply_of_a_run_with_n_are_not_in_its_window() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut bytes = [0; 64];
        for number in 0..100 {
            let (count, from) = server.recv_from(&mut bytes).unwrap();
            if number < 50 {
                server.send_to(&bytes[..count], from).unwrap();
            }
        }
    });
    let outcome = run(plan(address, |plan| {
        (plan.udp, plan.stop, plan.pipeline) = (true, Stop::Messages(100), 1024);
        plan.rate = Some(Profile::constant(500.0));
        (plan.timeout, plan.drain) = (300 * MS, 300 * MS);
    }));
    served.join().unwrap();
    let counted = &outcome.messages;
    assert_eq!((counted.offered, counted.lost), (100, 50), "{counted:?}");
    assert!((50..=52).contains(&counted.sent_in_window), "{counted:?}");
    assert!(outcome.measured < 150 * MS, "{:?}", outcome.measured);
    assert!(outcome.bytes_sent <= 52 * 64, "{}", outcome.bytes_sent);
    assert!(outcome.client.observed >= 400 * MS);
    assert!(outcome.silence.is_some());
}

/// How many iterations the loop made, of a run to its end.
fn iterations(plan: Plan) -> u64 {
    let mut reactor = Reactor::with_timer(Timer::Timerfd).unwrap();
    let mut load = Load::new(plan, |_| ()).unwrap();
    reactor.run(&mut load).unwrap();
    assert_accounted(&load.finish().unwrap());
    reactor.turns().count
}

/// 600 ms in which nothing happens but heartbeats, whatever is waited for.
#[test]
fn the_loop_does_not_spin_while_nothing_happens() {
    let discard = Serving::start(config(), Discard);
    let wait = |plan: &mut Plan| {
        (plan.stop, plan.drain) = (Stop::After(100 * MS), 500 * MS);
        plan.timeout = 400 * MS;
    };
    let stream = plan(discard.tcp[0], wait);
    let paced = plan(discard.tcp[0], |plan| {
        wait(plan);
        plan.rate = Some(Profile::constant(20.0));
    });
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagrams = plan(sink.local_addr().unwrap(), |plan| {
        wait(plan);
        (plan.udp, plan.pipeline) = (true, 4);
    });
    let paced_datagrams = Plan {
        rate: Some(Profile::constant(20.0)),
        ..datagrams.clone()
    };
    let idle = plan(discard.tcp[0], |plan| {
        wait(plan);
        (plan.idle, plan.think) = (3, Duration::from_secs(60));
    });
    for plan in [stream, paced, datagrams, paced_datagrams, idle] {
        let described = format!("{plan:?}");
        let iterations = iterations(plan);
        // A heartbeat comes every 20 ms.
        assert!(iterations <= 80, "{iterations} iterations: {described}");
    }
    discard.finish();
}
