//! Whether the server failed, and how.

use super::Case;
use crate::load::{Outcome, Plan, Reply, State, Step};
use crate::report::units::{count, percent, thousands, time};

/// The fewest connections that the server has to have closed after the same number of replies to call it a habit.
const CLOSES_MIN: u64 = 3;

/// The most replies after which that is a habit: further off it is a limit of time, or chance.
const CLOSES_AFTER_MAX: u64 = 1_000_000;

/// The most errors that are named.
const ERRORS_SHOWN: usize = 3;

/// The causes, the most telling first.
pub(super) fn rule(case: &Case<'_>) -> Option<String> {
    closes_after_replies(case)
        .or_else(|| never_replied(case))
        .or_else(|| one_never_replied(case))
        .or_else(|| gone(case))
        .or_else(|| gave_up(case))
        .or_else(|| silent(case))
        .or_else(|| closes_without_reply(case))
        .or_else(|| messages_failed(case))
        .or_else(|| connections_hung(case))
        .or_else(|| attempts_failed(case))
}

/// The failed messages that this client did not cause.
fn failed(outcome: &Outcome) -> u64 {
    let messages = &outcome.messages;
    messages.failed() - messages.mismatched - messages.caused_by_client
}

fn too_many_messages_failed(case: &Case<'_>) -> bool {
    let messages = &case.outcome.messages;
    messages.share(failed(case.outcome)) > case.failures_max
}

/// It closes each connection after as many replies: a limit of the server that the load has to know.
fn closes_after_replies(case: &Case<'_>) -> Option<String> {
    let closes = &case.outcome.connections.closes;
    // A restart closes each connection once. A habit shows on those that were opened again.
    let habit = closes.count >= CLOSES_MIN
        && closes.count > case.plan.connections as u64
        && closes.fewest == closes.most
        && (1..=CLOSES_AFTER_MAX).contains(&closes.most);
    let lost = case.outcome.messages.connection_lost;
    if !habit || lost == 0 || !too_many_messages_failed(case) || gone(case).is_some() {
        return None;
    }
    Some(format!(
        "The server closes each connection after {}, and {} sent meanwhile {} lost: use --churn {}.",
        count(closes.most, "reply"),
        count(lost, "message"),
        if lost == 1 { "was" } else { "were" },
        closes.most
    ))
}

fn never_replied(case: &Case<'_>) -> Option<String> {
    let Outcome {
        messages,
        connections,
        silence,
        ..
    } = case.outcome;
    if messages.completed() + case.outcome.wrong_replies > 0 {
        return None;
    }
    let sent = messages.sent();
    let refused = connections.failed + connections.closed_without_reply > 0;
    if sent == 0 && refused && messages.offered > 0 {
        return Some(format!(
            "No message could be sent{}{}.",
            because(case.outcome),
            given_up(case.outcome)
        ));
    }
    if sent == 0 {
        (*silence)?;
        // A message whose connection ends before any byte of it is taken stays the one of the warm-up.
        return Some(if refused {
            format!(
                "No reply came in the measured window{}.",
                because(case.outcome)
            )
        } else {
            "No reply came in the measured window: each connection has waited for one since the warm-up."
                .to_owned()
        });
    }
    if messages.local_overflow > 0 || messages.caused_by_client == sent {
        return None;
    }
    let verb = if case.plan.reply == Reply::None {
        "took"
    } else {
        "replied to"
    };
    let what = if case.plan.udp { "datagram" } else { "message" };
    Some(format!(
        "The server {verb} none of {}{}{}.",
        count(sent, what),
        because(case.outcome),
        given_up(case.outcome)
    ))
}

/// What the system says of it, in brackets.
fn because(outcome: &Outcome) -> String {
    let mut errors: Vec<_> = outcome.errors.iter().collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let errors = errors.into_iter().take(ERRORS_SHOWN);
    let named: Vec<String> = errors
        .map(|((step, name), count)| format!("{} {name} {}", step.name(), thousands(*count)))
        .collect();
    if named.is_empty() {
        return String::new();
    }
    format!(" ({})", named.join(", "))
}

