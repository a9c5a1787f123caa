//! Compares the result of a load with what its log says.

use hdrhistogram::Histogram;

use super::account::Ended;
use super::flows;
use super::totals::{Counts, ROUNDING, Totals};
use crate::load::result::messages::{Messages, State};
use crate::load::result::outcome::Datagrams;
use crate::load::simulation::log::What;
use crate::load::simulation::settings::{MS, ReplyKind, RunLength, Settings};

/// How late a message may be sent on a free connection by a client that is not paused, besides the time of the calls on all
/// others, in nanoseconds.
const PROMPT: u64 = MS;

/// A pause that the load has to notice, in nanoseconds.
const LONG: u64 = 100_000_000;

/// Compares everything with the result. Returns how many messages there were.
pub(super) fn check(totals: &Totals<'_>) -> u64 {
    if totals.is_ambiguous || totals.account.is_ambiguous {
        return 0;
    }
    check_window(totals);
    if let (Some(expected), Some(got)) = (&totals.datagrams, &totals.outcome.udp) {
        check_datagrams(expected, got, totals.settings);
    }
    let all = totals.outcome.servers.iter().zip(&totals.counts);
    for (number, (server, counts)) in all.enumerate() {
        check_messages(totals, number, &server.messages, counts);
        let [attempted, established, failed] = totals.account.servers[number];
        assert_eq!(
            [server.attempted, server.established, server.failed],
            [attempted, established, failed],
            "server {number}"
        );
        if let Some(service) = &server.service {
            assert_eq!(service.len(), counts.replied + counts.replied_late);
        }
    }
    check_sum(totals);
    check_connections(totals);
    check_bytes(totals);
    check_times(totals);
    check_intervals(totals);
    check_pauses(totals);
    totals.account.messages.len() as u64
}

/// The window is where the plan says.
fn check_window(totals: &Totals<'_>) {
    let outcome = totals.outcome;
    let over = totals.stamp(|what| matches!(what, What::Over)).unwrap();
    assert_eq!(totals.end, over, "the end of the run");
    let stopped = |what: &What| matches!(what, What::Stopped | What::Aborted);
    let stopped = totals.stamp(stopped);
    assert_eq!(outcome.interrupted, stopped.is_some());
    let aborted = totals.stamp(|what| matches!(what, What::Aborted));
    assert_eq!(outcome.aborted, aborted.is_some());
    if !totals.was_measured() || outcome.measured.is_zero() {
        return;
    }
    // The load began to send in the iteration before the mark.
    let running = totals.stamp(|what| matches!(what, What::Running)).unwrap();
    let origin = totals.from - totals.settings.warmup;
    assert!(origin <= running, "the window begins too late");
    let calls = 100 * totals.settings.machine.call;
    if !totals.settings.has_pauses() {
        assert!(
            running - origin <= calls + MS,
            "the window begins too early"
        );
    }
    match totals.settings.end {
        RunLength::After(time) => {
            let until = stopped.map_or(totals.from + time, |at| (at + 1).min(totals.from + time));
            assert_eq!(totals.until, until, "the end of the window");
        }
        RunLength::Messages(_) if outcome.gave_up.is_some() || stopped.is_some() => {}
        RunLength::Messages(_) => {
            let last = totals.account.last_reply_in_window.unwrap();
            if last > totals.from {
                assert_eq!(
                    totals.until,
                    last + 1,
                    "the window ends with the last reply"
                );
            }
        }
    }
}

fn check_messages(totals: &Totals<'_>, number: usize, got: &Messages, counts: &Counts) {
    let unsent = got.shed + got.never_sent;
    let by_messages = matches!(totals.settings.end, RunLength::Messages(_));
    let found = Counts {
        offered: got.offered,
        replied: got.replied,
        replied_late: got.replied_late,
        mismatched: got.mismatched,
        written: got.written,
        connection_lost: got.connection_lost,
        timed_out: got.timed_out,
        unanswered: got.lost + got.local_overflow,
        unanswered_at_end: got.unanswered_at_end,
        sent_in_window: got.sent_in_window,
        completed_in_window: got.completed_in_window,
        unsent,
        shed: counts.shed,
    };
    let mut expected = counts.clone();
    if by_messages && totals.settings.is_open() {
        // Which of those that were never sent belong to the number is the last connections' to say.
        expected.offered = expected.offered - expected.unsent + unsent;
        expected.unsent = unsent;
    }
    if totals.settings.udp {
        // A wrong reply that does not show what it replies to is taken for one to a message without another.
        let without = got.lost + got.local_overflow + got.mismatched + got.unanswered_at_end;
        assert_eq!(
            without,
            counts.unanswered + counts.mismatched,
            "server {number}"
        );
        assert!(got.mismatched >= counts.mismatched);
        let may = totals.outcome.aborted || got.unanswered_at_end == 0;
        assert!(may, "datagrams are waited for");
        expected.mismatched = found.mismatched;
        expected.unanswered = found.unanswered;
        expected.unanswered_at_end = found.unanswered_at_end;
    }
    assert_eq!(found, expected, "server {number}: {got:?}");
    assert!(
        got.shed >= counts.shed,
        "{} shed, of {}",
        got.shed,
        counts.shed
    );
    assert!(got.shed == 0 || totals.settings.deadline.is_some());
}

