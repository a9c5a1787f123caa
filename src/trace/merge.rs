//! The traces of a client and of its server, in one: where the time of each message went.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::Value;

use super::LOOP;
use super::events::micros;
use super::reader::{Trace, read};
use crate::probe::{Call, Record, Role, What};
use crate::service::ClientId;

/// Where the time of a message went, from when it was due until it was answered.
///
/// Both programs are on one machine, where bytes that were written can be read at once. So the time until whoever is to
/// read them has woken is its own: it was busy, or did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journey {
    /// The client's address.
    pub client: SocketAddr,
    /// Where in the stream of its connection the message begins.
    pub offset: u64,
    /// When it was due, in nanoseconds of the machine's monotonic clock.
    pub due: u64,
    /// How long each part took, in nanoseconds, in the order of [`PARTS`].
    pub parts: [u64; 6],
}

/// The parts of a journey, and whose each is.
pub const PARTS: [(&str, Role); 6] = [
    // From when it was due until its last byte was written.
    ("client sends", Role::Load),
    // Until the server's poll has told of it.
    ("server wakes", Role::Server),
    // Until its connection was served.
    ("server's queue", Role::Server),
    // Until its answer was written.
    ("server answers", Role::Server),
    // Until the client's poll has told of that.
    ("client wakes", Role::Load),
    // Until it was read and verified.
    ("client reads", Role::Load),
];

/// Two traces in one.
#[derive(Clone, Debug)]
pub struct Merged {
    /// As a trace that viewers open, with arrows from each end to the other.
    pub text: String,
    /// Messages of which both ends were found, in the order of the client's trace.
    pub journeys: Vec<Journey>,
    /// Both traces have their ends. Otherwise a program was killed, or is still writing.
    pub complete: bool,
    /// Messages of which an end is missing: beyond a limit, or of another server.
    pub unmatched: u64,
}

impl Journey {
    /// How long it took in all.
    pub fn total(&self) -> u64 {
        self.parts.iter().sum()
    }

    /// How much of it was the client's, or the server's.
    pub fn of(&self, role: Role) -> u64 {
        let parts = self.parts.iter().zip(&PARTS);
        parts
            .filter(|(_, (_, whose))| *whose == role)
            .map(|(part, _)| part)
            .sum()
    }

    /// Whose most of it was.
    pub fn blamed(&self) -> Role {
        if self.of(Role::Server) > self.of(Role::Load) {
            Role::Server
        } else {
            Role::Load
        }
    }
}

/// A call, and when whoever was served had become ready, and was served.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// From which byte on it has moved some, and up to which.
    from_byte: u64,
    until_byte: u64,
    ready: u64,
    at: u64,
    ended: u64,
}

/// The calls on one connection that moved bytes, in their order.
#[derive(Clone, Debug, Default)]
struct Calls {
    reads: Vec<Done>,
    writes: Vec<Done>,
    /// How many of each have been told when they were ready.
    settled: [usize; 2],
}

impl Calls {
    fn take(&mut self, record: &Record) {
        let done = |call: Call| Done {
            from_byte: call.offset,
            until_byte: call.offset + u64::from(call.bytes()),
            ready: record.at,
            at: record.at,
            ended: record.at + record.took,
        };
        match record.what {
            What::Read(call) if call.bytes() > 0 => self.reads.push(done(call)),
            What::Write(call) if call.bytes() > 0 => self.writes.push(done(call)),
            What::Serve { waited, .. } => {
                let ready = record.at - waited.unwrap_or(0).min(record.at);
                let [reads, writes] = self.settled;
                for done in &mut self.reads[reads..] {
                    done.ready = ready;
                }
                for done in &mut self.writes[writes..] {
                    done.ready = ready;
                }
                self.settled = [self.reads.len(), self.writes.len()];
            }
            _ => {}
        }
    }
}

/// The call that moved byte `byte`, unless it is not in the trace.
fn that_moved(calls: &[Done], byte: u64) -> Option<&Done> {
    let found = calls.get(calls.partition_point(|done| done.until_byte <= byte))?;
    (found.from_byte <= byte).then_some(found)
}

/// A connection, from when it came to be until it was over.
#[derive(Clone, Copy, Debug)]
struct Life {
    who: ClientId,
    opened: u64,
    closed: u64,
}

/// The lives of all connections, by the client's address.
fn lives(trace: &Trace) -> HashMap<SocketAddr, Vec<Life>> {
    let mut lives: HashMap<_, Vec<_>> = HashMap::new();
    for record in &trace.records {
        let (Some(who), What::Close { .. }) = (record.who, record.what) else {
            continue;
        };
        if let Some(client) = trace.clients.get(&who) {
            lives.entry(*client).or_default().push(Life {
                who,
                opened: record.at,
                closed: record.at + record.took,
            });
        }
    }
    // Those whose end is not in the trace.
    for record in &trace.records {
        if let (Some(who), What::Open { client }) = (record.who, record.what) {
            let all = lives.entry(client).or_default();
            if all.iter().all(|life| life.who != who) {
                all.push(Life {
                    who,
                    opened: record.at,
                    closed: u64::MAX,
                });
            }
        }
    }
    lives
}

/// How much earlier a server may know of a connection than the client whose attempt it is, in nanoseconds: the client
/// may have been at work.
const EARLIER_MAX: u64 = 100_000_000;

