//! Records, as trace events.

use std::io::{self, Write};
use std::net::SocketAddr;

use super::events::{Events, Slice, micros, quoted};
use super::{FORMAT, LOOP, SLOTS};
use crate::probe::{Call, Moved, Record, Role, What};
use crate::service::ClientId;

/// How often counters are told, in nanoseconds.
const COUNTERS_EVERY: u64 = 10_000_000;

/// Writes records as they come. What has been written is a trace at any moment: the bracket at its end may be missing.
#[derive(Debug)]
pub struct TraceWriter<W> {
    events: Events<W>,
    /// How many more records may be written.
    left: u64,
    dropped: u64,
    arrows: u64,
    /// Connections that are open: since when, and whose.
    open: Vec<Option<Live>>,
    counted: Counted,
}

#[derive(Clone, Copy, Debug)]
struct Live {
    who: ClientId,
    since: u64,
    client: SocketAddr,
}

/// What counters are made of.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    at: u64,
    blocked: u64,
    busy: u64,
    events: u64,
    turns: u64,
    open: u64,
}

/// What is known at the end of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// When it was, in nanoseconds of the clock of the probe.
    pub at: u64,
    /// Connections that found no room in a backlog meanwhile, if that is known.
    pub overflows: Option<u64>,
    /// Records that were not handed on, because whoever writes could not keep up.
    pub missed: u64,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a trace of at most `limit` records, of a program that is `name` and that this system knows as `process`.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn begin(mut out: W, role: Role, name: &str, process: u32, limit: u64) -> io::Result<Self> {
        let (role, name) = (super::role_name(role), quoted(name));
        writeln!(
            out,
            r#"[{{"name":"process_name","ph":"M","pid":{process},"args":{{"name":{name},"format":"{FORMAT}","role":"{role}"}}}},"#
        )?;
        write!(
            out,
            r#"{{"name":"thread_name","ph":"M","pid":{process},"tid":{LOOP},"args":{{"name":"loop"}}}}"#
        )?;
        Ok(Self {
            events: Events { out, process },
            left: limit,
            dropped: 0,
            arrows: 0,
            open: Vec::new(),
            counted: Counted::default(),
        })
    }

    /// Writes `records`, as far as the limit allows.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn write(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            // A connection whose beginning is in the trace has its end there too.
            if self.left == 0 && !self.is_end(record) {
                self.dropped += 1;
                continue;
            }
            self.left = self.left.saturating_sub(1);
            self.note_opening(record);
            self.write_one(record)?;
        }
        Ok(())
    }

    /// Hands what was written so far on to where it goes.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        self.events.out.flush()
    }

    /// Ends the trace: connections that are open are told as far as they have lived.
    ///
    /// # Errors
    ///
    /// Those of writing.
    pub fn finish(mut self, end: End) -> io::Result<()> {
        for live in std::mem::take(&mut self.open).into_iter().flatten() {
            self.write_life(live, end.at, "still open")?;
        }
        let (dropped, missed) = (self.dropped, end.missed);
        let overflows = end
            .overflows
            .map_or_else(|| "null".to_owned(), |count| count.to_string());
        self.events.event(format_args!(
            r#""name":"end","ph":"i","s":"p","tid":{LOOP},"ts":{},"args":{{"dropped":{dropped},"missed":{missed},"overflows":{overflows}}}"#,
            micros(end.at)
        ))?;
        self.events.end()
    }

    /// Whether a connection is over that is known here.
    fn is_end(&self, record: &Record) -> bool {
        matches!(record.what, What::Close { .. }) && self.live(record.who).is_some()
    }

    fn live(&self, who: Option<ClientId>) -> Option<Live> {
        let live = self.open.get(who?.slot()).copied().flatten()?;
        (Some(live.who) == who).then_some(live)
    }

    /// Keeps in mind who is there.
    fn note_opening(&mut self, record: &Record) {
        let (Some(who), What::Open { client }) = (record.who, record.what) else {
            return;
        };
        let slot = who.slot();
        if slot >= self.open.len() {
            self.open.resize(slot + 1, None);
        }
        self.counted.open += 1;
        self.open[slot] = Some(Live {
            who,
            since: record.at,
            client,
        });
    }

    fn write_one(&mut self, record: &Record) -> io::Result<()> {
        let &Record {
            at,
            took,
            who,
            what,
        } = record;
        let slice = |name: &str| Slice {
            name: name.to_owned(),
            track: LOOP,
            at,
            took,
        };
        match what {
            What::Poll { events, full } => {
                self.count(record);
                self.events.slice(
                    &slice("poll"),
                    format_args!(r#""events":{events},"full":{full}"#),
                )
            }
            What::Turn => {
                self.count(record);
                self.events.slice(&slice("turn"), format_args!(""))
            }
            What::Serve { waited, served } => match who {
                Some(who) => self.write_serving(record, who, waited, served.name()),
                None => Ok(()),
            },
            What::Read(call) => self.write_call(&slice("read"), who, call),
            What::Write(call) => self.write_call(&slice("write"), who, call),
            What::Accept { count } => self
                .events
                .slice(&slice("accept"), format_args!(r#""count":{count}"#)),
            What::Datagrams { received, sent } => self.events.slice(
                &slice("datagrams"),
                format_args!(r#""received":{received},"sent":{sent}"#),
            ),
            What::Open { client } => match who {
                Some(who) => self.name_track(who, client),
                None => Ok(()),
            },
            What::Close { reason } => self.end_life(who, at + took, reason),
            What::Message { offset, size, late } => self.write_message(record, offset, size, late),
        }
    }

    fn write_serving(
        &mut self,
        record: &Record,
        who: ClientId,
        waited: Option<u64>,
        served: &str,
    ) -> io::Result<()> {
        let (at, took) = (record.at, record.took);
        let (track, slot) = (SLOTS + who.slot() as u64, who.slot());
        let ready = waited.map_or_else(|| "null".to_owned(), |waited| waited.to_string());
        let on_loop = Slice {
            name: format!("serve {slot}"),
            track: LOOP,
            at,
            took,
        };
        let who = who.get();
        self.events.slice(
            &on_loop,
            format_args!(r#""who":{who},"waited_ns":{ready},"served":"{served}""#),
        )?;
        let Some(waited) = waited else {
            return self
                .events
                .slice(&Slice { track, ..on_loop }, format_args!(""));
        };
        let ready = Slice {
            name: "ready".to_owned(),
            track,
            at: at - waited,
            took: waited,
        };
        self.events.slice(&ready, format_args!(""))?;
        self.events.slice(
            &Slice {
                name: "served".to_owned(),
                track,
                ..on_loop
            },
            format_args!(""),
        )?;
        self.arrows += 1;
        let (process, id) = (self.events.process, self.arrows);
        for (phase, track, at) in [
            ("s", track, at - waited),
            // Within the slice, not at its edge.
            ("f", LOOP, at + took.saturating_sub(1)),
        ] {
            let binding = if phase == "s" { "" } else { r#","bp":"e""# };
            self.events.event(format_args!(
                r#""name":"echo","cat":"flow","ph":"{phase}","id":"{process}.{id}","tid":{track},"ts":{}{binding}"#,
                micros(at)
            ))?;
        }
        Ok(())
    }

    fn write_call(&mut self, slice: &Slice, who: Option<ClientId>, call: Call) -> io::Result<()> {
        let Call { offset, asked, .. } = call;
        let (bytes, result) = (call.bytes(), result_name(call.result));
        let number = who.map_or(0, ClientId::get);
        self.events.slice(
            slice,
            format_args!(
                r#""who":{number},"offset":{offset},"asked":{asked},"bytes":{bytes},"result":"{result}""#
            ),
        )?;
        match (call.result, who) {
            (Moved::Bytes(_), _) | (_, None) => Ok(()),
            (_, Some(who)) => {
                let (name, track) = (&slice.name, SLOTS + who.slot() as u64);
                self.events.event(format_args!(
                    r#""name":"{name}: {result}","ph":"i","s":"t","tid":{track},"ts":{}"#,
                    micros(slice.at + slice.took)
                ))
            }
        }
    }

    fn write_message(
        &mut self,
        record: &Record,
        offset: u64,
        size: u32,
        late: u64,
    ) -> io::Result<()> {
        let Some(who) = record.who else {
            return Ok(());
        };
        let (slot, who) = (who.slot(), who.get());
        let track = SLOTS + slot as u64;
        for (phase, at) in [("b", record.at), ("e", record.at + record.took)] {
            let args = if phase == "b" {
                format!(
                    r#","args":{{"who":{who},"offset":{offset},"size":{size},"late_ns":{late},"took_ns":{}}}"#,
                    record.took
                )
            } else {
                String::new()
            };
            self.events.event(format_args!(
                r#""name":"message","cat":"message","ph":"{phase}","id":"{who}:{offset}","tid":{track},"ts":{}{args}"#,
                micros(at)
            ))?;
        }
        Ok(())
    }

    fn name_track(&mut self, who: ClientId, client: SocketAddr) -> io::Result<()> {
        let (slot, track) = (who.slot(), SLOTS + who.slot() as u64);
        let number = who.get();
        self.events.event(format_args!(
            r#""name":"thread_name","ph":"M","tid":{track},"args":{{"name":"slot {slot}"}}"#
        ))?;
        let since = self.open[slot].map_or(0, |live| live.since);
        self.events.event(format_args!(
            r#""name":"open","ph":"i","s":"t","tid":{track},"ts":{},"args":{{"who":{number},"client":"{client}"}}"#,
            micros(since)
        ))
    }

    fn end_life(&mut self, who: Option<ClientId>, at: u64, reason: &str) -> io::Result<()> {
        let Some(live) = self.live(who) else {
            return Ok(());
        };
        self.open[live.who.slot()] = None;
        self.counted.open = self.counted.open.saturating_sub(1);
        self.write_life(live, at, reason)
    }

    fn write_life(&mut self, live: Live, until: u64, reason: &str) -> io::Result<()> {
        let Live { who, since, client } = live;
        let slice = Slice {
            name: client.to_string(),
            track: SLOTS + who.slot() as u64,
            at: since,
            took: until.saturating_sub(since),
        };
        let who = who.get();
        self.events.slice(
            &slice,
            format_args!(r#""who":{who},"client":"{client}","reason":"{reason}""#),
        )
    }

    /// Tells counters, once in a while.
    fn count(&mut self, record: &Record) {
        let counted = &mut self.counted;
        match record.what {
            What::Poll { events, .. } => {
                counted.blocked += record.took;
                counted.events += u64::from(events);
                counted.turns += 1;
            }
            _ => counted.busy += record.took,
        }
        if record.at < counted.at + COUNTERS_EVERY {
            return;
        }
        let Counted {
            blocked,
            busy,
            events,
            turns,
            open,
            ..
        } = *counted;
        *counted = Counted {
            at: record.at,
            open,
            ..Counted::default()
        };
        let all = (blocked + busy).max(1);
        let ts = micros(record.at);
        let counters = [
            ("busy %", 100.0 * busy as f64 / all as f64),
            ("events a poll", events as f64 / turns.max(1) as f64),
            ("connections", open as f64),
        ];
        for (name, value) in counters {
            // A counter that is missing misleads nobody; the next write tells of the failure.
            let _ = self.events.event(format_args!(
                r#""name":"{name}","ph":"C","ts":{ts},"args":{{"value":{value:.2}}}"#
            ));
        }
    }
}

const fn result_name(result: Moved) -> &'static str {
    match result {
        Moved::Bytes(_) => "moved",
        Moved::Nothing => "would block",
        Moved::End => "end of file",
        Moved::Failed => "failed",
    }
}
