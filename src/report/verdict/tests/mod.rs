mod client_limited;
mod server_failed;

use super::*;
use crate::load::{Arrival, Churn, Interval, Profile, Stop, Verify};
use crate::report::sample;

/// The verdict on the sample, changed in one way, and its reasons.
fn judged(change: impl FnOnce(&mut Outcome, &mut Plan)) -> (Verdict, String) {
    let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
    change(&mut outcome, &mut plan);
    let judgement = judge(&outcome, &plan, FAILURES_MAX);
    (judgement.verdict, judgement.reasons.join("\n"))
}

fn verdict(change: impl FnOnce(&mut Outcome, &mut Plan)) -> Verdict {
    judged(change).0
}

/// The load of the sample as a closed loop.
fn closed(plan: &mut Plan) {
    plan.rate = None;
}

/// Replies in each interval.
fn replies(outcome: &mut Outcome, counts: &[u64]) {
    let intervals = counts.iter().zip(1..).map(|(&replied, end)| Interval {
        replied,
        ..sample::interval(end)
    });
    outcome.intervals = intervals.collect();
}

#[test]
fn a_load_without_a_flaw_is_valid_without_a_remark() {
    assert_eq!(judged(|_, _| {}), (Verdict::Valid, String::new()));
    let closed = judged(|_, plan| closed(plan));
    assert_eq!(closed, (Verdict::Valid, String::new()));
}

#[test]
fn one_wrong_reply_is_a_mismatch() {
    let said = "1 reply did not match what was expected: compare the bytes below, or describe the server's replies with \
                --reply.";
    let one = judged(|outcome, _| outcome.wrong_replies = 1);
    assert_eq!(one, (Verdict::Mismatch, said.to_owned()));
    let two = judged(|outcome, _| outcome.wrong_replies = 2);
    assert!(two.1.starts_with("2 replies did not match"), "{}", two.1);
}

/// The sample with wrong replies that have these bytes after the message.
fn appended(suffixes: &[&[u8]]) -> String {
    appended_after(64, suffixes)
}

/// The same, after `offset` bytes of replies on the connection.
fn appended_after(offset: u64, suffixes: &[&[u8]]) -> String {
    let (verdict, said) = judged(|outcome, _| {
        outcome.wrong_replies = 20;
        let mismatch = |suffix: &&[u8]| crate::load::Mismatch {
            got: suffix.to_vec(),
            offset,
            ..sample::mismatch()
        };
        outcome.mismatches = suffixes.iter().map(mismatch).collect();
    });
    assert_eq!(verdict, Verdict::Mismatch);
    said.split(". ").next().unwrap().to_owned()
}

/// A server that adds something to its 21st reply only appends no suffix.
#[test]
fn no_suffix_is_suggested_after_replies_without_one() {
    let said = appended_after(21 * 64, &[b"XX"]);
    assert!(!said.contains("suffix:XX"), "{said}");
}

#[test]
fn constant_suffix_is_suggested_in_the_first_sentence() {
    assert_eq!(
        appended(&[b"| lee", b"| lee"]),
        "20 replies did not match: the server seems to append a suffix to each reply, so use --reply 'suffix:| lee'."
    );
    for (suffix, option) in [
        (&b"it's"[..], r"--reply 'suffix:it'\''s'"),
        (b"\r\n", r"-e --reply 'suffix:\r\n'"),
        (b"\\\xff\0", r"-e --reply 'suffix:\\\xff\0'"),
    ] {
        let said = appended(&[suffix]);
        assert!(said.ends_with(&format!(", so use {option}.")), "{said}");
    }
}

#[test]
fn suffix_that_differs_or_is_cut_short_is_not_suggested() {
    for suffixes in [&[&b"| lee"[..], b"| bob"][..], &[b"0123456789abcdef"], &[]] {
        let said = appended(suffixes);
        assert!(said.contains("compare the bytes below"), "{said}");
    }
}

