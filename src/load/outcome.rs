//! What a load has come to, as plain numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::probe::Turns;

/// The largest time that is told apart from larger ones.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// How many significant digits of a time are kept.
const DIGITS: u8 = 3;

/// How many answers that were not what they should be are described. All are counted.
pub const MISMATCHES_MAX: usize = 10;

/// The most intervals that are kept. Of later ones only the figures of the whole are.
pub const INTERVALS_MAX: usize = 10_000;

/// What a load has come to. Its memory does not grow with the load, but for [`INTERVALS_MAX`] intervals.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// It was told to stop before its end.
    pub interrupted: bool,
    /// How long was measured.
    pub measured: Duration,
    /// What became of messages.
    pub messages: Messages,
    /// Bytes of the messages measured.
    pub bytes_sent: u64,
    /// Bytes received while it was measured, whatever they answer.
    pub bytes_received: u64,
    /// What became of connections.
    pub connections: Connections,
    /// What went wrong, by when and why, in the whole run.
    pub errors: BTreeMap<(Step, String), u64>,
    /// What became of datagrams, if they were any.
    pub udp: Option<Datagrams>,
    /// How long things took.
    pub latency: Latency,
    /// Figures of each interval.
    pub intervals: Vec<Interval>,
    /// Intervals of which none were kept.
    pub intervals_dropped: u64,
    /// The first answers that were not what they should be.
    pub mismatches: Vec<Mismatch>,
    /// What the load itself has cost.
    pub client: Client,
}

/// What became of the messages that were due while it was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Due by the schedule. In a closed loop, as many as were sent.
    pub offered: u64,
    /// Sent; if none is to be answered, written.
    pub sent: u64,
    /// Answered, and rightly as far as that was verified.
    pub answered: u64,
    /// Of those, answered before the measured time was over.
    pub answered_in_time: u64,
    /// Of those answered, later than the time limit.
    pub answered_late: u64,
    /// Not answered within the time limit. Of a stream, they may have been answered later.
    pub timeout: u64,
    /// Not sent, because they were too late by then.
    pub shed: u64,
    /// Not sent, because the load had ended by then, or the connection on which it was being written.
    pub unsent: u64,
    /// Never answered: their connection was lost, or the load had ended.
    pub unanswered: u64,
    /// Answered wrongly. They are not among the answered.
    pub mismatch: u64,
}

/// What became of connections, in the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Attempts to connect.
    pub attempted: u64,
    /// Those that succeeded.
    pub established: u64,
    /// Closed by the server while nothing was in flight.
    pub closed_by_peer: u64,
    /// Closed by us to be opened anew.
    pub churned: u64,
    /// The most there were at once.
    pub most: u64,
    /// Those there were when the measuring ended.
    pub at_end: u64,
}

/// What something went wrong at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Connecting.
    Connect,
    /// Writing, or sending a datagram.
    Write,
    /// Reading, or receiving one.
    Read,
}

impl Step {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// What became of datagrams, each of which carries its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// The figures that need numbers are exact. Otherwise messages were too small for one, or had a text of their own.
    pub numbered: bool,
    /// Sent, in the whole run.
    pub sent: u64,
    /// Answers received, whatever they were.
    pub received: u64,
    /// Sent and never answered, as far as we waited. So is what was answered with another number than any sent.
    pub lost: u64,
    /// Answered after the time limit.
    pub late: u64,
    /// Answers that had come before.
    pub duplicate: u64,
    /// Answers overtaken by one to a later message (RFC 4737).
    pub reordered: u64,
    /// By how many messages, at most.
    pub reorder_extent: u64,
    /// Answers that were not what they should be.
    pub corrupt: u64,
    /// Whole answers that carry the number of another run or flow, or one that was not sent yet.
    pub foreign: u64,
    /// Answers that our own receive buffer had no room for. Not lost in the network. `None` where that is not known.
    pub overflow: Option<u64>,
    /// The mean difference between the times of one answer and the next, smoothed (RFC 3550), in nanoseconds.
    pub jitter_ns: u64,
}

