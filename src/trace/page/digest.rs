//! What a page tells of a trace.

use std::collections::HashMap;

use hdrhistogram::Histogram;

use super::super::Trace;
use crate::probe::{Figures, Lint, Meter, Record, Span, What, lints};
use crate::service::ClientId;

/// Why a connection is over that is not: the trace ended before it did.
pub(super) const STILL_OPEN: &str = "still open";

/// What a page tells of a trace.
#[derive(Debug)]
pub(super) struct Digest<'a> {
    /// When the loop's first record began, in nanoseconds of the clock of the probe.
    pub(super) began: u64,
    /// When its last one ended.
    pub(super) ended: u64,
    /// Of the whole trace. [`open`](Figures::open) is how many connections there were at once, at most: at the end of
    /// a trace there are often none, and then nothing could be said of what they did to each other.
    pub(super) figures: Figures,
    pub(super) lints: Vec<Lint>,
    /// What is on the track of the loop, by when it began; what holds others before those.
    pub(super) slices: Vec<&'a Record>,
    /// The busiest first.
    pub(super) connections: Vec<Connection>,
    /// How long turns took, in nanoseconds.
    pub(super) turns: Histogram<u64>,
    /// How long a load's messages took until they were answered.
    pub(super) answers: Histogram<u64>,
}

/// What a trace tells of one connection.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) who: ClientId,
    pub(super) name: String,
    pub(super) opened: Option<u64>,
    /// When it was over, and why.
    pub(super) closed: Option<(u64, &'static str)>,
    pub(super) served: u64,
    pub(super) busy: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// When it was served longest at once.
    pub(super) longest: Span,
    /// How long it was ready and not served, at most.
    pub(super) waited: u64,
}

impl<'a> Digest<'a> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        let mut slices: Vec<&Record> = trace
            .records
            .iter()
            .filter(|r| depth(r).is_some())
            .collect();
        slices.sort_by_key(|record| (record.at, depth(record)));
        let began = slices.first().map_or(0, |record| record.at);
        let ends = slices.iter().map(|record| record.at + record.took);
        let ended = ends.max().unwrap_or(began);
        let mut meter = Meter::new(began);
        let mut turns = histogram();
        let mut answers = histogram();
        let (mut open, mut most) = (0_u64, 0);
        for record in &trace.records {
            match record.what {
                // It goes on behind the trace: it is not over, and what it is owed it is still owed.
                What::Close { reason: STILL_OPEN } => continue,
                What::Close { .. } => open = open.saturating_sub(1),
                What::Open { .. } => open += 1,
                What::Turn => turns.saturating_record(record.took.max(1)),
                What::Message { .. } => answers.saturating_record(record.took.max(1)),
                _ => {}
            }
            most = most.max(open);
            meter.take(record);
        }
        let mut figures = meter.take_figures(ended);
        figures.open = most;
        let lints = lints(&figures, trace.role, trace.overflows, |who| {
            trace.client_name(who)
        });
        let mut connections = connections(trace);
        // Ties are told apart by who came first: a page of the same trace is always the same.
        connections.sort_by_key(|one| (std::cmp::Reverse(one.busy), one.opened, one.who.get()));
        Self {
            began,
            ended,
            figures,
            lints,
            slices,
            connections,
            turns,
            answers,
        }
    }

    /// How long the trace is.
    pub(super) const fn span(&self) -> u64 {
        self.ended - self.began
    }

    /// The slice that shows what was at a moment: the turn around it. In a trace that was cut off, what began then.
    pub(super) fn slice_at(&self, at: u64) -> Option<usize> {
        let before = self.slices.partition_point(|record| record.at <= at);
        let those = self.slices[..before].iter().enumerate().rev();
        // Turns do not overlap: if the last that began is over, `at` is in none.
        let turn = those.clone().find(|(_, record)| record.what == What::Turn);
        let turn = turn.filter(|(_, turn)| at <= turn.at + turn.took);
        let begun = || those.take_while(|(_, record)| record.at == at).last();
        let found = turn.or_else(begun);
        found.map(|(index, _)| index)
    }
}

/// How deep a record lies on the track of the loop. `None`: it lies elsewhere.
const fn depth(record: &Record) -> Option<u8> {
    match record.what {
        What::Poll { .. } | What::Turn => Some(0),
        What::Serve { .. } | What::Accept { .. } | What::Datagrams { .. } => Some(1),
        What::Read(_) | What::Write(_) => Some(2),
        What::Open { .. } | What::Close { .. } | What::Message { .. } => None,
    }
}

fn connections(trace: &Trace) -> Vec<Connection> {
    let mut places: HashMap<ClientId, usize> = HashMap::new();
    let mut all: Vec<Connection> = Vec::new();
    for record in &trace.records {
        let Some(who) = record.who else {
            continue;
        };
        let place = *places.entry(who).or_insert_with(|| {
            all.push(Connection::new(who, trace.client_name(who)));
            all.len() - 1
        });
        all[place].take(record);
    }
    all
}

impl Connection {
    const fn new(who: ClientId, name: String) -> Self {
        Self {
            who,
            name,
            opened: None,
            closed: None,
            served: 0,
            busy: 0,
            bytes_in: 0,
            bytes_out: 0,
            longest: Span { at: 0, took: 0 },
            waited: 0,
        }
    }

    fn take(&mut self, record: &Record) {
        let &Record { at, took, what, .. } = record;
        match what {
            What::Serve { waited, .. } => {
                self.served += 1;
                self.busy += took;
                self.waited = self.waited.max(waited.unwrap_or(0));
                if took > self.longest.took {
                    self.longest = Span { at, took };
                }
            }
            What::Read(call) => self.bytes_in += u64::from(call.bytes()),
            What::Write(call) => self.bytes_out += u64::from(call.bytes()),
            What::Open { .. } => self.opened = Some(at),
            What::Close { reason } => self.closed = Some((at + took, reason)),
            _ => {}
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("the bounds are in order")
}