/// The whole is the sum of the servers, and of what a run that gave up never sent.
fn check_sum(totals: &Totals<'_>) {
    let mut sum = Messages::default();
    for server in &totals.outcome.servers {
        sum += &server.messages;
    }
    let (all, parts) = (&totals.outcome.messages, &sum);
    for state in State::ALL {
        if state != State::NeverSent {
            assert_eq!(all.count(state), parts.count(state), "{}", state.name());
        }
    }
    let rest = all.never_sent - parts.never_sent;
    assert_eq!(all.offered, parts.offered + rest);
    assert!(rest == 0 || totals.outcome.gave_up.is_some());
    if let RunLength::Messages(count) = totals.settings.end {
        let whole = !totals.outcome.interrupted;
        assert!(all.offered <= count, "{} of {count}", all.offered);
        assert!(!whole || all.offered == count, "{} of {count}", all.offered);
    }
    assert!(all.caused_by_client <= all.timed_out + all.unanswered_at_end);
    let wrong = totals.account.wrong_replies;
    let wrong = wrong..=wrong + totals.uncertain();
    assert!(wrong.contains(&totals.outcome.wrong_replies), "{wrong:?}");
}

fn check_connections(totals: &Totals<'_>) {
    let (got, expected) = (&totals.outcome.connections, &totals.account.connections);
    assert_eq!(got.attempted, expected.attempted);
    assert_eq!(got.established, expected.established);
    assert_eq!(got.failed, expected.failed);
    assert_eq!(got.failed_locally, expected.failed_locally);
    assert_eq!(got.closed_without_reply, expected.closed_without_reply);
    assert_eq!(got.closed_by_server, expected.closed_by_server);
    assert_eq!(got.idle_closed, expected.idle_closed);
    assert_eq!(got.churned, expected.churned);
    assert_eq!(got.most, expected.most);
    assert_eq!(got.hung_at_end, expected.hung_at_end);
    if totals
        .stamp(|what| matches!(what, What::Draining))
        .is_some()
    {
        assert_eq!(got.at_end, expected.at_end);
    }
    assert_eq!(got.closes.count, expected.closes.len() as u64);
    assert_eq!(
        got.closes.most,
        expected.closes.iter().copied().max().unwrap_or(0)
    );
    assert_eq!(
        got.closes.fewest,
        expected.closes.iter().copied().min().unwrap_or(0)
    );
    assert_eq!(totals.outcome.errors, totals.account.errors);
}

fn check_bytes(totals: &Totals<'_>) {
    let in_window = |bytes: &[(u64, u64)]| {
        let counted = bytes.iter().filter(|(at, _)| totals.is_in_window(*at));
        counted.map(|(_, count)| count).sum::<u64>()
    };
    assert_eq!(
        totals.outcome.bytes_sent,
        in_window(&totals.account.written)
    );
    assert_eq!(
        totals.outcome.bytes_received,
        in_window(&totals.account.read)
    );
}

