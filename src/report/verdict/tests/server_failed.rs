use std::time::Duration;

use super::*;
use crate::load::{Closes, Messages, Step};

/// The first sentence about the sample, changed in one way, if the server failed.
fn cause(change: impl FnOnce(&mut Outcome, &mut Plan)) -> Option<String> {
    let (verdict, said) = judged(change);
    (verdict == Verdict::ServerFailed).then(|| said.lines().next().unwrap_or_default().to_owned())
}

/// As many messages of the sample end in another state.
fn end(outcome: &mut Outcome, count: u64, state: fn(&mut Messages) -> &mut u64) {
    *state(&mut outcome.messages) += count;
    outcome.messages.replied -= count;
    outcome.messages.completed_in_window -= count.min(outcome.messages.completed_in_window);
}

#[test]
fn more_failed_messages_than_allowed_are_named_by_state() {
    let lost = |count| cause(|outcome, _| end(outcome, count, |m| &mut m.connection_lost));
    assert_eq!(lost(500), None, "0.1 % may fail");
    let said = "501 of 500 000 messages failed (0.1 %), more than 0.1 % (--failures-max): 501 connection lost.";
    assert_eq!(lost(501), Some(said.to_owned()));
    let states: [fn(&mut Messages) -> &mut u64; 3] = [
        |messages| &mut messages.connection_lost,
        |messages| &mut messages.timed_out,
        |messages| &mut messages.unanswered_at_end,
    ];
    for state in states {
        assert!(cause(|outcome, _| end(outcome, 600, state)).is_some());
    }
    let allowed = judge(
        &{
            let mut outcome = sample::outcome();
            end(&mut outcome, 4_000, |m| &mut m.timed_out);
            outcome
        },
        &sample::plan(),
        0.01,
    );
    assert_eq!(allowed.verdict, Verdict::Valid);
}

#[test]
fn failures_that_this_client_caused_are_not_held_against_the_server() {
    let judged = judged(|outcome, _| {
        end(outcome, 5_000, |m| &mut m.timed_out);
        outcome.messages.caused_by_client = 5_000;
        outcome.client.paused = Duration::from_secs(3);
    });
    assert_eq!(judged.0, Verdict::ClientLimited);
    let remark = "5 000 messages got no reply because this client was paused or ended the run: they are not held \
                  against the server.";
    assert!(judged.1.ends_with(remark), "{}", judged.1);
}

#[test]
fn a_server_that_closes_after_the_same_number_of_replies_suggests_churn() {
    let closing = |count, fewest, most| {
        cause(|outcome, _| {
            end(outcome, 100_000, |m| &mut m.connection_lost);
            outcome.connections.closes = Closes {
                count,
                fewest,
                most,
            };
        })
    };
    let said = "The server closes each connection after 3 replies, and 100 000 messages sent meanwhile were lost: use \
                --churn 3.";
    assert_eq!(closing(1_000, 3, 3), Some(said.to_owned()));
    for (count, fewest, most) in [(2, 3, 3), (1_000, 3, 4), (1_000, 0, 0)] {
        let said = closing(count, fewest, most).unwrap();
        assert!(said.contains("100 000 connection lost"), "{said}");
    }
}

#[test]
fn a_server_that_is_gone_at_the_end_is_named_whatever_the_share_of_failures() {
    let gone = |refused, open: bool| {
        cause(|outcome, plan| {
            if !open {
                closed(plan);
            }
            end(outcome, 4, |m| &mut m.connection_lost);
            end(outcome, 200_000, |m| &mut m.never_sent);
            outcome.connections.refused_at_end = refused;
            outcome.servers[0].refused_at_end = refused;
            outcome.connections.failed = 1;
            outcome.connections.attempted = 10_000;
            let error = (Step::Connect, "ECONNREFUSED".to_owned());
            outcome.errors.insert(error, 12);
        })
    };
    let said = "The server was gone at the end: 200 of 200 connections were refused or closed (connect ECONNREFUSED 12). Of 500 \
                000 messages: 4 failed, 200 000 never sent.";
    for open in [false, true] {
        assert_eq!(gone(200, open), Some(said.to_owned()));
        assert_eq!(gone(100, open), None);
    }
    let (_, reasons) = judged(|outcome, _| {
        end(outcome, 200_000, |m| &mut m.never_sent);
        outcome.connections.refused_at_end = 200;
        outcome.servers[0].refused_at_end = 200;
        outcome.connections.failed = 200;
    });
    assert!(
        !reasons.contains("--rate"),
        "a dead server is not too slow: {reasons}"
    );
}

#[test]
fn a_flow_whose_last_datagram_was_refused_is_gone() {
    let said = cause(|outcome, plan| {
        plan.udp = true;
        (plan.connections, outcome.connections.most) = (1, 1);
        end(outcome, 200_000, |m| &mut m.lost);
        outcome.connections.refused_at_end = 1;
        outcome.servers[0].refused_at_end = 1;
        let error = (Step::Read, "ECONNREFUSED".to_owned());
        outcome.errors.insert(error, 9);
    });
    let expected = "The server was gone at the end: 1 of 1 flow was refused (read ECONNREFUSED 9). Of 500 000 messages: \
                    200 000 lost.";
    assert_eq!(said.as_deref(), Some(expected));
}

