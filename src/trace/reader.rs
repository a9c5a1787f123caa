//! Trace events, as records.
//!
//! A trace is untrusted input. Memory is proportional to the file: no number in it is an index or a size.
//! Times that can't be are an error that names the line. The order of the file is when things ended, and
//! nothing depends on it but the figures: what shows times sorts them.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::document::{Elements, NOT_A_TRACE, damaged};
use super::event::{Args, Event};
use super::{FORMAT, LOOP, role_name};
use crate::probe::{Call, Moved, Record, Role, Served, What};
use crate::service::ClientId;

/// A trace that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Whose loop it was.
    pub role: Role,
    /// What the program was called.
    pub name: String,
    /// What the system knew it as.
    pub process: u64,
    /// What it did, in the order of the file. The slots of connections are numbered in the order in which
    /// they appear.
    pub records: Vec<Record>,
    /// The client of each connection.
    pub clients: HashMap<ClientId, SocketAddr>,
    /// The number of each slot in the file.
    pub slots: Vec<u32>,
    /// Records that are not in the file: beyond its limit, or missed.
    pub dropped: u64,
    /// Connections that found no room in a backlog meanwhile, if that is known.
    pub overflows: Option<u64>,
    /// It has its end. Otherwise the program was killed, or is still writing.
    pub complete: bool,
}

/// Several programs in one file.
const MERGED: &str = "is a merged trace: give the trace of one program, as serve or bench has \
                      written it";

/// Reads a trace that [`TraceWriter`](super::TraceWriter) has written, even if its end is missing.
///
/// # Errors
///
/// What it is instead, or the line that is damaged.
pub fn read(text: &str) -> Result<Trace, String> {
    let mut elements = Elements::new(text)?;
    let head = elements.next::<Event<'_>>().ok().flatten();
    let head = head.map(|head| head.value).filter(is_head);
    let Some(head) = head else {
        return Err(NOT_A_TRACE.to_owned());
    };
    if head.args.merged == Some(true) {
        return Err(MERGED.to_owned());
    }
    let is_load = head.args.role.as_deref() == Some(role_name(Role::Load));
    let mut reader = Reader {
        trace: Trace {
            role: if is_load { Role::Load } else { Role::Server },
            name: head.args.name.unwrap_or_default(),
            process: head.pid,
            records: Vec::new(),
            clients: HashMap::new(),
            slots: Vec::new(),
            dropped: 0,
            overflows: None,
            complete: false,
        },
        slots: HashMap::new(),
        total: 0,
    };
    while let Some(event) = elements.next::<Event<'_>>()? {
        // Before they were marked as merged, traces were joined without a check of their processes.
        if event.value.pid != head.pid || is_head(&event.value) {
            return Err(MERGED.to_owned());
        }
        reader.take(&event.value, event.line)?;
    }
    Ok(reader.trace)
}

/// Whether a trace of this program begins with this event.
fn is_head(event: &Event<'_>) -> bool {
    event.args.format.as_deref() == Some(FORMAT)
}

/// Makes records of events.
struct Reader {
    trace: Trace,
    /// The slots of the file, by their numbers there.
    slots: HashMap<u32, u32>,
    /// All durations. No sum of some of them overflows as long as this one does not.
    total: u64,
}

impl Reader {
    fn take(&mut self, event: &Event<'_>, line: usize) -> Result<(), String> {
        let args = &event.args;
        let what = match &*event.ph {
            "X" if event.tid == LOOP => slice(&event.name, args),
            "X" => args.reason.as_deref().map(|reason| What::Close {
                reason: reason_of(reason),
            }),
            "i" if event.name == "open" => {
                let client = args.client.as_deref().and_then(|text| text.parse().ok());
                client.map(|client| What::Open { client })
            }
            "i" if event.name == "end" => {
                self.trace.complete = true;
                self.trace.dropped = args.dropped.saturating_add(args.missed);
                self.trace.overflows = args.overflows;
                None
            }
            "b" => Some(What::Message {
                offset: args.offset,
                size: args.size,
                late: args.late_ns.unwrap_or(0),
            }),
            _ => None,
        };
        let Some(what) = what else {
            return Ok(());
        };
        let (at, took) = event.times(line)?;
        let total = self.total.checked_add(took);
        self.total = total.ok_or_else(|| damaged(line))?;
        let who = args.who.map(|number| self.client(number));
        if let (Some(who), What::Open { client }) = (who, what) {
            self.trace.clients.insert(who, client);
        }
        self.trace.records.push(Record {
            at,
            took,
            who,
            what,
        });
        Ok(())
    }

    /// The connection that the file knows by `number`.
    fn client(&mut self, number: u64) -> ClientId {
        let slot = number as u32;
        let place = *self.slots.entry(slot).or_insert_with(|| {
            self.trace.slots.push(slot);
            self.trace.slots.len() as u32 - 1
        });
        ClientId::new(number & !u64::from(u32::MAX) | u64::from(place))
    }
}

impl Trace {
    /// The number of connections of which something is known.
    pub fn connections(&self) -> usize {
        let all: HashSet<ClientId> = self
            .records
            .iter()
            .filter_map(|record| record.who)
            .collect();
        all.len()
    }

    /// What a connection is called: by its client's address, or else by its slot in the file.
    pub(super) fn client_name(&self, who: ClientId) -> String {
        match (self.clients.get(&who), self.slots.get(who.slot())) {
            (Some(client), _) => client.to_string(),
            (None, Some(slot)) => format!("connection {slot}"),
            (None, None) => format!("connection {}", who.slot()),
        }
    }
}

/// What a slice on the track of the loop is.
fn slice(name: &str, args: &Args) -> Option<What> {
    let call = || Call {
        offset: args.offset,
        asked: args.asked,
        result: match args.result.as_deref() {
            Some("moved") => Moved::Bytes(args.bytes),
            Some("end of file") => Moved::End,
            Some("failed") => Moved::Failed,
            _ => Moved::Nothing,
        },
    };
    Some(match name {
        "poll" => What::Poll {
            events: args.events,
            full: args.full == Some(true),
        },
        "turn" => What::Turn,
        "read" => What::Read(call()),
        "write" => What::Write(call()),
        "accept" => What::Accept { count: args.count },
        "datagrams" => What::Datagrams {
            received: args.received,
            sent: args.sent,
        },
        name if name.starts_with("serve ") => What::Serve {
            waited: args.waited_ns,
            served: Served::named(args.served.as_deref()?)?,
        },
        _ => return None,
    })
}

/// Why a connection has ended, of the reasons there are.
fn reason_of(text: &str) -> &'static str {
    let known = [
        "aborted",
        "churned",
        "drained",
        "failed",
        "hung up",
        "idle timeout",
        "mismatch",
        "peer closed",
        "reset",
        "still open",
        "write stalled",
    ];
    known
        .into_iter()
        .find(|known| *known == text)
        .unwrap_or("closed")
}