#[test]
fn run_interrupted_before_measuring_does_not_blame_the_server() {
    let said = "Interrupted before measuring began: nothing was measured. Let it run until connecting and the \
                warm-up (--warmup) are over.";
    let interrupted = judged(|outcome, _| {
        *outcome = Outcome::new(false, &sample::plan().targets);
        outcome.interrupted = true;
        (outcome.connections.attempted, outcome.connections.failed) = (4, 2);
        outcome.silence = Some(std::time::Duration::from_secs(1));
    });
    assert_eq!(interrupted, (Verdict::TooFewSamples, said.to_owned()));
    let wrong = verdict(|outcome, _| {
        outcome.interrupted = true;
        outcome.measured = std::time::Duration::ZERO;
        outcome.wrong_replies = 1;
    });
    assert_eq!(wrong, Verdict::Mismatch);
}

#[test]
fn messages_that_were_not_sent_do_not_reach_the_rate() {
    let unsent = |never_sent, shed| {
        judged(|outcome, _| {
            let messages = &mut outcome.messages;
            (messages.never_sent, messages.shed) = (never_sent, shed);
            messages.replied = 500_000 - never_sent - shed;
            messages.completed_in_window = messages.replied;
        })
    };
    assert_eq!(unsent(3_000, 2_000).0, Verdict::Valid);
    let said = "494 800 of 500 000 messages offered were sent (98.96 %), less than 99 %: 3 200 were still due at the \
                end, and 2 000 were shed. Lower --rate, or allow more in flight with --connections or --pipeline.";
    assert_eq!(
        unsent(3_200, 2_000),
        (Verdict::RateNotReached, said.to_owned())
    );
    let closed = verdict(|outcome, plan| {
        closed(plan);
        outcome.messages.sent_in_window = 1_000;
    });
    assert_eq!(closed, Verdict::Valid, "a closed loop has no rate to reach");
}

#[test]
fn messages_sent_after_the_window_or_replied_to_late_were_not_kept_up_with() {
    let sent = |in_window| judged(|outcome, _| outcome.messages.sent_in_window = in_window);
    assert_eq!(sent(475_000).0, Verdict::Valid);
    let said = "450 000 of 500 000 messages offered were sent and replied to in time (90 %), less than 95 %: the server \
                could not keep up. Lower --rate.";
    assert_eq!(sent(450_000), (Verdict::RateNotReached, said.to_owned()));
    let late = verdict(|outcome, _| {
        let messages = &mut outcome.messages;
        (messages.replied, messages.replied_late) = (450_000, 50_000);
    });
    assert_eq!(late, Verdict::RateNotReached);
    let slow = verdict(|outcome, _| outcome.messages.completed_in_window = 400_000);
    assert_eq!(slow, Verdict::Valid, "a reply may take its time");
    let lost = |lost: u64| {
        verdict(|outcome, plan| {
            plan.udp = true;
            let messages = &mut outcome.messages;
            (messages.lost, messages.replied) = (lost, 500_000 - lost);
            messages.sent_in_window = 450_000;
        })
    };
    assert_eq!(lost(24_999), Verdict::RateNotReached);
    assert_eq!(lost(400_000), Verdict::RateNotReached);
}

#[test]
fn a_number_of_messages_is_late_if_it_took_longer_than_its_schedule() {
    let took = |milliseconds, late: u64| {
        judged(|outcome, plan| {
            plan.stop = Stop::Messages(500_000);
            outcome.messages.completed_in_window = 400_000;
            outcome.measured = std::time::Duration::from_millis(milliseconds);
            outcome.latency.service.record(late * 1_000_000).unwrap();
            outcome.intervals.clear();
        })
    };
    assert_eq!(took(10_500, 1).0, Verdict::Valid);
    assert_eq!(
        took(12_000, 2_000).0,
        Verdict::Valid,
        "the last reply took two seconds"
    );
    let said = "The schedule of 500 000 messages takes 10.0 s, and they took 12.0 s: the server could not keep up. Lower \
                --rate, or allow more in flight with --connections or --pipeline.";
    assert_eq!(took(12_000, 1), (Verdict::RateNotReached, said.to_owned()));
}

