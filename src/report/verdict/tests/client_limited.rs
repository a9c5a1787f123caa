use std::time::Duration;

use super::*;

/// How busy the client was, in thousandths.
pub(super) fn busy(outcome: &mut Outcome, thousandths: u64) {
    outcome.client.busy = Duration::from_millis(thousandths);
    outcome.client.waiting = Duration::from_millis(1000 - thousandths);
}

/// The lag of every message, in nanoseconds, and their number.
fn lag(outcome: &mut Outcome, nanoseconds: u64, count: u64) {
    outcome.latency.lag.reset();
    outcome.latency.lag.record_n(nanoseconds, count).unwrap();
}

#[test]
fn a_client_that_is_hardly_ever_idle_limits_an_open_loop() {
    assert_eq!(verdict(|outcome, _| busy(outcome, 900)), Verdict::Valid);
    let said = "This client was busy 90.1 % of the time, more than 90 %, so messages waited for it: lower --rate, or \
                give it a core of its own.";
    let limited = judged(|outcome, _| busy(outcome, 901));
    assert_eq!(limited, (Verdict::ClientLimited, said.to_owned()));
}

#[test]
fn a_client_that_never_waits_limits_a_closed_loop() {
    let closed = |thousandths| {
        judged(|outcome, plan| {
            closed(plan);
            // Without a schedule there is no lag, whatever was recorded.
            lag(outcome, 1_000_000, 500_000);
            busy(outcome, thousandths);
        })
    };
    assert_eq!(closed(970), (Verdict::Valid, String::new()));
    let (verdict, said) = closed(971);
    assert_eq!(verdict, Verdict::ClientLimited);
    let beginning = "This client was busy 97.1 % of the time, more than 97 %, so it never waited for the server";
    assert!(said.starts_with(beginning), "{said}");
}

#[test]
fn lag_limits_if_it_is_high_in_itself_and_beside_the_response() {
    let late = |lag_ns, response_ns, count| {
        judged(|outcome, _| {
            lag(outcome, lag_ns, count);
            outcome.latency.response.reset();
            let response = &mut outcome.latency.response;
            response.record_n(response_ns, count).unwrap();
        })
    };
    assert_eq!(
        late(99_000, 200_000, 500_000).0,
        Verdict::Valid,
        "a punctual sleep"
    );
    assert_eq!(
        late(2_000_000, 30_000_000, 500_000).0,
        Verdict::Valid,
        "a slow server"
    );
    let (verdict, said) = late(412_000, 1_200_000, 500_000);
    assert_eq!(verdict, Verdict::ClientLimited);
    let expected = "This client was late by itself: p99 of its lag is 412 µs, more than 100 µs and 34.34 % of the \
                    response p99 of 1.20 ms, more than 10 %. Give it a core of its own, or use --timer spin.";
    assert_eq!(said, expected);
}

#[test]
fn a_lower_percentile_shows_lag_when_there_are_too_few_samples_for_p99() {
    let late = |count| {
        judged(|outcome, _| {
            for times in [&mut outcome.latency.lag, &mut outcome.latency.response] {
                times.reset();
                times.record_n(900_000_000, count).unwrap();
            }
        })
    };
    for (count, percentile) in [(999, "p95"), (150, "p90"), (99, "p50"), (5, "the median")] {
        let (verdict, said) = late(count);
        assert_eq!(verdict, Verdict::ClientLimited, "{count}");
        let beginning =
            format!("This client was late by itself: {percentile} of its lag is 900 ms");
        assert!(said.starts_with(&beginning), "{said}");
    }
}

#[test]
fn a_client_that_did_not_run_limits_any_loop() {
    let paused = |milliseconds, is_open: bool| {
        judged(|outcome, plan| {
            outcome.client.paused = Duration::from_millis(milliseconds);
            outcome.client.longest_pause = Duration::from_millis(milliseconds / 2);
            if !is_open {
                closed(plan);
            }
        })
    };
    for is_open in [false, true] {
        assert_eq!(paused(100, is_open).0, Verdict::Valid, "a hundredth");
        let (verdict, said) = paused(1_000, is_open);
        assert_eq!(verdict, Verdict::ClientLimited);
        let beginning = "This client was late for its own timer, by 1.00 s of 10.0 s in all (10 %) and once by 500 ms";
        assert!(said.starts_with(beginning), "{said}");
    }
}

#[test]
fn a_client_that_waits_for_a_processor_limits_any_loop() {
    let queued = |milliseconds, iterations| {
        judged(|outcome, plan| {
            outcome.client.run_queue_wait = Some(Duration::from_millis(milliseconds));
            outcome.client.turns.count = iterations;
            closed(plan);
        })
    };
    assert_eq!(queued(500, 20_000).0, Verdict::Valid);
    let (verdict, said) = queued(510, 20_000);
    assert_eq!(verdict, Verdict::ClientLimited);
    let beginning = "This client was ready to run and waited for a processor 5.1 % of the time, more than 5 %, and 26 µs \
                     at a time on average";
    assert!(said.starts_with(beginning), "{said}");
    // The mean service time is 84 µs.
    assert_eq!(queued(510, 130_000).0, Verdict::Valid, "4 µs at a time");
    assert_eq!(queued(510, 110_000).0, Verdict::ClientLimited, "5 µs");
}

#[test]
fn a_receive_buffer_that_overflows_limits() {
    let overflowed = |count| {
        judged(|outcome, plan| {
            plan.udp = true;
            outcome.messages.local_overflow = count;
            outcome.messages.replied -= count;
        })
    };
    assert_eq!(overflowed(5_000).0, Verdict::Valid);
    let (verdict, said) = overflowed(5_001);
    assert_eq!(verdict, Verdict::ClientLimited);
    assert!(said.contains("no room for 5 001 replies"), "{said}");
}

#[test]
fn a_machine_without_ports_limits_and_names_the_error() {
    let (verdict, said) = judged(|outcome, _| {
        outcome.connections.failed_locally = 50;
        let error = (crate::load::Step::Connect, "EADDRNOTAVAIL".to_owned());
        outcome.errors.insert(error, 50);
    });
    assert_eq!(verdict, Verdict::ClientLimited);
    assert!(
        said.contains("50 attempts to connect (EADDRNOTAVAIL)"),
        "{said}"
    );
}
