//! The result of a load, as plain numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;

pub use crate::load::result::client::Client;
use crate::load::result::messages::Messages;

/// The largest time that is told apart from larger ones.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// How many significant digits of a time are kept.
const DIGITS: u8 = 3;

/// How many wrong replies are described. All are counted.
pub const MISMATCHES_MAX: usize = 10;

/// The most servers of which each has a histogram of its own.
const TIMED_SERVERS_MAX: usize = 64;

/// The most intervals that are kept. Of later ones only the figures of the whole are.
pub const INTERVALS_MAX: usize = 10_000;

/// The result of a load. Its memory does not grow with the load, but for [`INTERVALS_MAX`] intervals.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// It was told to stop before its end.
    pub interrupted: bool,
    /// A second signal ended it, without waiting for replies.
    pub aborted: bool,
    /// A load of a number of messages ended before all were sent, because no reply came for this long.
    pub gave_up: Option<Duration>,
    /// When the measured window began, since the load was created.
    pub measured_from: Duration,
    /// How long the measured window was.
    pub measured: Duration,
    /// How long the whole run took, with connecting, warm-up and drain.
    pub length: Duration,
    /// How the messages ended that were offered in the window.
    pub messages: Messages,
    /// The same for each server, in the order of the plan's targets. Messages that were never sent in a run that gave up
    /// belong to no server.
    pub servers: Vec<Server>,
    /// Replies that were wrong, in the whole run. Not every one belongs to a message.
    pub wrong_replies: u64,
    /// Bytes given to the kernel in the window.
    pub bytes_sent: u64,
    /// Bytes received in the window.
    pub bytes_received: u64,
    /// Connections, in the whole run.
    pub connections: Connections,
    /// What went wrong with connections and system calls, by step and reason, in the whole run.
    pub errors: BTreeMap<(Step, String), u64>,
    /// For how long no reply had come when the window ended, if messages were in flight then, none of them was replied
    /// to later either, and it was far longer than ever before.
    pub silence: Option<Duration>,
    /// Datagrams, if messages were any.
    pub udp: Option<Datagrams>,
    /// How long things took.
    pub latency: Latency,
    /// Figures of each interval.
    pub intervals: Vec<Interval>,
    /// Intervals of which none were kept.
    pub intervals_dropped: u64,
    /// The first replies that were wrong.
    pub mismatches: Vec<Mismatch>,
    /// What the load itself has cost.
    pub client: Client,
    /// The counts contradict each other: a bug of this program. Nothing else can be trusted then.
    pub internal_error: Option<String>,
}

/// The part of one server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its address.
    pub address: SocketAddr,
    /// Attempts to connect to it.
    pub attempted: u64,
    /// Those that succeeded.
    pub established: u64,
    /// Those that failed, or ended before any reply.
    pub failed: u64,
    /// See [`Connections::refused_at_end`].
    pub refused_at_end: u64,
    /// How the messages to it ended.
    pub messages: Messages,
    /// How long its replies took, from when a message was sent, in nanoseconds. `None` if it is the only server, or one of
    /// very many.
    pub service: Option<Histogram<u64>>,
}

/// Connections, in the whole run. Flows of datagrams count as connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Attempts to connect.
    pub attempted: u64,
    /// Those that succeeded.
    pub established: u64,
    /// Attempts that failed because of the server or the network.
    pub failed: u64,
    /// Attempts that failed because this machine had no descriptor, port or memory left.
    pub failed_locally: u64,
    /// Connections that the server ended, by a close or a reset, before any reply.
    pub closed_without_reply: u64,
    /// Connections that the server closed after a reply, with nothing in flight.
    pub closed_by_server: u64,
    /// Idle connections that the server closed.
    pub idle_closed: u64,
    /// Connections that we closed to open new ones.
    pub churned: u64,
    /// The most there were at once, with idle ones.
    pub most: u64,
    /// Those there were when the window ended, with idle ones.
    pub at_end: u64,
    /// Sending connections that could not send when the window ended: the last attempt to connect failed, or
    /// the last datagram was refused.
    pub refused_at_end: u64,
    /// Connections that waited for a reply beyond its time limit when the run ended.
    pub hung_at_end: u64,
    /// Messages replied to on connections that the server then closed or reset.
    pub closes: Closes,
}

