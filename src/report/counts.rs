//! What was counted, as JSON.

use serde::Serialize;

use super::csv::Times;
use super::datagrams::Countable;
use super::settings::nanoseconds;
use super::units::hex;
use crate::load::{self, MismatchKind, Outcome, Plan};

#[derive(Debug, Serialize)]
pub(super) struct Messages {
    offered: u64,
    sent: u64,
    answered: u64,
    answered_in_time: u64,
    answered_late: u64,
    timeout: u64,
    shed: u64,
    unsent: u64,
    unanswered: u64,
    mismatch: u64,
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
    closed_by_peer: u64,
    churned: u64,
    most: u64,
    at_end: u64,
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
    answered: u64,
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
    pub(super) const fn of(messages: &load::Messages) -> Self {
        Self {
            offered: messages.offered,
            sent: messages.sent,
            answered: messages.answered,
            answered_in_time: messages.answered_in_time,
            answered_late: messages.answered_late,
            timeout: messages.timeout,
            shed: messages.shed,
            unsent: messages.unsent,
            unanswered: messages.unanswered,
            mismatch: messages.mismatch,
        }
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
            closed_by_peer: connections.closed_by_peer,
            churned: connections.churned,
            most: connections.most,
            at_end: connections.at_end,
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
            answered: interval.answered,
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
