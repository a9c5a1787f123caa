//! What a log says of a load.

use std::collections::BTreeMap;

use crate::load::result::outcome::{Interval, Step};

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It has not.
    Waiting,
    Replied(u64),
    Mismatched,
    Written(u64),
    ConnectionLost,
    /// Its connection ended before any of its bytes was taken.
    Withdrawn,
}

/// A message that was sent, or offered to the kernel at least.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) server: usize,
    /// When it was first offered to the kernel.
    pub(super) at: u64,
    /// When it was due: then, in a closed loop.
    pub(super) due: u64,
    pub(super) ended: Ended,
    /// When its connection could take it, at the latest.
    pub(super) free: u64,
    /// It was sent before the window began by the load's own account.
    pub(super) before_measuring: bool,
}

/// Connections and attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Connections {
    pub(super) attempted: u64,
    pub(super) established: u64,
    pub(super) failed: u64,
    pub(super) failed_locally: u64,
    pub(super) closed_without_reply: u64,
    pub(super) closed_by_server: u64,
    pub(super) idle_closed: u64,
    pub(super) churned: u64,
    pub(super) most: u64,
    pub(super) at_end: u64,
    pub(super) hung_at_end: u64,
    /// Replies on each connection that the server ended.
    pub(super) closes: Vec<u64>,
}

/// Everything that a log says of a load, whatever the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) messages: Vec<Sent>,
    pub(super) connections: Connections,
    /// Attempts, connections and failures of each server.
    pub(super) servers: Vec<[u64; 3]>,
    pub(super) wrong_replies: u64,
    pub(super) errors: BTreeMap<(Step, String), u64>,
    /// When bytes were written and read, and how many.
    pub(super) written: Vec<(u64, u64)>,
    pub(super) read: Vec<(u64, u64)>,
    /// How long connecting took.
    pub(super) connects: Vec<u64>,
    /// When anything was last replied, rightly or not, or written without a reply to come.
    pub(super) last_reply: u64,
    /// The same, when the window was over.
    pub(super) last_reply_in_window: Option<u64>,
    /// The log does not show whether a late reply came in time to count.
    pub(super) is_ambiguous: bool,
    pub(super) tally: Tally,
}

/// Counts since the last report of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) sent: u64,
    pub(super) replied: u64,
    pub(super) failed: u64,
}

impl Account {
    /// An interval was reported: it has to say the same. `in_flight`: messages in flight, if the log shows them.
    pub(super) fn check_interval(&mut self, reported: &Interval, in_flight: Option<u64>) {
        let tally = Tally {
            sent: reported.sent,
            replied: reported.replied,
            failed: reported.failures,
        };
        if !self.is_ambiguous {
            assert_eq!(tally, std::mem::take(&mut self.tally), "{reported:?}");
        }
        if let Some(in_flight) = in_flight {
            assert_eq!(reported.in_flight, in_flight, "in flight: {reported:?}");
        }
    }

    /// The message at this place ends.
    pub(super) fn end(&mut self, place: usize, ended: Ended) {
        self.messages[place].ended = ended;
        match ended {
            Ended::Replied(_) | Ended::Written(_) => self.tally.replied += 1,
            Ended::Mismatched | Ended::ConnectionLost => self.tally.failed += 1,
            Ended::Waiting | Ended::Withdrawn => {}
        }
    }

    /// A message is sent. Returns its place.
    pub(super) fn send(&mut self, message: Sent) -> usize {
        self.tally.sent += 1;
        self.messages.push(message);
        self.messages.len() - 1
    }

    pub(super) fn error(&mut self, step: Step, name: &str) {
        *self.errors.entry((step, name.to_owned())).or_default() += 1;
    }

    pub(super) fn error_code(&mut self, step: Step, code: i32) {
        self.error(step, name(code));
    }
}

/// The name of an error, as errno(3) has it.
pub(super) fn name(code: i32) -> &'static str {
    match code {
        24 => "EMFILE",
        32 => "EPIPE",
        99 => "EADDRNOTAVAIL",
        104 => "ECONNRESET",
        105 => "ENOBUFS",
        111 => "ECONNREFUSED",
        other => panic!("{other} is not an error of the simulation"),
    }
}

/// Whether an attempt failed for want of something on the client's own machine.
pub(super) const fn is_local(code: i32) -> bool {
    matches!(code, 24 | 99 | 105)
}