#[test]
fn intervals_after_the_window_do_not_make_it_unstable() {
    let waited = judged(|outcome, plan| {
        plan.stop = Stop::Messages(400_000);
        outcome.measured = std::time::Duration::from_millis(7_950);
        let mut counts = vec![50_000; 8];
        counts.extend([0, 0]);
        replies(outcome, &counts);
    });
    assert_eq!(waited, (Verdict::Valid, String::new()));
}

#[test]
fn intervals_that_differ_much_are_unstable() {
    let varying = |counts: &[u64]| judged(|outcome, _| replies(outcome, counts));
    let (verdict, said) = varying(&[50_000, 80_000, 20_000, 80_000, 20_000, 50_000]);
    assert_eq!(verdict, Verdict::Unstable);
    let expected = "Replies per second vary by 53.67 % (standard deviation of 6 intervals), more than 25 %: see where \
                    the intervals differ, and what else runs on these machines.";
    assert_eq!(said, expected);
    let little = varying(&[50_000, 60_000, 40_000, 60_000, 40_000]);
    assert_eq!(little.0, Verdict::Valid);
    let four = varying(&[50_000, 90_000, 10_000, 90_000]);
    assert_eq!(four.0, Verdict::Valid, "too few to tell");
    assert_eq!(varying(&[0; 10]).0, Verdict::Valid);
}

#[test]
fn a_stall_is_unstable_even_if_the_server_catches_up() {
    let stalled = verdict(|outcome, _| replies(outcome, &[50, 50, 50, 50, 50, 0, 0, 150, 50, 50]));
    assert_eq!(stalled, Verdict::Unstable);
}

#[test]
fn a_slow_fall_is_unstable_although_neighbours_hardly_differ() {
    let counts = [50_000, 48_000, 45_000, 42_000, 39_000, 36_000, 33_000];
    let (verdict, said) = judged(|outcome, _| replies(outcome, &counts));
    assert_eq!(verdict, Verdict::Unstable);
    let expected = "The second half had 36 000/s, the first 47 667/s, more than 20 % apart: warm up for longer with \
                    --warmup, or see what fills up.";
    assert_eq!(said, expected);
    let counts = [50_000, 49_000, 48_000, 47_000, 46_000];
    assert_eq!(
        self::verdict(|outcome, _| replies(outcome, &counts)),
        Verdict::Valid
    );
}

#[test]
fn differences_within_chance_are_stable() {
    // Eleven messages per second from many independent senders.
    let few = |outcome: &mut Outcome, plan: &mut Plan| {
        plan.arrival = Arrival::Poisson;
        replies(outcome, &[11, 7, 15, 9, 12, 14, 8, 16, 10, 13]);
    };
    assert_eq!(verdict(few), Verdict::Valid);
    let many = |outcome: &mut Outcome, _: &mut Plan| {
        let counts = [11, 7, 15, 5, 12, 16, 6, 16, 10, 13].map(|count| count * 1000);
        replies(outcome, &counts);
    };
    assert_eq!(verdict(many), Verdict::Unstable);
}

#[test]
fn a_ramp_may_change_and_the_warm_up_does_not_count() {
    let rising = [10_000, 30_000, 50_000, 70_000, 90_000, 110_000];
    let ramp = verdict(|outcome, plan| {
        plan.rate = Some(Profile::ramp(0.0, 120_000.0, outcome.measured));
        replies(outcome, &rising);
    });
    assert_eq!(ramp, Verdict::Valid);
    let constant = verdict(|outcome, _| replies(outcome, &rising));
    assert_eq!(constant, Verdict::Unstable);
    let warmed_up = verdict(|outcome, _| {
        let warm_up = Interval {
            end: std::time::Duration::ZERO,
            replied: 1,
            ..sample::interval(1)
        };
        outcome.intervals.splice(0..0, [warm_up; 3]);
    });
    assert_eq!(warmed_up, Verdict::Valid);
}

