//! Trace events, as records.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::Value;

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
    /// What it did, in the order of the file.
    pub records: Vec<Record>,
    /// The client of each connection.
    pub clients: HashMap<ClientId, SocketAddr>,
    /// Records that are not in the file: beyond its limit, or missed.
    pub dropped: u64,
    /// Connections that found no room in a backlog meanwhile, if that is known.
    pub overflows: Option<u64>,
    /// It has its end. Otherwise the program was killed, or is still writing.
    pub complete: bool,
}

/// Reads a trace that [`TraceWriter`](super::TraceWriter) has written, even if its end is missing.
///
/// # Errors
///
/// What it is instead, or the line that is none of a trace.
pub fn read(text: &str) -> Result<Trace, String> {
    let mut lines = text.lines().enumerate();
    let first = lines.next().map_or("", |(_, line)| line);
    let head = event(first.trim_start_matches('['));
    let args = head.as_ref().map(|head| &head["args"]);
    let (Some(args), Some(head)) = (args, &head) else {
        return Err(NOT_A_TRACE.to_owned());
    };
    if args["format"] != FORMAT {
        return Err(NOT_A_TRACE.to_owned());
    }
    let load = args["role"] == role_name(Role::Load);
    let mut trace = Trace {
        role: if load { Role::Load } else { Role::Server },
        name: args["name"].as_str().unwrap_or_default().to_owned(),
        process: head["pid"].as_u64().unwrap_or(0),
        records: Vec::new(),
        clients: HashMap::new(),
        dropped: 0,
        overflows: None,
        complete: false,
    };
    let process = &head["pid"];
    let mut pending = None;
    for (index, line) in lines {
        if let Some(number) = pending.take() {
            return Err(format!(
                "line {number} is no event of a trace: the file was damaged, record it again"
            ));
        }
        match event(line) {
            Some(event) if event["pid"] == *process => trace.take(&event),
            Some(_) => {
                return Err(format!(
                    "line {}: several programs in one trace: give one that was not merged",
                    index + 1
                ));
            }
            // The last may have been cut off.
            None => pending = Some(index + 1),
        }
    }
    Ok(trace)
}

/// What a file is that is no trace, with the remedy.
pub const NOT_A_TRACE: &str =
    "is no trace of echoloop: give a file that serve or bench has written with --trace";

/// The event on a line.
fn event(line: &str) -> Option<Value> {
    let line = line.trim_end().trim_end_matches([',', ']']);
    // The bracket at the end has no comma before it.
    let value: Value = serde_json::from_str(line).ok()?;
    value.is_object().then_some(value)
}

impl Trace {
    fn take(&mut self, event: &Value) {
        let args = &event["args"];
        let who = args["who"].as_u64().map(ClientId::new);
        let number = |name: &str| args[name].as_u64().unwrap_or(0);
        let at = nanoseconds(&event["ts"]);
        let took = nanoseconds(&event["dur"]);
        let name = event["name"].as_str().unwrap_or_default();
        let what = match event["ph"].as_str() {
            Some("X") if event["tid"] == LOOP => self.slice(name, args),
            Some("X") => args["reason"].as_str().map(|reason| What::Close {
                reason: reason_of(reason),
            }),
            Some("i") if name == "open" => {
                let client = args["client"].as_str().and_then(|text| text.parse().ok());
                if let (Some(who), Some(client)) = (who, client) {
                    self.clients.insert(who, client);
                }
                client.map(|client| What::Open { client })
            }
            Some("i") if name == "end" => {
                self.complete = true;
                self.dropped = number("dropped") + number("missed");
                self.overflows = args["overflows"].as_u64();
                None
            }
            Some("b") => Some(What::Message {
                offset: number("offset"),
                size: number("size") as u32,
                late: number("late_ns"),
            }),
            _ => None,
        };
        let took = args["took_ns"].as_u64().unwrap_or(took);
        self.records.extend(what.map(|what| Record {
            at,
            took,
            who,
            what,
        }));
    }

    /// What a slice on the track of the loop is.
    fn slice(&self, name: &str, args: &Value) -> Option<What> {
        let number = |name: &str| args[name].as_u64().unwrap_or(0);
        let call = || Call {
            offset: number("offset"),
            asked: number("asked") as u32,
            result: match args["result"].as_str() {
                Some("moved") => Moved::Bytes(number("bytes") as u32),
                Some("end of file") => Moved::End,
                Some("failed") => Moved::Failed,
                _ => Moved::Nothing,
            },
        };
        Some(match name {
            "poll" => What::Poll {
                events: number("events") as u32,
                full: args["full"] == true,
            },
            "turn" => What::Turn,
            "read" => What::Read(call()),
            "write" => What::Write(call()),
            "accept" => What::Accept {
                count: number("count") as u32,
            },
            "datagrams" => What::Datagrams {
                received: number("received") as u32,
                sent: number("sent") as u32,
            },
            name if name.starts_with("serve ") => What::Serve {
                waited: args["waited_ns"].as_u64(),
                served: Served::named(args["served"].as_str()?)?,
            },
            _ => return None,
        })
    }
}

/// Microseconds, as nanoseconds.
fn nanoseconds(micros: &Value) -> u64 {
    (micros.as_f64().unwrap_or(0.0) * 1000.0).round() as u64
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
