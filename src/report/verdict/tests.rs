use super::*;
use crate::load::{Arrival, Churn, Profile};
use crate::report::sample;

/// The verdict of the sample, changed in one way.
fn judged(change: impl FnOnce(&mut Outcome, &mut Plan)) -> (Verdict, String) {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    change(&mut outcome, &mut plan);
    let judgement = judge(&outcome, &plan);
    (judgement.verdict, judgement.reasons.join("\n"))
}

fn verdict(change: impl FnOnce(&mut Outcome, &mut Plan)) -> Verdict {
    judged(change).0
}

/// Answers in each interval.
fn answers(outcome: &mut Outcome, counts: &[u64]) {
    let intervals = counts.iter().zip(1..).map(|(&answered, end)| Interval {
        answered,
        ..sample::interval(end)
    });
    outcome.intervals = intervals.collect();
}

/// How busy the client was, in thousandths.
fn busy(outcome: &mut Outcome, thousandths: u64) {
    use std::time::Duration;
    outcome.client.busy = Duration::from_millis(thousandths);
    outcome.client.waiting = Duration::from_millis(1000 - thousandths);
}

/// What the client was late by, always, in nanoseconds.
fn lag(outcome: &mut Outcome, nanoseconds: u64) {
    outcome.latency.lag.reset();
    outcome.latency.lag.record_n(nanoseconds, 500_000).unwrap();
}

#[test]
fn a_load_without_a_flaw_is_valid_and_nothing_is_said_of_it() {
    assert_eq!(judged(|_, _| {}), (Verdict::Valid, String::new()));
    let closed = judged(|_, plan| plan.rate = None);
    assert_eq!(closed, (Verdict::Valid, String::new()));
}

#[test]
fn a_single_wrong_answer_is_one_too_many() {
    let said = "1 answer was not what was to come back, and none may be: compare what was expected with what came, \
                or say with --reply what the server makes of a message.";
    let one = judged(|outcome, _| outcome.messages.mismatch = 1);
    assert_eq!(one, (Verdict::Mismatch, said.to_owned()));
    let corrupt = judged(|outcome, plan| {
        plan.udp = true;
        let mut datagrams = sample::datagrams();
        (datagrams.corrupt, datagrams.lost) = (2, 0);
        outcome.udp = Some(datagrams);
    });
    assert_eq!(corrupt.0, Verdict::Mismatch);
    assert!(corrupt.1.starts_with("2 answers were not"), "{}", corrupt.1);
}

#[test]
fn a_client_that_is_hardly_ever_idle_limits_an_open_loop() {
    assert_eq!(verdict(|outcome, _| busy(outcome, 900)), Verdict::Valid);
    let said = "This client was busy 90.1 % of the time, more than 90 %, so messages waited for it: lower --rate, or \
                give it a processor of its own.";
    let limited = judged(|outcome, _| busy(outcome, 901));
    assert_eq!(limited, (Verdict::ClientLimited, said.to_owned()));
}

#[test]
fn a_closed_loop_is_limited_by_a_client_that_never_waits() {
    let closed = |thousandths| {
        judged(|outcome, plan| {
            plan.rate = None;
            // It has no schedule, so whatever is there is not a lag.
            lag(outcome, 1_000_000);
            busy(outcome, thousandths);
        })
    };
    assert_eq!(closed(970), (Verdict::Valid, String::new()));
    let (verdict, said) = closed(971);
    assert_eq!(verdict, Verdict::ClientLimited);
    assert!(
        said.starts_with(
            "This client was busy 97.1 % of the time, more than 97 %, so it never waited"
        ),
        "{said}"
    );
}

#[test]
fn a_late_client_limits_if_it_is_late_in_itself_and_in_comparison() {
    let late = |lag_ns, response_ns| {
        judged(|outcome, _| {
            lag(outcome, lag_ns);
            outcome.latency.response.reset();
            outcome
                .latency
                .response
                .record_n(response_ns, 500_000)
                .unwrap();
        })
    };
    // A tenth of a short time is no more than a punctual sleep; a long lag is nothing beside a longer response.
    assert_eq!(late(99_000, 200_000).0, Verdict::Valid);
    assert_eq!(late(2_000_000, 30_000_000).0, Verdict::Valid);
    let (verdict, said) = late(412_000, 1_200_000);
    assert_eq!(verdict, Verdict::ClientLimited);
    let expected = "This client was late by itself: its lag p99 is 412 µs, more than 100 µs and 34.34 % of the \
                    response p99 of 1.20 ms, more than 10 %. Give it a processor of its own, or say --timer spin.";
    assert_eq!(said, expected);
    // Too few to tell a p99.
    let few = verdict_of_few();
    assert_eq!(few, Verdict::Valid);
}

fn verdict_of_few() -> Verdict {
    verdict(|outcome, _| {
        outcome.latency.lag.reset();
        outcome.latency.lag.record_n(900_000, 999).unwrap();
    })
}