fn check_times(totals: &Totals<'_>) {
    let latency = &totals.outcome.latency;
    same("service", &latency.service, totals.service.clone());
    same("connect", &latency.connect, totals.account.connects.clone());
    if !totals.settings.is_open() {
        assert!(latency.response.is_empty() && latency.lag.is_empty());
        return;
    }
    same("response", &latency.response, totals.response.clone());
    if totals.settings.is_clean() && totals.settings.machine.short_one_in.is_none() {
        let settings = totals.settings;
        let calls = 4 * settings.pipeline as u64 * settings.connections as u64;
        let most = PROMPT + calls.max(256) * settings.machine.call;
        let late = totals.lag.iter().filter(|lag| lag.0 > most);
        assert_eq!(late.count(), 0, "sent late on a free connection");
    }
    // A message that was withdrawn had a lag.
    assert!(latency.lag.len() >= totals.lag.len() as u64);
    if latency.lag.len() > totals.lag.len() as u64 {
        return;
    }
    let mut least: Vec<u64> = totals.lag.iter().map(|lag| lag.0.max(1)).collect();
    let mut most: Vec<u64> = totals.lag.iter().map(|lag| lag.1.max(1)).collect();
    least.sort_unstable();
    most.sort_unstable();
    for (index, (least, most)) in least.iter().zip(&most).enumerate() {
        let lag = at_rank(&latency.lag, index, totals.lag.len());
        let slack = |value: u64| value / 250 + 2 * ROUNDING;
        assert!(lag + slack(*least) >= *least, "lag {lag}, at least {least}");
        assert!(lag <= *most + slack(*most), "lag {lag}, at most {most}");
    }
}

/// Every interval that was reported is kept.
fn check_intervals(totals: &Totals<'_>) {
    let mut kept = totals.outcome.intervals.iter();
    for entry in totals.log {
        if let What::Interval(reported) = &entry.what {
            assert_eq!(kept.next(), Some(reported));
        }
    }
    assert!(kept.next().is_none());
}

/// The pauses of the client are those that the world has made.
fn check_pauses(totals: &Totals<'_>) {
    let (mut least, mut most) = (0, 0);
    for entry in totals.log {
        if let What::Paused { from } = entry.what {
            let paused = entry.at - from;
            most += paused;
            if paused >= LONG && from >= totals.from && entry.at <= totals.until {
                least += paused - LONG / 2;
            }
        }
    }
    let paused = totals.outcome.client.paused.as_nanos() as u64;
    assert!(paused >= least, "paused for {paused} ns, at least {least}");
    // A pause within an iteration that makes calls is not told apart from them.
    let calls = 2 * totals.log.len() as u64 * totals.settings.machine.call;
    assert!(paused <= most + calls, "paused for {paused} ns of {most}");
    if totals.settings.udp || totals.settings.has_pauses() {
        return;
    }
    let longest = totals.service.iter().copied().max().unwrap_or(0);
    let caused = totals.account.messages.iter().filter(|message| {
        let waited = totals.end - message.at;
        let is_waiting = message.ended == Ended::Waiting && totals.counts(message.due);
        let expects = totals.settings.answer != ReplyKind::Nothing;
        let cut_short = totals.outcome.aborted
            || message.at >= totals.until
            || waited <= 3 * latest_bucket(longest);
        is_waiting && expects && waited < totals.settings.timeout && cut_short
    });
    let caused = caused.count() as u64;
    assert_eq!(totals.outcome.messages.caused_by_client, caused);
}

/// The highest value that a histogram does not tell from `value`.
fn latest_bucket(value: u64) -> u64 {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    histogram.auto(true);
    histogram.record(value.max(1)).unwrap();
    histogram.max()
}

/// What the value of this rank, counted from 0, of `count` is by `histogram`.
fn at_rank(histogram: &Histogram<u64>, rank: usize, count: usize) -> u64 {
    histogram.value_at_quantile((rank as f64 + 0.5) / count as f64)
}

/// The histogram has these values, within its resolution.
fn same(what: &str, histogram: &Histogram<u64>, mut values: Vec<u64>) {
    values.sort_unstable();
    assert_eq!(histogram.len(), values.len() as u64, "{what}: how many");
    for (rank, value) in values.iter().enumerate() {
        let found = at_rank(histogram, rank, values.len());
        let slack = value / 500 + ROUNDING;
        assert!(
            found.abs_diff(*value) <= slack,
            "{what}: {found} for {value}"
        );
    }
}

/// Compares the counts of datagrams.
fn check_datagrams(expected: &flows::Datagrams, got: &Datagrams, settings: &Settings) {
    assert_eq!(got.sent, expected.sent);
    assert_eq!(got.received, expected.received);
    assert_eq!(
        got.overflow,
        Some(expected.dropped),
        "dropped by the kernel"
    );
    if settings.is_numbered() {
        assert_eq!(got.duplicate, expected.duplicate, "duplicates");
        assert_eq!(got.reordered, expected.reordered, "reordered");
        assert_eq!(got.reorder_extent, expected.reorder_extent, "how far");
        assert_eq!(got.corrupt, expected.corrupt, "corrupt");
    }
}
