//! What a loop's records come to, over some time.

use hdrhistogram::Histogram;

use super::record::{Moved, Record, Served, What};
use crate::service::ClientId;

/// Times above a minute are told apart by nobody who watches a loop.
const TIME_MAX: u64 = 60_000_000_000;

/// What a loop has done between two moments.
///
/// A message is what one read has brought, or one datagram; of a load, an answer.
#[derive(Clone, Debug)]
pub struct Figures {
    /// When this began and ended, in nanoseconds of the clock of the probe.
    pub began: u64,
    /// See [`began`](Self::began).
    pub ended: u64,
    /// Turns, which are as many as polls.
    pub turns: u64,
    /// Time slept, in nanoseconds.
    pub blocked: u64,
    /// Time worked, in nanoseconds.
    pub busy: u64,
    /// Events that polls have brought.
    pub events: u64,
    /// Polls that brought as many as one can.
    pub full_batches: u64,
    /// The turn that took longest.
    pub longest_turn: Span,
    /// Times a connection was served.
    pub served: u64,
    /// Those of them that an event had asked for and in which no byte was moved, nor an end seen.
    pub wasted: u64,
    /// One of them.
    pub wasted_at: Option<u64>,
    /// Those that ended because the budget was spent.
    pub yielded: u64,
    /// Those that ended with input left behind, though no budget was spent and no event need come.
    pub undrained: u64,
    /// Calls of read.
    pub reads: u64,
    /// Calls of write.
    pub writes: u64,
    /// Reads that found nothing.
    pub reads_blocked: u64,
    /// Writes that found no room.
    pub writes_blocked: u64,
    /// Reads that brought less than there was room for.
    pub short_reads: u64,
    /// Writes that took less than they were given.
    pub short_writes: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Messages: see above.
    pub messages: u64,
    /// Connections that have come to be, and that are over.
    pub opened: u64,
    /// See [`opened`](Self::opened).
    pub closed: u64,
    /// Connections that are there.
    pub open: u64,
    /// Those of them that are owed bytes the kernel does not take.
    pub blocked_now: u64,
    /// How long connections were ready before they were served, in nanoseconds.
    pub waits: Histogram<u64>,
    /// When the longest of these waits ended.
    pub longest_wait_at: Option<u64>,
    /// How many events a poll has brought, of those that have brought any.
    pub batches: Histogram<u64>,
    /// How late messages of a load were sent, in nanoseconds.
    pub lateness: Histogram<u64>,
    /// The connection that took most of the loop's time.
    pub hottest: Option<Hot>,
    /// The connection that was served most often in a row for nothing, and how often.
    pub stuck: Option<(ClientId, u64)>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub at: u64,
    /// How long it took.
    pub took: u64,
}

/// The connection that took most of a loop's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hot {
    /// Which.
    pub who: ClientId,
    /// How much it took, in nanoseconds.
    pub busy: u64,
    /// How many bytes it was read and written.
    pub bytes: u64,
    /// When it was served longest at once.
    pub longest: Span,
}

/// Makes figures of records.
#[derive(Debug)]
pub struct Meter {
    figures: Figures,
    lives: Vec<Life>,
    /// Bytes moved, or an end seen, since the last connection was served.
    moved: u64,
    /// The last read of the connection that is being served filled its room.
    left_behind: bool,
    open: u64,
}

/// What is known of the connection in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    who: Option<ClientId>,
    /// It has not been served yet.
    fresh: bool,
    blocked: bool,
    busy: u64,
    bytes: u64,
    longest: Span,
    /// How often it was served for nothing since it was not.
    idle_turns: u64,
}

/// The one that took more of two stretches of time, or what it took of both.
fn hotter(one: Option<Hot>, other: Option<Hot>) -> Option<Hot> {
    match (one, other) {
        (Some(one), Some(other)) if one.who == other.who => Some(Hot {
            busy: one.busy + other.busy,
            bytes: one.bytes + other.bytes,
            longest: if other.longest.took > one.longest.took {
                other.longest
            } else {
                one.longest
            },
            ..one
        }),
        (one, other) => one.into_iter().chain(other).max_by_key(|hot| hot.busy),
    }
}

fn histogram(most: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1, most, 2).expect("the bounds are in order")
}