#[test]
fn what_was_not_sent_was_not_offered() {
    let sent = |sent| {
        judged(|outcome, _| {
            let messages = &mut outcome.messages;
            (messages.sent, messages.answered, messages.answered_in_time) = (sent, sent, sent);
            (messages.unsent, messages.shed) = (500_000 - sent - 2_000, 2_000);
        })
    };
    assert_eq!(sent(495_000).0, Verdict::Valid);
    let said = "Sent were 494 800 of 500 000 messages offered (98.96 %), less than 99 %: 3 200 waited until the end \
                and 2 000 were shed. Lower --rate, or let more be in flight with --connections or --pipeline.";
    assert_eq!(sent(494_800), (Verdict::RateNotReached, said.to_owned()));
    let closed = verdict(|outcome, plan| {
        plan.rate = None;
        outcome.messages.sent = 1_000;
    });
    assert_eq!(closed, Verdict::Valid, "a closed loop has no rate to reach");
}

#[test]
fn what_is_answered_after_the_end_was_not_kept_up_with() {
    let in_time = |in_time| judged(|outcome, _| outcome.messages.answered_in_time = in_time);
    assert_eq!(in_time(475_000).0, Verdict::Valid);
    let said = "Answered before the end were 450 000 of 500 000 messages offered, 50 000 more after it, and 0 never: \
                the server could not keep up, or hung up. Lower --rate, or look at the errors.";
    assert_eq!(in_time(450_000), (Verdict::RateNotReached, said.to_owned()));
    // That some took longer than they may, or were never answered, is no excuse: only datagrams get lost.
    let with = |udp: bool, unanswered: u64| {
        verdict(|outcome, plan| {
            plan.udp = udp;
            outcome.messages.answered_in_time = 450_000;
            outcome.messages.timeout = 40_000;
            outcome.messages.unanswered = unanswered;
        })
    };
    assert_eq!(with(false, 50_000), Verdict::RateNotReached);
    assert_eq!(with(true, 24_999), Verdict::RateNotReached);
    assert_eq!(with(true, 25_000), Verdict::Valid, "is told as that");
}

#[test]
fn intervals_that_differ_much_are_unstable() {
    let varying = |counts: &[u64]| judged(|outcome, _| answers(outcome, counts));
    let (verdict, said) = varying(&[50_000, 80_000, 20_000, 80_000, 20_000, 50_000]);
    assert_eq!(verdict, Verdict::Unstable);
    let expected = "Answers a second vary by 53.67 % (standard deviation, of 6 intervals), more than 25 %: look where \
                    the intervals differ, and for what else runs on these machines.";
    assert_eq!(said, expected);
    assert_eq!(
        varying(&[50_000, 60_000, 40_000, 60_000, 40_000]).0,
        Verdict::Valid
    );
    // Of four, nothing can be said.
    assert_eq!(varying(&[50_000, 90_000, 10_000, 90_000]).0, Verdict::Valid);
    assert_eq!(varying(&[0; 10]).0, Verdict::Valid);
}

#[test]
fn a_stall_is_unstable_though_all_is_caught_up_with() {
    let stalled = verdict(|outcome, _| answers(outcome, &[50, 50, 50, 50, 50, 0, 0, 150, 50, 50]));
    assert_eq!(stalled, Verdict::Unstable);
}

#[test]
fn a_rise_or_a_fall_is_unstable_though_neighbours_hardly_differ() {
    let (verdict, said) = judged(|outcome, _| {
        answers(
            outcome,
            &[50_000, 48_000, 45_000, 42_000, 39_000, 36_000, 33_000],
        )
    });
    assert_eq!(verdict, Verdict::Unstable);
    let expected = "The second half was answered at 36 000/s, the first at 47 667/s, more than 20 % apart: warm up \
                    for longer with --warmup, or look for what fills up.";
    assert_eq!(said, expected);
    let little =
        self::verdict(|outcome, _| answers(outcome, &[50_000, 49_000, 48_000, 47_000, 46_000]));
    assert_eq!(little, Verdict::Valid);
}

#[test]
fn what_chance_makes_differ_is_not_unstable() {
    // Eleven messages a second from many senders are now seven and then fifteen.
    let few = |outcome: &mut Outcome, plan: &mut Plan| {
        plan.arrival = Arrival::Poisson;
        answers(outcome, &[11, 7, 15, 9, 12, 14, 8, 16, 10, 13]);
    };
    assert_eq!(verdict(few), Verdict::Valid);
    let many = |outcome: &mut Outcome, _: &mut Plan| {
        let counts = [11, 7, 15, 5, 12, 16, 6, 16, 10, 13].map(|count| count * 1000);
        answers(outcome, &counts);
    };
    assert_eq!(verdict(many), Verdict::Unstable);
}

#[test]
fn a_rate_that_is_to_change_may_and_a_warm_up_does_not_count() {
    let rising = [10_000, 30_000, 50_000, 70_000, 90_000, 110_000];
    let ramp = verdict(|outcome, plan| {
        plan.rate = Some(Profile::ramp(0.0, 120_000.0, outcome.measured));
        answers(outcome, &rising);
    });
    assert_eq!(ramp, Verdict::Valid);
    assert_eq!(
        verdict(|outcome, _| answers(outcome, &rising)),
        Verdict::Unstable
    );
    let warmed_up = verdict(|outcome, _| {
        let warm_up = Interval {
            end: std::time::Duration::ZERO,
            answered: 1,
            ..sample::interval(1)
        };
        outcome.intervals.splice(0..0, [warm_up; 3]);
    });
    assert_eq!(warmed_up, Verdict::Valid);
}

