//! What the script draws, as JSON: a column for each property, times from the beginning of the trace.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::Trace;
use super::digest::{Digest, STILL_OPEN};
use crate::probe::{Call, Lint, Moved, Record, Served, What};
use crate::service::ClientId;

/// How many connections have a lane of their own.
pub(super) const LANES: usize = 40;

/// The columns of what is on the track of the loop. What `one` and `other` are depends on the kind.
#[derive(Debug, Default)]
struct Columns {
    /// A letter each.
    kind: String,
    /// Since the one before began.
    after: Vec<u64>,
    took: Vec<u64>,
    /// The place of the connection, or -1.
    who: Vec<i64>,
    one: Vec<i64>,
    other: Vec<i64>,
}

/// What the script draws. It can stand in an element: there is no `<` in it.
pub(super) fn json(trace: &Trace, digest: &Digest<'_>) -> String {
    let places: HashMap<ClientId, usize> = digest
        .connections
        .iter()
        .enumerate()
        .map(|(place, connection)| (connection.who, place))
        .collect();
    let place = |who: Option<ClientId>| {
        let place = who.and_then(|who| places.get(&who));
        place.map_or(-1, |&place| place as i64)
    };
    let mut columns = Columns::default();
    let mut before = digest.began;
    for record in &digest.slices {
        columns.take(record, before, place(record.who));
        before = record.at;
    }
    let since = |at: u64| at.saturating_sub(digest.began);
    let lives = digest.connections.iter().map(|connection| {
        let until = connection.closed.map_or(digest.ended, |(at, _)| at);
        let reason = connection.closed.map_or(STILL_OPEN, |(_, reason)| reason);
        json!([
            since(connection.opened.unwrap_or(digest.began)),
            since(until.min(digest.ended)),
            reason
        ])
    });
    let names: Vec<&str> = digest
        .connections
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let text = json!({
        "span": digest.span(),
        "lanes": names.len().min(LANES),
        "names": names,
        "lives": lives.collect::<Vec<_>>(),
        "kind": columns.kind,
        "after": columns.after,
        "took": columns.took,
        "who": columns.who,
        "one": columns.one,
        "other": columns.other,
        "messages": messages(trace, digest, place),
        "marks": digest.lints.iter().filter_map(|lint| mark(lint, digest)).collect::<Vec<_>>(),
    });
    text.to_string().replace('<', "\\u003c")
}

impl Columns {
    fn take(&mut self, record: &Record, before: u64, place: i64) {
        let moved = |call: Call| match call.result {
            Moved::Bytes(bytes) => i64::from(bytes),
            Moved::Nothing => -1,
            Moved::End => -2,
            Moved::Failed => -3,
        };
        let (kind, one, other) = match record.what {
            What::Poll { events, full } => ('p', i64::from(events), i64::from(full)),
            What::Serve { waited, served } => {
                let waited = waited.map_or(-1, |waited| waited as i64);
                let outcome = match served {
                    Served::Done | Served::Held => 0,
                    Served::Blocked => 1,
                    Served::Yielded => 2,
                    Served::Over => 3,
                };
                ('s', waited, outcome)
            }
            What::Read(call) => ('r', moved(call), i64::from(call.asked)),
            What::Write(call) => ('w', moved(call), i64::from(call.asked)),
            What::Accept { count } => ('a', i64::from(count), 0),
            What::Datagrams { received, sent } => ('d', i64::from(received), i64::from(sent)),
            _ => ('t', 0, 0),
        };
        self.kind.push(kind);
        self.after.push(record.at - before);
        self.took.push(record.took);
        self.who.push(place);
        self.one.push(one);
        self.other.push(other);
    }
}

/// The messages of connections that have a lane: whose, when they were due, and until when they were answered.
fn messages(trace: &Trace, digest: &Digest<'_>, place: impl Fn(Option<ClientId>) -> i64) -> Value {
    let mut all: Vec<(i64, u64, u64)> = Vec::new();
    for record in &trace.records {
        let lane = place(record.who);
        if matches!(record.what, What::Message { .. }) && lane < LANES as i64 {
            all.push((lane, record.at.saturating_sub(digest.began), record.took));
        }
    }
    all.sort_unstable();
    json!(all)
}

/// Where a lint can be seen: the time, and its name.
fn mark(lint: &Lint, digest: &Digest<'_>) -> Option<Value> {
    let at = lint.at?.saturating_sub(digest.began);
    Some(json!([at, lint.name]))
}