impl Figures {
    /// Nothing has been done since `began`.
    pub fn new(began: u64) -> Self {
        Self {
            began,
            ended: began,
            turns: 0,
            blocked: 0,
            busy: 0,
            events: 0,
            full_batches: 0,
            longest_turn: Span::default(),
            served: 0,
            wasted: 0,
            wasted_at: None,
            yielded: 0,
            undrained: 0,
            reads: 0,
            writes: 0,
            reads_blocked: 0,
            writes_blocked: 0,
            short_reads: 0,
            short_writes: 0,
            bytes_in: 0,
            bytes_out: 0,
            accepted: 0,
            datagrams_in: 0,
            datagrams_out: 0,
            messages: 0,
            opened: 0,
            closed: 0,
            open: 0,
            blocked_now: 0,
            waits: histogram(TIME_MAX),
            longest_wait_at: None,
            batches: histogram(1 << 20),
            lateness: histogram(TIME_MAX),
            hottest: None,
            stuck: None,
        }
    }

    /// Adds what was done `later`, in the time that followed.
    pub fn absorb(&mut self, later: &Self) {
        self.ended = later.ended;
        for (sum, more) in [
            (&mut self.turns, later.turns),
            (&mut self.blocked, later.blocked),
            (&mut self.busy, later.busy),
            (&mut self.events, later.events),
            (&mut self.full_batches, later.full_batches),
            (&mut self.served, later.served),
            (&mut self.wasted, later.wasted),
            (&mut self.yielded, later.yielded),
            (&mut self.undrained, later.undrained),
            (&mut self.reads, later.reads),
            (&mut self.writes, later.writes),
            (&mut self.reads_blocked, later.reads_blocked),
            (&mut self.writes_blocked, later.writes_blocked),
            (&mut self.short_reads, later.short_reads),
            (&mut self.short_writes, later.short_writes),
            (&mut self.bytes_in, later.bytes_in),
            (&mut self.bytes_out, later.bytes_out),
            (&mut self.accepted, later.accepted),
            (&mut self.datagrams_in, later.datagrams_in),
            (&mut self.datagrams_out, later.datagrams_out),
            (&mut self.messages, later.messages),
            (&mut self.opened, later.opened),
            (&mut self.closed, later.closed),
        ] {
            *sum += more;
        }
        (self.open, self.blocked_now) = (later.open, later.blocked_now);
        if later.longest_turn.took > self.longest_turn.took {
            self.longest_turn = later.longest_turn;
        }
        if later.waits.max() > self.waits.max() || self.waits.is_empty() {
            self.longest_wait_at = later.longest_wait_at;
        }
        self.wasted_at = self.wasted_at.or(later.wasted_at);
        let turns = |stuck: Option<(ClientId, u64)>| stuck.map_or(0, |(_, turns)| turns);
        if turns(later.stuck) > turns(self.stuck) {
            self.stuck = later.stuck;
        }
        self.hottest = hotter(self.hottest, later.hottest);
        for (sum, more) in [
            (&mut self.waits, &later.waits),
            (&mut self.batches, &later.batches),
            (&mut self.lateness, &later.lateness),
        ] {
            sum.add(more).expect("histograms of the same bounds");
        }
    }

    /// The part of the time that the loop worked, from 0 to 1.
    pub fn utilisation(&self) -> f64 {
        share(self.busy, self.busy + self.blocked)
    }

    /// Events that a poll has brought, in the mean.
    pub fn events_per_turn(&self) -> f64 {
        share(self.events, self.turns)
    }

    /// System calls: of reading, writing, polling and the like.
    pub fn system_calls(&self) -> u64 {
        self.reads
            + self.writes
            + self.turns
            + self.accepted
            + self.datagrams_in
            + self.datagrams_out
    }

    /// System calls that a message has cost. `None` if there was no message.
    pub fn system_calls_per_message(&self) -> Option<f64> {
        (self.messages > 0).then(|| share(self.system_calls(), self.messages))
    }