/// How long things took, in nanoseconds, of messages that were due while it was measured.
#[derive(Clone, Debug)]
pub struct Latency {
    /// From when a message was due until it was answered.
    pub response: Histogram<u64>,
    /// From when it was sent until it was answered.
    pub service: Histogram<u64>,
    /// From when it was due and could be sent until it was: our own lateness.
    pub lag: Histogram<u64>,
    /// From the attempt to connect until there was a connection, in the whole run.
    pub connect: Histogram<u64>,
}

/// Figures of one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// When it ended, since the measuring began.
    pub end: Duration,
    /// How long it was.
    pub length: Duration,
    /// Messages sent in it.
    pub sent: u64,
    /// Answers received in it.
    pub answered: u64,
    /// Errors, time-outs and mismatches in it.
    pub errors: u64,
    /// Messages in flight at its end.
    pub in_flight: u64,
    /// How much of it this client was busy, from 0 to 1.
    pub busy: f64,
    /// Of the answers in it: half took no longer, nanoseconds from when they were due.
    pub p50: u64,
    /// Of the answers in it: 99 % took no longer.
    pub p99: u64,
    /// Of the answers in it: none took longer.
    pub max: u64,
}

/// An answer that was not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// On which connection or flow, counted from 0.
    pub connection: usize,
    /// Its address.
    pub local: Option<SocketAddr>,
    /// At which byte: of the stream of answers, or of the datagram.
    pub offset: u64,
    /// What was expected from there on, at most 16 bytes.
    pub expected: Vec<u8>,
    /// What came instead.
    pub got: Vec<u8>,
    /// What that looks like.
    pub kind: MismatchKind,
}

/// What a wrong answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MismatchKind {
    /// Other bytes than any connection has sent.
    Altered,
    /// What another connection has sent.
    Foreign(usize),
    /// So many bytes are missing before it.
    Lost(u64),
    /// So many bytes have come again.
    Repeated(u64),
    /// More than was asked for.
    Surplus,
    /// A datagram of another size.
    Size(usize),
}

/// What the load itself has cost, while it was measured.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// How long it was at work.
    pub busy: Duration,
    /// How long it waited for something to do.
    pub waiting: Duration,
    /// Calls of read, write and the like, that moved something or did not.
    pub reads: u64,
    /// See [`reads`](Self::reads).
    pub writes: u64,
    /// Those of them that found nothing to read or no room to write.
    pub would_block: u64,
    /// What its loop has done.
    pub turns: Turns,
}

impl Client {
    /// The part of the time that it was at work, from 0 to 1.
    pub fn busy_share(&self) -> f64 {
        let all = self.busy + self.waiting;
        if all.is_zero() {
            return 0.0;
        }
        self.busy.as_secs_f64() / all.as_secs_f64()
    }
}

impl Latency {
    pub(super) fn new() -> Self {
        Self {
            response: histogram(),
            service: histogram(),
            lag: histogram(),
            connect: histogram(),
        }
    }
}

/// A histogram of times in nanoseconds: three digits, up to an hour; longer ones count as an hour.
pub(crate) fn histogram() -> Histogram<u64> {
    let most = TIME_MAX.as_nanos() as u64;
    Histogram::new_with_bounds(1, most, DIGITS).expect("the bounds are in order")
}

impl Outcome {
    /// Nothing has come of anything yet.
    pub(crate) fn new(udp: bool) -> Self {
        Self {
            interrupted: false,
            measured: Duration::ZERO,
            messages: Messages::default(),
            bytes_sent: 0,
            bytes_received: 0,
            connections: Connections::default(),
            errors: BTreeMap::new(),
            udp: udp.then(Datagrams::default),
            latency: Latency::new(),
            intervals: Vec::new(),
            intervals_dropped: 0,
            mismatches: Vec::new(),
            client: Client::default(),
        }
    }

    /// Errors of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}