#[test]
fn a_server_that_is_silent_at_the_end_is_named() {
    let said = cause(|outcome, plan| {
        closed(plan);
        end(outcome, 4, |m| &mut m.timed_out);
        outcome.silence = Some(Duration::from_millis(1_500));
    });
    let expected = "The server stopped replying 1.50 s before the end. 4 messages got no reply.";
    assert_eq!(said.as_deref(), Some(expected));
}

#[test]
fn connections_that_hang_until_the_end_are_named_although_others_go_on() {
    let hung = |count| {
        cause(|outcome, plan| {
            closed(plan);
            end(outcome, count, |m| &mut m.timed_out);
            outcome.connections.hung_at_end = count;
        })
    };
    assert_eq!(hung(0), None);
    let said = "5 of 200 connections got no reply any more until the end: 5 of 500 000 messages timed out.";
    assert_eq!(hung(5).as_deref(), Some(said));
}

#[test]
fn a_run_that_was_given_up_tells_how_many_messages_were_never_sent() {
    let said = cause(|outcome, plan| {
        closed(plan);
        end(outcome, 499, |m| &mut m.never_sent);
        outcome.gave_up = Some(Duration::from_secs(1));
    });
    let expected = "The server stopped replying, and the run was given up after 1.00 s without a reply: 499 of 500 000 messages were \
                    never sent.";
    assert_eq!(said.as_deref(), Some(expected));
}

#[test]
fn one_dead_server_of_several_is_named_by_its_address() {
    let two = |change: fn(&mut Outcome)| {
        cause(|outcome, plan| {
            closed(plan);
            let mut other = outcome.servers[0].clone();
            other.address = "127.0.0.1:7001".parse().unwrap();
            other.messages = Messages {
                offered: 2,
                sent_in_window: 2,
                timed_out: 2,
                ..Messages::default()
            };
            outcome.messages += &other.messages;
            outcome.servers.push(other);
            change(outcome);
        })
    };
    let said = "The server 127.0.0.1:7001 replied to none of 2 messages.";
    assert_eq!(two(|_| ()).as_deref(), Some(said));
    let gone = two(|outcome| {
        outcome.servers[1].messages.replied = 1;
        outcome.servers[1].refused_at_end = 51;
        outcome.connections.failed = 51;
    });
    let said = "The server 127.0.0.1:7001 was gone at the end: 51 of 100 connections were refused or closed";
    assert!(
        gone.as_ref().is_some_and(|gone| gone.starts_with(said)),
        "{gone:?}"
    );
}

#[test]
fn a_run_that_was_given_up_for_want_of_ports_is_the_clients_doing() {
    let verdict = verdict(|outcome, plan| {
        closed(plan);
        end(outcome, 499, |m| &mut m.never_sent);
        outcome.gave_up = Some(Duration::from_secs(1));
        outcome.connections.failed_locally = 9;
    });
    assert_eq!(verdict, Verdict::ClientLimited);
}

#[test]
fn a_server_that_never_replied_is_named_with_the_errors() {
    let never = |udp, state: fn(&mut Messages) -> &mut u64| {
        cause(|outcome, plan| {
            plan.udp = udp;
            end(outcome, 500_000, state);
            let error = (Step::Read, "ECONNRESET".to_owned());
            outcome.errors.insert(error, 7);
        })
    };
    assert_eq!(
        never(false, |m| &mut m.connection_lost).as_deref(),
        Some("The server replied to none of 500 000 messages (read ECONNRESET 7).")
    );
    assert_eq!(
        never(true, |m| &mut m.lost).as_deref(),
        Some("The server replied to none of 500 000 datagrams (read ECONNRESET 7).")
    );
}

#[test]
fn silence_of_connections_that_are_closed_is_no_wait_for_a_reply() {
    let said = cause(|outcome, plan| {
        closed(plan);
        outcome.messages = Messages::default();
        outcome.silence = Some(Duration::from_millis(450));
        outcome.connections.closed_without_reply = 15;
        let error = (Step::Read, "ECONNRESET".to_owned());
        outcome.errors.insert(error, 15);
    });
    let expected = "No reply came in the measured window (read ECONNRESET 15).";
    assert_eq!(said.as_deref(), Some(expected));
}

#[test]
fn lost_datagrams_fail_only_when_all_are_lost() {
    let lost = |count| {
        verdict(|outcome, plan| {
            plan.udp = true;
            end(outcome, count, |m| &mut m.lost);
        })
    };
    assert_eq!(lost(400_000), Verdict::Valid);
    assert_eq!(lost(500_000), Verdict::ServerFailed);
}

#[test]
fn attempts_to_connect_that_failed_count_by_themselves() {
    let failed = |failed, without_reply| {
        cause(|outcome, _| {
            let connections = &mut outcome.connections;
            (connections.attempted, connections.failed) = (10_000, failed);
            connections.closed_without_reply = without_reply;
        })
    };
    assert_eq!(failed(10, 0), None);
    let said = "11 of 10 000 attempts to connect failed, more than 0.1 % (--failures-max).";
    assert_eq!(failed(11, 0).as_deref(), Some(said));
    let said = "The server closed 11 of 200 connections before any reply, more than 0.1 % (--failures-max).";
    assert_eq!(failed(0, 11).as_deref(), Some(said));
}

#[test]
fn a_close_with_nothing_in_flight_is_no_failure() {
    let closed = verdict(|outcome, _| {
        outcome.connections.closed_by_server = 150;
        outcome.connections.idle_closed = 1_000;
        outcome.connections.closes = Closes {
            count: 150,
            fewest: 2_500,
            most: 2_500,
        };
    });
    assert_eq!(closed, Verdict::Valid);
}