/// How many messages were replied to on each connection that the server ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closes {
    /// How many such connections there were.
    pub count: u64,
    /// The fewest replies on one of them.
    pub fewest: u64,
    /// The most.
    pub most: u64,
}

impl Closes {
    pub(crate) fn add(&mut self, replies: u64) {
        self.fewest = if self.count == 0 {
            replies
        } else {
            self.fewest.min(replies)
        };
        self.most = self.most.max(replies);
        self.count += 1;
    }
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

/// Datagrams, in the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// The figures that need numbers are exact. Otherwise messages were too small for one, or had a text of their own.
    pub numbered: bool,
    /// Sent, in the whole run.
    pub sent: u64,
    /// Replies received, whatever they were.
    pub received: u64,
    /// Sent, and no reply came until the end of the run. Those that our own buffer had no room for are among them.
    pub lost: u64,
    /// Replies after the time limit.
    pub late: u64,
    /// Replies that had come before.
    pub duplicate: u64,
    /// Replies overtaken by one to a later message (RFC 4737).
    pub reordered: u64,
    /// By how many messages, at most.
    pub reorder_extent: u64,
    /// Replies that were not what they should be.
    pub corrupt: u64,
    /// Whole answers that carry the number of another run or flow, or one that was not sent yet.
    pub foreign: u64,
    /// Replies that our own receive buffer had no room for. Not lost in the network. `None` where that is not known.
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
    /// Messages replied to in it, or written if no reply is expected.
    pub replied: u64,
    /// Messages that failed in it for good: their replies were wrong, or their connections lost.
    pub failures: u64,
    /// Messages that passed their time limit in it.
    pub timeouts: u64,
    /// Errors of connections and system calls in it.
    pub errors: u64,
    /// Messages in flight at its end.
    pub in_flight: u64,
    /// How much of it this client was busy, from 0 to 1.
    pub busy: f64,
    /// Of the replies in it: half took no longer, nanoseconds from when their messages were due.
    pub p50: u64,
    /// Of the replies in it: 99 % took no longer.
    pub p99: u64,
    /// Of the replies in it: none took longer.
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

impl Latency {
    pub(crate) fn new() -> Self {
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
    /// The result of a load that has not begun, of datagrams or not, on `targets`.
    pub(crate) fn new(udp: bool, targets: &[SocketAddr]) -> Self {
        let timed_apart = (2..=TIMED_SERVERS_MAX).contains(&targets.len());
        let server = |&address| Server {
            address,
            attempted: 0,
            established: 0,
            failed: 0,
            refused_at_end: 0,
            messages: Messages::default(),
            service: timed_apart.then(histogram),
        };
        Self {
            interrupted: false,
            aborted: false,
            gave_up: None,
            measured_from: Duration::ZERO,
            measured: Duration::ZERO,
            length: Duration::ZERO,
            messages: Messages::default(),
            servers: targets.iter().map(server).collect(),
            wrong_replies: 0,
            bytes_sent: 0,
            bytes_received: 0,
            connections: Connections::default(),
            errors: BTreeMap::new(),
            silence: None,
            udp: udp.then(Datagrams::default),
            latency: Latency::new(),
            intervals: Vec::new(),
            intervals_dropped: 0,
            mismatches: Vec::new(),
            client: Client::default(),
            internal_error: None,
        }
    }

    /// Errors of all kinds.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(crate) fn add_error(&mut self, step: Step, name: &str) {
        *self.errors.entry((step, name.to_owned())).or_default() += 1;
    }

    /// Something came that is not what was to come. `describe` is called for the first few.
    pub(crate) fn add_mismatch(&mut self, describe: impl FnOnce() -> Mismatch) {
        self.wrong_replies += 1;
        if self.mismatches.len() < MISMATCHES_MAX {
            self.mismatches.push(describe());
        }
    }

    pub(crate) fn add_interval(&mut self, interval: Interval) {
        if self.intervals.len() < INTERVALS_MAX {
            self.intervals.push(interval);
        } else {
            self.intervals_dropped += 1;
        }
    }
}
