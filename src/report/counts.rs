//! What was counted, as JSON.

use serde::Serialize;

use super::csv::Times;
use super::datagrams::Countable;
use super::rated_seconds;
use super::settings::nanoseconds;
use super::units::hex;
use crate::load::{self, MismatchKind, Outcome, Plan};

/// The states add up to `offered`.
#[derive(Debug, Serialize)]
pub(super) struct Messages {
    offered: u64,
    replied: u64,
    replied_late: u64,
    mismatched: u64,
    written: u64,
    connection_lost: u64,
    timed_out: u64,
    lost: u64,
    local_overflow: u64,
    unanswered_at_end: u64,
    shed: u64,
    never_sent: u64,
    /// From here on: derived counts, not states.
    sent: u64,
    failed: u64,
    sent_in_window: u64,
    completed_in_window: u64,
    caused_by_client: u64,
}

/// Messages that failed.
#[derive(Debug, Serialize)]
pub(super) struct Failures {
    count: u64,
    /// As a part of those offered, from 0 to 1.
    share: f64,
}

/// Per second, in the measured window.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    /// `None` for a run that was given up: messages that were never sent have no rate.
    offered: Option<f64>,
    sent: f64,
    completed: f64,
    bytes_sent: f64,
    bytes_received: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Bytes {
    sent: u64,
    received: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Connections {
    attempted: u64,
    established: u64,
    failed: u64,
    failed_locally: u64,
    closed_without_reply: u64,
    closed_by_server: u64,
    idle_closed: u64,
    churned: u64,
    most: u64,
    at_end: u64,
    refused_at_end: u64,
    hung_at_end: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Udp {
    numbered: bool,
    sent: u64,
    received: u64,
    lost: Option<u64>,
    late: Option<u64>,
    duplicate: Option<u64>,
    reordered: Option<u64>,
    reorder_extent: Option<u64>,
    corrupt: Option<u64>,
    foreign: Option<u64>,
    overflow: Option<u64>,
    jitter_ns: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Interval {
    t_ns: u64,
    length_ns: u64,
    sent: u64,
    replied: u64,
    failures: u64,
    timeouts: u64,
    errors: u64,
    in_flight: u64,
    busy: f64,
    response: IntervalTimes,
}

#[derive(Debug, Serialize)]
struct IntervalTimes {
    p50: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Mismatch {
    connection: usize,
    local: Option<String>,
    offset: u64,
    expected: String,
    got: String,
    kind: &'static str,
    /// Which other connection, how many bytes, or how long it was to be.
    number: Option<u64>,
}

impl Messages {
    pub(super) fn of(messages: &load::Messages) -> Self {
        Self {
            offered: messages.offered,
            replied: messages.replied,
            replied_late: messages.replied_late,
            mismatched: messages.mismatched,
            written: messages.written,
            connection_lost: messages.connection_lost,
            timed_out: messages.timed_out,
            lost: messages.lost,
            local_overflow: messages.local_overflow,
            unanswered_at_end: messages.unanswered_at_end,
            shed: messages.shed,
            never_sent: messages.never_sent,
            sent: messages.sent(),
            failed: messages.failed(),
            sent_in_window: messages.sent_in_window,
            completed_in_window: messages.completed_in_window,
            caused_by_client: messages.caused_by_client,
        }
    }
}

impl Failures {
    pub(super) fn of(messages: &load::Messages) -> Self {
        let count = messages.failed();
        Self {
            count,
            share: messages.share(count),
        }
    }
}

impl Rates {
    /// `None` if nothing was measured.
    pub(super) fn of(outcome: &Outcome, plan: &Plan) -> Option<Self> {
        let seconds = rated_seconds(outcome, plan)?;
        let per_second = |count: u64| count as f64 / seconds;
        Some(Self {
            offered: (outcome.gave_up.is_none()).then(|| per_second(outcome.messages.offered)),
            sent: per_second(outcome.messages.sent_in_window),
            completed: per_second(outcome.messages.completed_in_window),
            bytes_sent: per_second(outcome.bytes_sent),
            bytes_received: per_second(outcome.bytes_received),
        })
    }
}

impl Bytes {
    pub(super) const fn of(outcome: &Outcome) -> Self {
        Self {
            sent: outcome.bytes_sent,
            received: outcome.bytes_received,
        }
    }
}

impl Connections {
    pub(super) const fn of(connections: &load::Connections) -> Self {
        Self {
            attempted: connections.attempted,
            established: connections.established,
            failed: connections.failed,
            failed_locally: connections.failed_locally,
            closed_without_reply: connections.closed_without_reply,
            closed_by_server: connections.closed_by_server,
            idle_closed: connections.idle_closed,
            churned: connections.churned,
            most: connections.most,
            at_end: connections.at_end,
            refused_at_end: connections.refused_at_end,
            hung_at_end: connections.hung_at_end,
        }
    }
}

impl Udp {
    /// `None` if there were no datagrams.
    pub(super) fn of(outcome: &Outcome, plan: &Plan) -> Option<Self> {
        let udp = outcome.udp.as_ref()?;
        let counts = Countable::of(outcome, plan)?;
        Some(Self {
            numbered: udp.numbered,
            sent: udp.sent,
            received: udp.received,
            lost: counts.lost,
            late: counts.late,
            duplicate: counts.duplicate,
            reordered: counts.reordered,
            reorder_extent: counts.reorder_extent,
            corrupt: counts.corrupt,
            foreign: counts.foreign,
            overflow: udp.overflow,
            jitter_ns: counts.jitter_ns,
        })
    }
}

impl Interval {
    pub(super) fn of(interval: &load::Interval) -> Self {
        let Times { p50, p99, max } = Times::of(interval);
        Self {
            t_ns: nanoseconds(interval.end),
            length_ns: nanoseconds(interval.length),
            sent: interval.sent,
            replied: interval.replied,
            failures: interval.failures,
            timeouts: interval.timeouts,
            errors: interval.errors,
            in_flight: interval.in_flight,
            busy: interval.busy,
            response: IntervalTimes { p50, p99, max },
        }
    }
}

impl Mismatch {
    pub(super) fn of(mismatch: &load::Mismatch) -> Self {
        let (kind, number) = match mismatch.kind {
            MismatchKind::Altered => ("altered", None),
            MismatchKind::Foreign(other) => ("foreign", Some(other as u64)),
            MismatchKind::Lost(bytes) => ("lost", Some(bytes)),
            MismatchKind::Repeated(bytes) => ("repeated", Some(bytes)),
            MismatchKind::Surplus => ("surplus", None),
            MismatchKind::Size(size) => ("size", Some(size as u64)),
        };
        Self {
            connection: mismatch.connection,
            local: mismatch.local.map(|local| local.to_string()),
            offset: mismatch.offset,
            expected: hex(&mismatch.expected, ""),
            got: hex(&mismatch.got, ""),
            kind,
            number,
        }
    }
}