fn given_up(outcome: &Outcome) -> String {
    let Some(waited) = outcome.gave_up else {
        return String::new();
    };
    format!(
        ", and the run was given up after {} without a reply{}",
        time(waited.as_nanos() as u64),
        never_sent(outcome, "; ")
    )
}

/// How many were never sent, behind `separator`, if any.
fn never_sent(outcome: &Outcome, separator: &str) -> String {
    let messages = &outcome.messages;
    if messages.never_sent == 0 {
        return String::new();
    }
    format!(
        "{separator}{} of {} never sent",
        thousands(messages.never_sent),
        were(messages.offered)
    )
}

fn were(messages: u64) -> String {
    let verb = if messages == 1 { "was" } else { "were" };
    format!("{} {verb}", count(messages, "message"))
}

/// How many connections go to the server of this place in the plan.
fn connections_to(index: usize, case: &Case<'_>) -> u64 {
    let (all, servers) = (case.plan.connections, case.outcome.servers.len().max(1));
    (all / servers + usize::from(index < all % servers)) as u64
}

/// A server, by its address if there are several.
fn named(index: usize, case: &Case<'_>) -> String {
    match &case.outcome.servers[..] {
        [_] => "The server".to_owned(),
        servers => format!("The server {}", servers[index].address),
    }
}

/// One of several servers replied to nothing.
fn one_never_replied(case: &Case<'_>) -> Option<String> {
    let servers = case.outcome.servers.iter().enumerate();
    let mut silent = servers.filter(|(_, server)| {
        let messages = &server.messages;
        let excused = messages.local_overflow + messages.caused_by_client;
        messages.sent() > excused && messages.completed() + messages.mismatched == 0
    });
    let (index, server) = silent
        .next_back()
        .filter(|_| case.outcome.servers.len() > 1)?;
    Some(format!(
        "{} replied to none of {}{}.",
        named(index, case),
        count(server.messages.sent(), "message"),
        because(case.outcome)
    ))
}

/// At the end, more than half of those that were to send to a server could not.
fn gone(case: &Case<'_>) -> Option<String> {
    let Outcome {
        connections,
        messages,
        ..
    } = case.outcome;
    let ended_by_server = connections.failed + connections.closed_without_reply;
    let closed = case.plan.reply == Reply::None && connections.closes.count > 0;
    if !(case.plan.udp || ended_by_server > 0 || closed) || case.outcome.measured.is_zero() {
        return None;
    }
    let (index, server) = case
        .outcome
        .servers
        .iter()
        .enumerate()
        .find(|(index, server)| server.refused_at_end * 2 > connections_to(*index, case))?;
    let wanted = connections_to(index, case);
    let what = if case.plan.udp { "flow" } else { "connection" };
    let of = if wanted == 1 {
        format!("1 {what} was")
    } else {
        format!("{} {what}s were", thousands(wanted))
    };
    let mut ends = Vec::new();
    for (number, how) in [
        (messages.failed(), "failed"),
        (messages.lost, "lost"),
        (messages.never_sent, "never sent"),
    ] {
        if number > 0 {
            ends.push(format!("{} {how}", thousands(number)));
        }
    }
    let how = if case.plan.udp {
        "refused"
    } else {
        "refused or closed"
    };
    let ends = if ends.is_empty() {
        String::new()
    } else {
        format!(
            " Of {}: {}.",
            count(messages.offered, "message"),
            ends.join(", ")
        )
    };
    Some(format!(
        "{} was gone at the end: {} of {of} {how}{}.{ends}",
        named(index, case),
        thousands(server.refused_at_end),
        because_of_connecting(case.outcome, case.plan),
    ))
}

fn because_of_connecting(outcome: &Outcome, plan: &Plan) -> String {
    let relevant = |step: Step| plan.udp || step == Step::Connect;
    let errors = outcome.errors.iter();
    let named: Vec<String> = errors
        .filter(|((step, _), _)| relevant(*step))
        .take(ERRORS_SHOWN)
        .map(|((step, name), count)| format!("{} {name} {}", step.name(), thousands(*count)))
        .collect();
    if named.is_empty() {
        return String::new();
    }
    format!(" ({})", named.join(", "))
}