/// The server's end of a connection. An address is used again, by later connections or to another server: it is the
/// first that was accepted while the client was there, however late that was.
fn other_end(
    served: &HashMap<SocketAddr, Vec<Life>>,
    client: SocketAddr,
    life: Life,
) -> Option<ClientId> {
    let all = served.get(&client)?.iter();
    let from = life.opened.saturating_sub(EARLIER_MAX);
    let there = all.filter(|other| other.opened >= from && other.opened <= life.closed);
    let first = there.min_by_key(|other| other.opened.abs_diff(life.opened));
    first.map(|other| other.who)
}

/// The calls on each connection.
fn calls_of(trace: &Trace) -> HashMap<ClientId, Calls> {
    let mut calls: HashMap<ClientId, Calls> = HashMap::new();
    for record in &trace.records {
        if let Some(who) = record.who {
            calls.entry(who).or_default().take(record);
        }
    }
    calls
}

/// Joins the traces of a client and of its server, given in either order, of one machine. The server has to answer with
/// an echo: it is by its place in the stream that a message is known.
///
/// # Errors
///
/// Which is no trace, or that they are not of a client and a server.
pub fn merge(one: (&str, &str), other: (&str, &str)) -> Result<Merged, String> {
    let parse = |(name, text): (&str, &str)| read(text).map_err(|error| format!("{name}: {error}"));
    let (first, second) = (parse(one)?, parse(other)?);
    let (client, server) = match (first.role, second.role) {
        (Role::Load, Role::Server) => (&first, &second),
        (Role::Server, Role::Load) => (&second, &first),
        _ => {
            return Err(format!(
                "{} and {} are of the same side: give one of bench and one of serve",
                one.0, other.0
            ));
        }
    };
    let (asked, answered) = (calls_of(client), calls_of(server));
    let served = lives(server);
    let there: HashMap<ClientId, (SocketAddr, Life)> = lives(client)
        .into_iter()
        .flat_map(|(address, all)| all.into_iter().map(move |life| (life.who, (address, life))))
        .collect();
    let mut merged = Merged {
        text: String::new(),
        journeys: Vec::new(),
        complete: first.complete && second.complete,
        unmatched: 0,
    };
    let mut arrows = String::new();
    for record in &client.records {
        let (Some(who), What::Message { offset, size, .. }) = (record.who, record.what) else {
            continue;
        };
        let last = offset + u64::from(size.max(1)) - 1;
        let found = there.get(&who).and_then(|&(address, life)| {
            let other = other_end(&served, address, life)?;
            let (ours, theirs) = (asked.get(&who)?, answered.get(&other)?);
            let steps = Steps {
                sent: that_moved(&ours.writes, last)?,
                received: that_moved(&theirs.reads, last)?,
                answered: that_moved(&theirs.writes, last)?,
                read: that_moved(&ours.reads, last)?,
            };
            Some((address, steps))
        });
        let Some((address, steps)) = found else {
            merged.unmatched += 1;
            continue;
        };
        let until = record.at + record.took;
        merged
            .journeys
            .push(steps.journey(address, offset, record.at, until));
        steps.arrow(
            merged.journeys.len(),
            client.process,
            server.process,
            &mut arrows,
        );
    }
    merged.text = format!("[{},\n{}{arrows}]\n", events(one.1), events(other.1));
    Ok(merged)
}

/// The events of a trace, without its brackets, and without a last one that was cut off.
fn events(text: &str) -> String {
    let mut lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_start_matches('[').trim_end_matches([',', ']']))
        .filter(|line| !line.is_empty())
        .collect();
    if lines
        .last()
        .is_some_and(|last| serde_json::from_str::<Value>(last).is_err())
    {
        lines.pop();
    }
    lines.join(",\n")
}

/// The calls that a message and its answer took.
#[derive(Debug)]
struct Steps<'a> {
    sent: &'a Done,
    received: &'a Done,
    answered: &'a Done,
    read: &'a Done,
}

impl Steps<'_> {
    fn journey(&self, client: SocketAddr, offset: u64, due: u64, until: u64) -> Journey {
        // Each step not before the one ahead of it: an event may have come before the byte that it is taken for.
        // What is being read has been written, though the call that wrote it may not have returned yet.
        let times = [
            self.sent.ended.min(self.received.at),
            self.received.ready,
            self.received.at,
            self.answered.ended.min(self.read.at),
            self.read.ready,
            until,
        ];
        let mut before = due;
        let parts = times.map(|time| {
            let part = time.saturating_sub(before);
            before = before.max(time);
            part
        });
        Journey {
            client,
            offset,
            due,
            parts,
        }
    }

    /// From the client's write over the server's read and write to the client's read.
    fn arrow(&self, id: usize, client: u64, server: u64, out: &mut String) {
        let points = [
            ("s", client, self.sent),
            ("t", server, self.received),
            ("t", server, self.answered),
            ("f", client, self.read),
        ];
        let forward = points.windows(2).all(|pair| pair[0].2.at <= pair[1].2.at);
        if !forward {
            return;
        }
        for (phase, process, done) in points {
            let _ = write!(
                out,
                ",\n{{\"pid\":{process},\"name\":\"message\",\"cat\":\"journey\",\"ph\":\"{phase}\",\"id\":\"m{id}\",\
                 \"tid\":{LOOP},\"ts\":{},\"bp\":\"e\"}}",
                // Where it begins: what a write has delivered may be read before the write is over.
                micros(done.at)
            );
        }
    }
}
