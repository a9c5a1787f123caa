//! What happened to datagrams, one by one.

use super::account::{Account, Ended, Sent, Tally};
use crate::load::result::outcome::Step;
use crate::load::simulation::log::{Entry, What};
use crate::load::simulation::settings::{ReplyKind, Settings, Verification};

/// A reply without a number is taken for one to a message that is not awaited any more for this many times the time limit.
const LATE_TIMES: u64 = 3;

/// How large the head of a numbered datagram is, and where in it which run, flow and message it is of.
const HEAD: usize = 32;

/// One flow.
#[derive(Debug)]
struct Flow {
    server: usize,
    is_open: bool,
    /// The datagrams sent, and the places of their messages in the account.
    sent: Vec<(Vec<u8>, usize)>,
    /// Whether a reply to each has come, right or attributably wrong.
    seen: Vec<bool>,
    /// The highest number of which one has, and one more.
    highest: usize,
    free: u64,
}

/// Counts of datagrams, in the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Datagrams {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) duplicate: u64,
    pub(super) reordered: u64,
    pub(super) reorder_extent: u64,
    pub(super) corrupt: u64,
    pub(super) dropped: u64,
    /// Wrong replies that do not show what they reply to.
    pub(super) unattributed: u64,
    /// Wrong replies to messages of which the log does not show whether they were still awaited.
    pub(super) uncertain: u64,
}

/// Replays the log of a load of datagrams.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    settings: &'a Settings,
    flows: Vec<Flow>,
    /// When the window begins.
    from: u64,
    is_measuring: bool,
    pub(super) account: Account,
    pub(super) datagrams: Datagrams,
}

/// What a datagram of a numbered flow is.
enum Reply {
    Right(usize),
    Altered(usize),
    Unknown,
}

impl<'a> Replay<'a> {
    pub(super) fn of(log: &[Entry], settings: &'a Settings, from: u64) -> Self {
        let mut replay = Self {
            settings,
            flows: Vec::new(),
            from,
            is_measuring: false,
            account: Account::default(),
            datagrams: Datagrams::default(),
        };
        replay.account.servers = vec![[0; 3]; settings.servers.len()];
        for entry in log {
            if matches!(entry.what, What::Over) {
                break;
            }
            replay.step(entry);
        }
        replay
    }

    fn step(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.what {
            What::Opened { server, error } => self.opened(*server, *error),
            What::Sent { flow, bytes } => self.sent(*flow, bytes, at),
            What::SendFailed { error } => self.account.error_code(Step::Write, *error),
            What::ReceiveFailed { error } => self.account.error_code(Step::Read, *error),
            What::Received { flow, bytes } => self.received(*flow, bytes, at),
            What::Dropped => self.datagrams.dropped += 1,
            What::Measuring => {
                self.is_measuring = true;
                self.account.tally = Tally::default();
            }
            What::Interval(reported) => {
                // Which message a wrong reply without a number has ended, and when, is not to be seen.
                self.account.is_ambiguous |= self.datagrams.uncertain > 0;
                let failures = reported.failures;
                if self.datagrams.unattributed > 0 {
                    self.account.tally.failed = failures;
                }
                self.account.check_interval(reported, None);
            }
            // The loop did not notice before that the warm-up was over.
            What::Stopped | What::Aborted if !self.is_measuring && at >= self.from => {
                self.is_measuring = true;
                self.account.tally = Tally::default();
                self.account.last_reply_in_window = Some(self.account.last_reply);
            }
            What::Draining => {
                let open = self.flows.iter().filter(|flow| flow.is_open).count();
                self.account.connections.at_end = open as u64;
                self.account.last_reply_in_window = Some(self.account.last_reply);
            }
            _ => {}
        }
    }

    fn opened(&mut self, server: usize, error: Option<i32>) {
        self.flows.push(Flow {
            server,
            is_open: error.is_none(),
            sent: Vec::new(),
            seen: Vec::new(),
            highest: 0,
            free: u64::MAX,
        });
        let connections = &mut self.account.connections;
        connections.attempted += 1;
        self.account.servers[server][0] += 1;
        match error {
            None => {
                connections.established += 1;
                let open = self.flows.iter().filter(|flow| flow.is_open).count();
                connections.most = connections.most.max(open as u64);
                self.account.servers[server][1] += 1;
            }
            Some(code) => {
                connections.failed_locally += 1;
                self.account.error_code(Step::Connect, code);
            }
        }
    }

    fn sent(&mut self, flow: usize, bytes: &[u8], at: u64) {
        let it = &mut self.flows[flow];
        self.datagrams.sent += 1;
        if self.settings.is_numbered() {
            let number = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
            assert_eq!(number, it.sent.len() as u64, "numbers are given in order");
        }
        let ended = if self.settings.answer == ReplyKind::Nothing {
            self.account.last_reply = at;
            Ended::Written(at)
        } else {
            Ended::Waiting
        };
        let place = self.account.send(Sent {
            server: it.server,
            at,
            due: at,
            ended: Ended::Waiting,
            free: at.min(it.free),
            before_measuring: !self.is_measuring,
        });
        self.account.end(place, ended);
        it.sent.push((bytes.to_vec(), place));
        it.seen.push(false);
        self.account.written.push((at, bytes.len() as u64));
    }