/// Whether only this machine's lack of ports, descriptors or memory kept messages from being sent.
fn is_local(case: &Case<'_>) -> bool {
    let connections = &case.outcome.connections;
    let server_failed = connections.failed + connections.closed_without_reply > 0
        || failed(case.outcome) + case.outcome.messages.lost > 0;
    connections.failed_locally > 0 && !server_failed
}

/// The run of a number of messages ended because no reply came any more.
fn gave_up(case: &Case<'_>) -> Option<String> {
    let waited = case.outcome.gave_up.filter(|_| !is_local(case))?;
    Some(format!(
        "The server stopped {}, and the run was given up after {} without {}{}.",
        activity(case),
        time(waited.as_nanos() as u64),
        if case.plan.reply == Reply::None {
            "progress"
        } else {
            "a reply"
        },
        never_sent(case.outcome, ": ")
    ))
}

/// What a server does that works.
fn activity(case: &Case<'_>) -> &'static str {
    match case.plan.reply {
        Reply::None => "reading",
        _ => "replying",
    }
}

/// It said nothing any more when the window ended, nor later.
fn silent(case: &Case<'_>) -> Option<String> {
    let silence = case.outcome.silence.filter(|_| !is_local(case))?;
    let messages = &case.outcome.messages;
    let waiting = messages.timed_out + messages.unanswered_at_end + messages.lost;
    let what = activity(case);
    let waited = if waiting > 0 {
        format!(" {} got no reply.", count(waiting, "message"))
    } else {
        String::new()
    };
    Some(format!(
        "The server stopped {what} {} before the end{}.{waited}",
        time(silence.as_nanos() as u64),
        never_sent(case.outcome, ": "),
    ))
}

/// It closes or resets connections, and has not replied on them.
fn closes_without_reply(case: &Case<'_>) -> Option<String> {
    let connections = &case.outcome.connections;
    let closed = connections.closed_without_reply;
    if closed <= connections.failed || !too_many_attempts_failed(case) {
        return None;
    }
    Some(format!(
        "The server closed {} of {} before any reply, more than {} (--failures-max){}.",
        thousands(closed),
        count(connections.established, "connection"),
        percent(case.failures_max),
        because(case.outcome)
    ))
}

fn messages_failed(case: &Case<'_>) -> Option<String> {
    if !too_many_messages_failed(case) {
        return None;
    }
    let messages = &case.outcome.messages;
    let kinds = State::ALL
        .into_iter()
        .filter(|state| state.is_failure() && *state != State::Mismatched)
        .filter(|&state| messages.count(state) > 0);
    let kinds: Vec<String> = kinds
        .map(|state| format!("{} {}", thousands(messages.count(state)), state.name()))
        .collect();
    Some(format!(
        "{} of {} failed ({}), more than {} (--failures-max): {}.",
        thousands(failed(case.outcome)),
        count(messages.offered, "message"),
        percent(messages.share(failed(case.outcome))),
        percent(case.failures_max),
        kinds.join(", ")
    ))
}

/// Some connections got no reply any more, while others did.
fn connections_hung(case: &Case<'_>) -> Option<String> {
    let hung = case.outcome.connections.hung_at_end;
    let all = case.plan.connections as u64;
    let by_client = case.outcome.messages.caused_by_client > 0;
    (!by_client && hung as f64 > all as f64 * case.failures_max).then(|| {
        format!(
            "{} of {} got no reply any more until the end: {} of {} timed out.",
            thousands(hung),
            count(all, "connection"),
            thousands(case.outcome.messages.timed_out),
            count(case.outcome.messages.offered, "message")
        )
    })
}

fn too_many_attempts_failed(case: &Case<'_>) -> bool {
    let connections = &case.outcome.connections;
    let failed = connections.failed + connections.closed_without_reply;
    failed as f64 > connections.attempted as f64 * case.failures_max
}

fn attempts_failed(case: &Case<'_>) -> Option<String> {
    if !too_many_attempts_failed(case) {
        return None;
    }
    let connections = &case.outcome.connections;
    let failed = connections.failed + connections.closed_without_reply;
    Some(format!(
        "{} of {} to connect failed, more than {} (--failures-max){}.",
        thousands(failed),
        count(connections.attempted, "attempt"),
        percent(case.failures_max),
        because(case.outcome)
    ))
}