    /// The part of what was served that was served for nothing, from 0 to 1.
    pub fn wasted_share(&self) -> f64 {
        share(self.wasted, self.served)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

impl Meter {
    /// A meter that has seen nothing yet, from `began` on.
    pub fn new(began: u64) -> Self {
        Self {
            figures: Figures::new(began),
            lives: Vec::new(),
            moved: 0,
            left_behind: false,
            open: 0,
        }
    }

    /// Takes one record. Calls come before what they were made for.
    pub fn take(&mut self, record: &Record) {
        let &Record {
            at,
            took,
            who,
            what,
        } = record;
        let figures = &mut self.figures;
        match what {
            What::Poll { events, full } => {
                figures.turns += 1;
                figures.blocked += took;
                figures.events += u64::from(events);
                figures.full_batches += u64::from(full);
                if events > 0 {
                    figures.batches.saturating_record(u64::from(events));
                }
            }
            What::Turn => {
                figures.busy += took;
                if took > figures.longest_turn.took {
                    figures.longest_turn = Span { at, took };
                }
            }
            What::Read(call) => {
                figures.reads += 1;
                figures.reads_blocked += u64::from(call.result == Moved::Nothing);
                figures.short_reads += u64::from(call.is_short());
                figures.bytes_in += u64::from(call.bytes());
                figures.messages += u64::from(call.bytes() > 0);
                self.left_behind = call.bytes() > 0 && call.bytes() == call.asked;
                self.count_bytes(who, call.result);
            }
            What::Write(call) => {
                figures.writes += 1;
                figures.writes_blocked += u64::from(call.result == Moved::Nothing);
                figures.short_writes += u64::from(call.is_short());
                figures.bytes_out += u64::from(call.bytes());
                self.count_bytes(who, call.result);
            }
            What::Serve { waited, served } => {
                if let Some(who) = who {
                    self.count_serving(Span { at, took }, who, waited, served);
                }
            }
            What::Accept { count } => figures.accepted += u64::from(count),
            What::Datagrams { received, sent } => {
                figures.datagrams_in += u64::from(received);
                figures.datagrams_out += u64::from(sent);
                figures.messages += u64::from(received);
            }
            What::Open { .. } => {
                figures.opened += 1;
                self.open += 1;
                if let Some(life) = self.life(who) {
                    *life = Life {
                        who,
                        fresh: true,
                        ..Life::default()
                    };
                }
            }
            What::Close { .. } => {
                figures.closed += 1;
                self.open = self.open.saturating_sub(1);
                if let Some(life) = self.life(who) {
                    life.blocked = false;
                }
            }
            What::Message { late, .. } => figures.lateness.saturating_record(late.max(1)),
        }
    }

    /// The figures since they were last taken, up to `now`.
    pub fn take_figures(&mut self, now: u64) -> Figures {
        let mut figures = std::mem::replace(&mut self.figures, Figures::new(now));
        figures.ended = now;
        figures.open = self.open;
        for life in &mut self.lives {
            figures.blocked_now += u64::from(life.blocked);
            let Some(who) = life.who else {
                continue;
            };
            if life.busy > figures.hottest.map_or(0, |hot| hot.busy) {
                figures.hottest = Some(Hot {
                    who,
                    busy: life.busy,
                    bytes: life.bytes,
                    longest: life.longest,
                });
            }
            (life.busy, life.bytes, life.longest) = (0, 0, Span::default());
        }
        figures
    }

    fn life(&mut self, who: Option<ClientId>) -> Option<&mut Life> {
        let slot = who?.slot();
        if slot >= self.lives.len() {
            self.lives.resize(slot + 1, Life::default());
        }
        Some(&mut self.lives[slot])
    }

    fn count_bytes(&mut self, who: Option<ClientId>, result: Moved) {
        let bytes = match result {
            Moved::Bytes(bytes) => u64::from(bytes),
            // Something was learnt.
            Moved::End | Moved::Failed => {
                self.moved += 1;
                0
            }
            Moved::Nothing => 0,
        };
        self.moved += bytes;
        if let Some(life) = self.life(who) {
            life.bytes += bytes;
        }
    }

    fn count_serving(&mut self, span: Span, who: ClientId, waited: Option<u64>, served: Served) {
        let moved = std::mem::take(&mut self.moved);
        let left_behind = std::mem::take(&mut self.left_behind);
        let Some(life) = self.life(Some(who)) else {
            return;
        };
        // The first event of a connection often says no more than that it is writable.
        let is_first = std::mem::take(&mut life.fresh);
        life.who = Some(who);
        life.blocked = served == Served::Blocked;
        life.busy += span.took;
        if span.took > life.longest.took {
            life.longest = span;
        }
        let for_nothing = moved == 0 && waited.is_some() && served != Served::Over;
        life.idle_turns = if for_nothing { life.idle_turns + 1 } else { 0 };
        let idle_turns = life.idle_turns;
        let figures = &mut self.figures;
        figures.served += 1;
        if for_nothing && !is_first {
            figures.wasted += 1;
            figures.wasted_at = figures.wasted_at.or(Some(span.at));
        }
        if idle_turns > figures.stuck.map_or(1, |(_, turns)| turns) {
            figures.stuck = Some((who, idle_turns));
        }
        figures.yielded += u64::from(served == Served::Yielded);
        figures.undrained += u64::from(left_behind && served == Served::Done);
        if let Some(waited) = waited {
            if waited > figures.waits.max() || figures.waits.is_empty() {
                figures.longest_wait_at = Some(span.at);
            }
            figures.waits.saturating_record(waited.max(1));
        }
    }
}