#[test]
fn a_hundred_answers_are_enough_and_fewer_are_not() {
    let few = |answered| {
        judged(|outcome, _| {
            let messages = &mut outcome.messages;
            (messages.offered, messages.sent) = (answered, answered);
            (messages.answered, messages.answered_in_time) = (answered, answered);
        })
    };
    assert_eq!(few(100).0, Verdict::Valid);
    let said = "Only 99 messages were answered, fewer than 100: measure for longer with --duration, or look at the \
                errors.";
    assert_eq!(few(99), (Verdict::TooFewSamples, said.to_owned()));
    assert!(few(1).1.starts_with("Only 1 message was answered"));
    assert_eq!(
        few(0).1,
        "No message was answered: does this server answer at all?"
    );
}

#[test]
fn a_server_that_is_gone_at_the_end_is_not_steady_however_short_the_run() {
    let left = |at_end| {
        judged(|outcome, plan| {
            plan.rate = None;
            answers(outcome, &[50_000; 2]);
            outcome.connections.at_end = at_end;
        })
    };
    assert_eq!(left(100).0, Verdict::Valid);
    let churned = verdict(|outcome, plan| {
        (plan.rate, plan.churn) = (None, Some(Churn::Messages(1)));
        outcome.connections.at_end = 0;
    });
    assert_eq!(churned, Verdict::Valid, "it comes and goes");
    let silent = verdict(|outcome, plan| {
        plan.rate = None;
        answers(outcome, &[50_000, 0]);
    });
    assert_eq!(silent, Verdict::Unstable, "it was there to the end");
    let (verdict, said) = left(99);
    assert_eq!(verdict, Verdict::Unstable);
    assert!(
        said.starts_with("When the measuring ended 99 of 200 connections were there"),
        "{said}"
    );
}

#[test]
fn the_most_serious_is_said_first_and_the_others_as_well() {
    let (verdict, said) = judged(|outcome, _| {
        outcome.messages.answered = 3;
        answers(outcome, &[50_000, 90_000, 10_000, 90_000, 10_000]);
        outcome.messages.sent = 3;
        busy(outcome, 999);
        outcome.messages.mismatch = 7;
    });
    assert_eq!(verdict, Verdict::Mismatch);
    let beginnings = [
        "7 answers",
        "This client",
        "Sent were",
        "Answers a second",
        "Only 3",
    ];
    assert_eq!(said.lines().count(), beginnings.len(), "{said}");
    for (line, beginning) in said.lines().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line}");
    }
}

#[test]
fn what_else_is_to_be_known_is_said_and_changes_nothing() {
    let (verdict, said) = judged(|outcome, plan| {
        outcome.interrupted = true;
        outcome.connections.most = 190;
        plan.verify = Verify::Off;
        let mut datagrams = sample::datagrams();
        datagrams.overflow = Some(1_000);
        outcome.udp = Some(datagrams);
    });
    assert_eq!(verdict, Verdict::Valid);
    let expected = "\
It was interrupted: what there was until then is what is told.
At most 190 of 200 connections were there at once, so the others' part of the load was not.
Nothing was verified, so wrong answers count as answers.
This client's own receive buffer had no room for 1 000 answers, which are not lost in the network: make it larger with \
--rcvbuf.";
    assert_eq!(said, expected);
}

#[test]
fn verdicts_are_written_in_capitals() {
    assert_eq!(format!("{:>10}|", Verdict::Valid), "     VALID|");
    assert_eq!(Verdict::Mismatch.to_string(), "MISMATCH");
}

#[test]
fn a_load_that_asks_for_no_answers_is_not_judged_by_them() {
    let silent = |sent| {
        judged(|outcome, plan| {
            plan.reply = Reply::None;
            let messages = &mut outcome.messages;
            (messages.offered, messages.sent) = (sent, sent);
            (messages.answered, messages.answered_in_time) = (0, 0);
        })
    };
    assert_eq!(silent(500_000), (Verdict::Valid, String::new()));
    let said = "No message was sent: look at the errors.".to_owned();
    assert_eq!(silent(0), (Verdict::TooFewSamples, said));
}

#[test]
fn wrong_answers_of_the_warm_up_are_wrong_too() {
    let judgement = judged(|outcome, _| outcome.mismatches.push(sample::mismatch()));
    assert_eq!(judgement.0, Verdict::Mismatch);
}

#[test]
fn what_is_sent_last_of_so_many_messages_is_not_to_be_answered_at_once() {
    let late = |stop: Option<Stop>| {
        verdict(|outcome, plan| {
            outcome.messages.answered_in_time = 400_000;
            plan.stop = stop.unwrap_or(plan.stop);
        })
    };
    assert_eq!(late(None), Verdict::RateNotReached);
    assert_eq!(late(Some(Stop::Messages(500_000))), Verdict::Valid);
}