    fn received(&mut self, flow: usize, bytes: &[u8], at: u64) {
        self.datagrams.received += 1;
        self.account.read.push((at, bytes.len() as u64));
        if self.settings.is_numbered() {
            self.received_numbered(flow, bytes, at);
        } else {
            self.received_plain(flow, bytes, at);
        }
    }

    fn received_numbered(&mut self, flow: usize, bytes: &[u8], at: u64) {
        match self.judge(flow, bytes) {
            Reply::Right(number) => {
                let it = &mut self.flows[flow];
                if std::mem::replace(&mut it.seen[number], true) {
                    self.datagrams.duplicate += 1;
                    return;
                }
                if number < it.highest {
                    let extent = (it.highest - 1 - number) as u64;
                    self.datagrams.reordered += 1;
                    self.datagrams.reorder_extent = self.datagrams.reorder_extent.max(extent);
                }
                it.highest = it.highest.max(number + 1);
                self.end(flow, number, Ended::Replied(at));
                self.account.last_reply = at;
            }
            Reply::Altered(number) => {
                self.datagrams.corrupt += 1;
                self.wrong(at);
                let it = &mut self.flows[flow];
                it.seen[number] = true;
                it.highest = it.highest.max(number + 1);
                self.end(flow, number, Ended::Mismatched);
            }
            Reply::Unknown => {
                self.datagrams.corrupt += 1;
                self.datagrams.unattributed += 1;
                self.wrong(at);
            }
        }
    }

    fn wrong(&mut self, at: u64) {
        self.account.wrong_replies += 1;
        self.account.last_reply = at;
    }

    /// The first that comes decides how a message ends.
    fn end(&mut self, flow: usize, number: usize, ended: Ended) {
        let place = self.flows[flow].sent[number].1;
        if self.account.messages[place].ended == Ended::Waiting {
            self.account.end(place, ended);
        }
    }

    fn judge(&self, flow: usize, bytes: &[u8]) -> Reply {
        let it = &self.flows[flow];
        let suffix: &[u8] = match &self.settings.answer {
            ReplyKind::Suffix(suffix) => suffix,
            _ => &[],
        };
        if bytes.len() < HEAD {
            return Reply::Unknown;
        }
        // The world does not forge the check of a head, so a head that was sent is one of ours.
        let number = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) as usize;
        let Some((sent, _)) = it
            .sent
            .get(number)
            .filter(|(sent, _)| sent[..HEAD] == bytes[..HEAD])
        else {
            return Reply::Unknown;
        };
        if sent.len() + suffix.len() != bytes.len() {
            return Reply::Unknown;
        }
        let right = bytes[..sent.len()] == sent[..] && bytes[sent.len()..] == *suffix;
        if right || self.settings.check != Verification::Bytes {
            Reply::Right(number)
        } else {
            Reply::Altered(number)
        }
    }

    /// Without numbers, one message is in flight at most.
    fn received_plain(&mut self, flow: usize, bytes: &[u8], at: u64) {
        let it = &self.flows[flow];
        let is_right = |sent: &[u8]| match (&self.settings.answer, self.settings.check) {
            (_, Verification::Nothing) | (ReplyKind::Until(_) | ReplyKind::Nothing, _) => true,
            (ReplyKind::Size(size), _) => bytes.len() == *size,
            (ReplyKind::Echo, Verification::Length) => bytes.len() == sent.len(),
            (ReplyKind::Suffix(suffix), Verification::Length) => {
                bytes.len() == sent.len() + suffix.len()
            }
            (ReplyKind::Echo, Verification::Bytes) => bytes == sent,
            (ReplyKind::Suffix(suffix), Verification::Bytes) => bytes == [sent, suffix].concat(),
        };
        let Some((sent, place)) = it.sent.last() else {
            return;
        };
        let right = is_right(sent);
        let before = it.sent.len() > 1 && is_right(&it.sent[it.sent.len() - 2].0);
        let place = *place;
        let message = &mut self.account.messages[place];
        let timeout = self.settings.timeout;
        let waited = at - message.at;
        let is_waiting = message.ended == Ended::Waiting;
        self.account.is_ambiguous |= is_waiting && right && waited > LATE_TIMES * timeout;
        if is_waiting && right {
            self.account.end(place, Ended::Replied(at));
            self.account.last_reply = at;
        } else if is_waiting && !before && waited < timeout {
            self.account.end(place, Ended::Mismatched);
            self.datagrams.corrupt += 1;
            self.wrong(at);
        } else if is_waiting && !before {
            // It is wrong, unless the load does not wait for it any more.
            self.datagrams.uncertain += 1;
        } else if right || before {
            self.replied_late(flow, at);
        }
    }

    /// A right reply came while none was awaited: to the newest message without one, if that is not too old.
    fn replied_late(&mut self, flow: usize, at: u64) {
        let oldest = at.saturating_sub(LATE_TIMES * self.settings.timeout);
        let places = self.flows[flow].sent.iter().rev().map(|(_, place)| *place);
        for place in places {
            let message = &mut self.account.messages[place];
            if message.ended == Ended::Waiting {
                if message.at >= oldest {
                    self.account.end(place, Ended::Replied(at));
                    self.account.last_reply = at;
                }
                return;
            }
        }
    }
}
