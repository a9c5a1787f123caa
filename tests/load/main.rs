//! The load generator against servers of the library, over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod accounting;
mod adversity;
mod datagrams;
mod greeting;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Duration;

use echoloop::Reactor;
use echoloop::load::{
    Arrival, Churn, Close, Load, Outcome, Plan, Profile, Reply, Sizes, Stop, Verify,
};
use echoloop::reactor::Timer;
use echoloop::server::TIME_MAX;
use echoloop::service::{Delay, Discard, Echo, Faults, Suffix};
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
    let outcome = load.finish().unwrap();
    assert_accounted(&outcome);
    outcome
}

/// Every message ends in one state, and no time is longer than the run.
#[track_caller]
fn assert_accounted(outcome: &Outcome) {
    let messages = &outcome.messages;
    assert_eq!(messages.ended(), messages.offered, "{messages:?}");
    assert!(messages.failed() <= messages.offered, "{messages:?}");
    assert!(messages.sent_in_window <= messages.sent(), "{messages:?}");
    assert!(
        messages.completed_in_window <= messages.completed(),
        "{messages:?}"
    );
    assert_eq!(outcome.internal_error, None);
    let latency = &outcome.latency;
    assert_eq!(latency.service.len(), messages.timed(), "{messages:?}");
    // A histogram rounds by a thousandth.
    let length = outcome.length.as_nanos() as u64 * 1_001 / 1_000;
    for times in [
        &latency.response,
        &latency.service,
        &latency.lag,
        &latency.connect,
    ] {
        assert!(times.max() <= length, "{} in {length}", times.max());
    }
}

/// Everything was sent once and answered once, and nothing else happened.
#[track_caller]
fn assert_clean(outcome: &Outcome, messages: u64) {
    let counted = &outcome.messages;
    assert_eq!(
        (counted.offered, counted.sent(), counted.replied),
        (messages, messages, messages),
        "{outcome:?}"
    );
    assert_eq!(
        (outcome.error_count(), outcome.wrong_replies),
        (0, 0),
        "{outcome:?}"
    );
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
            .all(|interval| interval.replied > 0)
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
    assert!((1..=12).contains(&counted.sent()), "{counted:?}");
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
    assert_eq!(counted.sent() + counted.shed, 50);
    assert_eq!(counted.replied, counted.sent());
    assert!(counted.shed >= 30, "{counted:?}");
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
    let wrong = run(plan(serving.tcp[0], |plan| plan.stop = Stop::Messages(10)));
    assert_eq!(
        wrong.wrong_replies, 10,
        "five bytes too many are not an echo"
    );
    let lax = run(plan(serving.tcp[0], |plan| plan.verify = Verify::Off));
    assert_clean(&lax, 1_000);
    serving.finish();

    let serving = Serving::start(config(), Discard);
    let outcome = run(plan(serving.tcp[0], |plan| plan.reply = Reply::None));
    assert_eq!(
        (outcome.messages.written, outcome.messages.replied),
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
            let source = |last| std::net::IpAddr::from([127, 0, 0, last]).into();
            plan.sources = (1..=3).map(source).collect();
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

/// A schedule is for those who send.
#[test]
fn idle_connections_have_no_part_in_a_schedule() {
    let serving = Serving::start(config(), Echo);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.connections, plan.idle) = (2, 10);
        plan.rate = Some(Profile::constant(1_000.0));
        plan.stop = Stop::After(200 * MS);
    }));
    assert_clean(&outcome, 200);
    serving.finish();
}

/// What a load costs is told of the time that was measured.
#[test]
fn events_of_the_warm_up_are_no_cost_of_what_is_measured() {
    let serving = Serving::start(config(), Echo);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.warmup, plan.stop) = (300 * MS, Stop::Messages(500));
    }));
    let (client, answered) = (&outcome.client, outcome.messages.replied);
    assert_eq!(answered, 500);
    assert!(client.turns.events <= 2 * answered, "{client:?}");
    assert!(client.reads <= 2 * answered, "{client:?}");
    serving.finish();
}

/// As long as may be, counted from now, is still a time.
#[test]
fn connections_that_may_take_for_ever_are_begun_with_at_once() {
    let serving = Serving::start(config(), Echo);
    let outcome = run(plan(serving.tcp[0], |plan| {
        (plan.connections, plan.connect_timeout) = (3, TIME_MAX);
    }));
    assert_clean(&outcome, 1_000);
    serving.finish();
}
