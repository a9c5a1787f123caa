//! The traces of a client and of its server, in one: where the time of each message went.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use super::LOOP;
use super::events::micros;
use super::joined::append;
use super::lives::{Life, OtherEnds, lives};
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
    /// The number of records in both.
    pub records: u64,
    /// Messages of which both ends were found, in the order of the client's trace.
    pub journeys: Vec<Journey>,
    /// Both traces have their ends. Otherwise a program was killed, or is still writing.
    pub complete: bool,
    /// Messages of which an end is missing: beyond a limit, or of another server.
    pub unmatched: u64,
    /// The number that the server's process has here, because the client's is the same.
    pub renumbered: Option<u64>,
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
            until_byte: call.offset.saturating_add(u64::from(call.bytes())),
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

/// A trace that is to be merged.
#[derive(Debug)]
pub struct Named<'a> {
    name: &'a str,
    text: &'a str,
    trace: Trace,
}

impl<'a> Named<'a> {
    /// Reads the trace `text` of the file `name`.
    ///
    /// # Errors
    ///
    /// What the file is instead of a trace, with its name.
    pub fn read(name: &'a str, text: &'a str) -> Result<Self, String> {
        let trace = read(text).map_err(|error| with_name(name, error))?;
        Ok(Self { name, text, trace })
    }
}

/// An error of the file `name`, with that name.
fn with_name(name: &str, error: String) -> String {
    match error.strip_prefix("is ") {
        Some(_) => format!("{name} {error}"),
        None => format!("{name}: {error}"),
    }
}

/// Joins the traces of a client and of its server, given in either order, of one machine. The server has to answer with
/// an echo: it is by its place in the stream that a message is known.
///
/// # Errors
///
/// Which file is not a trace, or that they are not of a client and a server.
pub fn merge(one: (&str, &str), other: (&str, &str)) -> Result<Merged, String> {
    let one = Named::read(one.0, one.1)?;
    join(&one, &Named::read(other.0, other.1)?)
}

/// As [`merge`], of traces that were read.
///
/// # Errors
///
/// That they are not of a client and a server.
pub fn join(first: &Named<'_>, second: &Named<'_>) -> Result<Merged, String> {
    let (ours, theirs) = match (first.trace.role, second.trace.role) {
        (Role::Load, Role::Server) => (first, second),
        (Role::Server, Role::Load) => (second, first),
        _ => {
            return Err(format!(
                "{} and {} are of the same side: give one of bench and one of serve",
                first.name, second.name
            ));
        }
    };
    let (client, server) = (&ours.trace, &theirs.trace);
    // In containers, both may have the same number. Viewers would take them for one program.
    let is_shared = client.process == server.process;
    let process = server.process.wrapping_add(u64::from(is_shared));
    let mut text = String::new();
    for (one, process) in [(ours, client.process), (theirs, process)] {
        append(&one.trace, one.text, process, &mut text)
            .map_err(|error| with_name(one.name, error))?;
    }
    let mut journeys = Journeys {
        server: process,
        client,
        asked: calls_of(client),
        answered: calls_of(server),
        other_ends: OtherEnds::new(server),
        lives: lives(client)
            .into_iter()
            .map(|life| (life.who, life))
            .collect(),
        found: Vec::new(),
        unmatched: 0,
    };
    journeys.find(&mut text);
    text.push_str("]\n");
    Ok(Merged {
        text,
        records: (client.records.len() + server.records.len()) as u64,
        journeys: journeys.found,
        complete: client.complete && server.complete,
        unmatched: journeys.unmatched,
        renumbered: is_shared.then_some(process),
    })
}

/// Finds the calls of each message.
#[derive(Debug)]
struct Journeys<'a> {
    client: &'a Trace,
    /// The process of the server.
    server: u64,
    asked: HashMap<ClientId, Calls>,
    answered: HashMap<ClientId, Calls>,
    other_ends: OtherEnds,
    lives: HashMap<ClientId, Life>,
    found: Vec<Journey>,
    unmatched: u64,
}

impl Journeys<'_> {
    /// Finds those of all messages, and appends their arrows to `text`.
    fn find(&mut self, text: &mut String) {
        for record in &self.client.records {
            let (Some(who), What::Message { offset, size, .. }) = (record.who, record.what) else {
                continue;
            };
            let last = offset.saturating_add(u64::from(size.max(1)) - 1);
            let life = self.lives.get(&who).copied();
            let other = life.and_then(|life| self.other_ends.of(life));
            let steps = other.and_then(|other| self.steps(who, other, last));
            let (Some(life), Some(steps)) = (life, steps) else {
                self.unmatched += 1;
                continue;
            };
            let until = record.at + record.took;
            let journey = steps.journey(life.client, offset, record.at, until);
            let number = self.found.len() + 1;
            steps.arrow(number, self.client.process, self.server, text);
            self.found.push(journey);
        }
    }

    /// The calls that moved the byte `last` of a client's connection and of the server's.
    fn steps(&self, client: ClientId, server: ClientId, last: u64) -> Option<Steps<'_>> {
        let (ours, theirs) = (self.asked.get(&client)?, self.answered.get(&server)?);
        Some(Steps {
            sent: that_moved(&ours.writes, last)?,
            received: that_moved(&theirs.reads, last)?,
            answered: that_moved(&theirs.writes, last)?,
            read: that_moved(&ours.reads, last)?,
        })
    }
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