/// The sample with only as many messages.
fn only(outcome: &mut Outcome, count: u64) {
    outcome.messages = crate::load::Messages {
        offered: count,
        replied: count,
        sent_in_window: count,
        completed_in_window: count,
        ..Default::default()
    };
}

#[test]
fn fewer_than_a_hundred_replies_are_too_few() {
    let few = |count| judged(|outcome, _| only(outcome, count));
    assert_eq!(few(100).0, Verdict::Valid);
    let said = "Only 99 messages were replied to, fewer than 100: measure for longer with --duration, or send more with \
                --messages.";
    assert_eq!(few(99), (Verdict::TooFewSamples, said.to_owned()));
    assert!(few(1).1.starts_with("Only 1 message was replied to"));
    assert!(few(0).1.starts_with("No message was offered"));
}

#[test]
fn without_replies_the_messages_written_count() {
    let written = |count| {
        judged(|outcome, plan| {
            plan.reply = Reply::None;
            only(outcome, count);
            let messages = &mut outcome.messages;
            (messages.replied, messages.written) = (0, count);
        })
    };
    assert_eq!(written(500_000), (Verdict::Valid, String::new()));
    assert_eq!(written(1).0, Verdict::Valid);
    assert_eq!(written(0).0, Verdict::TooFewSamples);
}

#[test]
fn the_most_serious_cause_comes_first_and_the_others_follow() {
    let (verdict, said) = judged(|outcome, _| {
        only(outcome, 3);
        (outcome.messages.offered, outcome.messages.never_sent) = (500, 497);
        replies(outcome, &[50_000, 90_000, 10_000, 90_000, 10_000]);
        client_limited::busy(outcome, 999);
        outcome.wrong_replies = 7;
    });
    assert_eq!(verdict, Verdict::Mismatch);
    let beginnings = [
        "7 replies",
        "This client was busy",
        "3 of 500 messages",
        "Replies per second",
        "Only 3",
    ];
    assert_eq!(said.lines().count(), beginnings.len(), "{said}");
    for (line, beginning) in said.lines().zip(beginnings) {
        assert!(line.starts_with(beginning), "{line}");
    }
}

#[test]
fn verdicts_are_ordered_by_how_serious_they_are() {
    assert!(Verdict::ALL.is_sorted());
    assert_eq!(RULES.map(|(verdict, _)| verdict)[..], Verdict::ALL[..6]);
}

#[test]
fn remarks_do_not_change_the_verdict() {
    let (verdict, said) = judged(|outcome, plan| {
        outcome.interrupted = true;
        outcome.connections.most = 190;
        outcome.connections.idle_closed = 3;
        plan.verify = Verify::Off;
        let mut datagrams = sample::datagrams();
        datagrams.overflow = Some(1_000);
        outcome.udp = Some(datagrams);
    });
    assert_eq!(verdict, Verdict::Valid);
    let expected = "\
Interrupted: results are partial.
At most 190 of 200 connections were there at once, so the load of the others is missing.
The server closed idle connections 3 times.
Nothing was verified, so wrong replies count as replies.
This client's own receive buffer had no room for 1 000 replies, which were not lost in the network: enlarge it with \
--rcvbuf.";
    assert_eq!(said, expected);
}

#[test]
fn verdicts_are_written_in_capitals_and_read_in_any_case() {
    assert_eq!(format!("{:>10}|", Verdict::Valid), "     VALID|");
    for verdict in Verdict::ALL {
        let name = verdict.to_string();
        assert_eq!(name.parse(), Ok(verdict));
        assert_eq!(name.to_lowercase().parse(), Ok(verdict));
    }
    let error = "fine".parse::<Verdict>().unwrap_err();
    assert!(error.starts_with("'fine' is not a verdict: give one of mismatch, "));
}

#[test]
fn connections_that_churn_need_not_be_there_at_the_end() {
    let churned = verdict(|outcome, plan| {
        closed(plan);
        plan.churn = Some(Churn::Messages(1));
        outcome.connections.at_end = 0;
    });
    assert_eq!(churned, Verdict::Valid);
}
