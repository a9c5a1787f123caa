//! What a loop has done between two moments.

use hdrhistogram::Histogram;

use crate::service::ClientId;

/// Times above a minute are told apart by nobody who watches a loop.
const TIME_MAX: u64 = 60_000_000_000;

/// How many of the connections that took most of a loop's time are known: who takes much of it over a second may not be
/// the first in every tenth of it.
const HOT_KEPT: usize = 8;

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
    /// The most CPU time that a loop iteration used, in nanoseconds; 0 if that was not measured.
    pub longest_turn_cpu: u64,
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
    /// The connections that took most of the loop's time, the first most.
    pub hot: Vec<Hot>,
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
            longest_turn_cpu: 0,
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
            hot: Vec::new(),
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
        self.longest_turn_cpu = self.longest_turn_cpu.max(later.longest_turn_cpu);
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
        later.hot.iter().for_each(|hot| self.heat(*hot));
        for (sum, more) in [
            (&mut self.waits, &later.waits),
            (&mut self.batches, &later.batches),
            (&mut self.lateness, &later.lateness),
        ] {
            sum.add(more).expect("histograms of the same bounds");
        }
    }

    /// The connection that took most of the loop's time.
    pub fn hottest(&self) -> Option<&Hot> {
        self.hot.first()
    }

    /// A connection took some of the loop's time, beside what it is known to have taken.
    pub(super) fn heat(&mut self, more: Hot) {
        match self.hot.iter_mut().find(|hot| hot.who == more.who) {
            Some(hot) => {
                hot.busy += more.busy;
                hot.bytes += more.bytes;
                if more.longest.took > hot.longest.took {
                    hot.longest = more.longest;
                }
            }
            None => self.hot.push(more),
        }
        self.hot.sort_by_key(|hot| std::cmp::Reverse(hot.busy));
        self.hot.truncate(HOT_KEPT);
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
