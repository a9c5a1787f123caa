//! What happened on TCP connections, byte by byte.

use super::account::{Account, Ended, Sent, Tally, is_local};
use crate::load::result::outcome::Step;
use crate::load::simulation::log::{Entry, What};
use crate::load::simulation::settings::{Churning, ReplyKind, Settings, Verification};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Connecting,
    Open,
    Over,
}

/// One connection, as far as its bytes tell.
#[derive(Debug)]
struct Stream {
    server: usize,
    attempted: u64,
    link: Link,
    /// The bytes that were offered to the kernel, and how many of them it took.
    content: Vec<u8>,
    taken: usize,
    /// Its messages, by their places in the account, and how many of them have ended.
    messages: Vec<usize>,
    ended: usize,
    /// Bytes of the reply to the first that has not.
    reply: Vec<u8>,
    /// How many messages were replied to.
    replies: u64,
    /// Since when the next message could be sent; or [`NOT_FREE`].
    free: u64,
    /// A write has failed. Later reads may end the connection for another reason.
    write_error: Option<i32>,
}

/// Not a time: no message can be sent.
const NOT_FREE: u64 = u64::MAX;

/// Replays the log of a load of TCP connections.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    settings: &'a Settings,
    streams: Vec<Stream>,
    open: u64,
    /// When the window begins.
    from: u64,
    is_measuring: bool,
    pub(super) account: Account,
}

impl<'a> Replay<'a> {
    pub(super) fn of(log: &[Entry], settings: &'a Settings, from: u64) -> Self {
        let mut replay = Self {
            settings,
            streams: Vec::new(),
            open: 0,
            from,
            is_measuring: false,
            account: Account::default(),
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
            What::Attempted { server, error } => self.attempted(*server, *error, at),
            What::Connected { stream } => self.connected(*stream, at),
            What::NotConnected { stream, error } => self.not_connected(*stream, Some(*error)),
            What::Wrote {
                stream,
                offered,
                taken,
            } => {
                self.offered(*stream, offered, at);
                self.taken(*stream, *taken, at);
            }
            What::WriteFailed {
                stream,
                offered,
                error,
            } => {
                self.offered(*stream, offered, at);
                self.streams[*stream].write_error = Some(*error);
            }
            What::Read { stream, bytes } => self.read(*stream, bytes, at),
            What::ReadEof { stream } => self.over(*stream, Some((Step::Read, None))),
            What::ReadFailed { stream, error } => {
                self.over(*stream, Some((Step::Read, Some(*error))));
            }
            What::Closed { stream } => self.closed(*stream),
            What::Measuring => {
                self.is_measuring = true;
                self.account.tally = Tally::default();
            }
            What::Interval(reported) => {
                let in_flight = self.streams.iter().map(|it| it.messages.len() - it.ended);
                let in_flight = in_flight.sum::<usize>() as u64;
                self.account.check_interval(reported, Some(in_flight));
            }
            // The loop did not notice before that the warm-up was over.
            What::Stopped | What::Aborted if !self.is_measuring && at >= self.from => {
                self.is_measuring = true;
                self.account.tally = Tally::default();
                self.account.last_reply_in_window = Some(self.account.last_reply);
            }
            What::Draining => {
                self.account.connections.at_end = self.open;
                self.account.last_reply_in_window = Some(self.account.last_reply);
            }
            _ => {}
        }
    }

    fn is_idle(&self, server: usize) -> bool {
        self.settings.idle > 0 && server >= self.settings.connections
    }

    fn attempted(&mut self, server: usize, error: Option<i32>, at: u64) {
        self.account.connections.attempted += 1;
        self.account.servers[server][0] += 1;
        self.streams.push(Stream {
            server,
            attempted: at,
            link: Link::Connecting,
            content: Vec::new(),
            taken: 0,
            messages: Vec::new(),
            ended: 0,
            reply: Vec::new(),
            replies: 0,
            free: NOT_FREE,
            write_error: None,
        });
        if error.is_some() {
            self.not_connected(self.streams.len() - 1, error);
        }
    }

    fn connected(&mut self, stream: usize, at: u64) {
        let it = &mut self.streams[stream];
        it.link = Link::Open;
        self.open += 1;
        let connections = &mut self.account.connections;
        connections.established += 1;
        connections.most = connections.most.max(self.open);
        self.account.servers[it.server][1] += 1;
        self.account.connects.push((at - it.attempted).max(1));
    }

    /// It could not be opened: for this reason, or its time was over.
    fn not_connected(&mut self, stream: usize, error: Option<i32>) {
        let it = &mut self.streams[stream];
        it.link = Link::Over;
        match error {
            Some(code) => self.account.error_code(Step::Connect, code),
            None => self.account.error(Step::Connect, "timed out"),
        }
        if error.is_some_and(is_local) {
            self.account.connections.failed_locally += 1;
        } else {
            self.account.connections.failed += 1;
            self.account.servers[it.server][2] += 1;
        }
    }

    /// Bytes were offered to the kernel: messages were sent that it has not seen before.
    fn offered(&mut self, stream: usize, offered: &[u8], at: u64) {
        let size = self.settings.size();
        let it = &mut self.streams[stream];
        assert_eq!(it.link, Link::Open, "written to a connection that is over");
        it.content.truncate(it.taken);
        it.content.extend_from_slice(offered);
        assert_eq!(it.content.len() % size, 0, "part of a message was offered");
        while it.messages.len() * size < it.content.len() {
            it.messages.push(self.account.send(Sent {
                server: it.server,
                at,
                due: at,
                ended: Ended::Waiting,
                free: it.free.min(at),
                before_measuring: !self.is_measuring,
            }));
        }
        let in_flight = it.messages.len() - it.ended;
        assert!(in_flight <= self.settings.pipeline, "{in_flight} in flight");
        if let Churning::Messages(most) = self.settings.reuse {
            assert!(it.messages.len() as u64 <= most, "used for too long");
        }
        it.free = if in_flight < self.settings.pipeline {
            it.free.min(at)
        } else {
            NOT_FREE
        };
    }

    fn taken(&mut self, stream: usize, taken: usize, at: u64) {
        let it = &mut self.streams[stream];
        it.taken += taken;
        if it.taken < it.content.len() {
            it.free = NOT_FREE;
        } else if it.messages.len() - it.ended < self.settings.pipeline {
            it.free = it.free.min(at);
        }
        self.account.written.push((at, taken as u64));
        if self.settings.answer != ReplyKind::Nothing {
            return;
        }
        let size = self.settings.size();
        while it.ended < it.messages.len() && (it.ended + 1) * size <= it.taken {
            self.account.end(it.messages[it.ended], Ended::Written(at));
            it.ended += 1;
            self.account.last_reply = at;
        }
    }

    fn read(&mut self, stream: usize, bytes: &[u8], at: u64) {
        self.account.read.push((at, bytes.len() as u64));
        if self.streams[stream].link == Link::Over {
            // What came before a write that failed: the log has it behind.
            return;
        }
        for &byte in bytes {
            let it = &mut self.streams[stream];
            let awaits = self.settings.answer != ReplyKind::Nothing && it.ended < it.messages.len();
            if !awaits {
                if self.settings.check == Verification::Nothing {
                    return;
                }
                return self.mismatch(stream, at);
            }
            it.reply.push(byte);
            match self.judge(stream) {
                None => {}
                Some(true) => {
                    let it = &mut self.streams[stream];
                    self.account.end(it.messages[it.ended], Ended::Replied(at));
                    self.account.last_reply = at;
                    it.ended += 1;
                    it.replies += 1;
                    it.reply.clear();
                    if it.taken == it.content.len() {
                        it.free = it.free.min(at);
                    }
                }
                Some(false) => return self.mismatch(stream, at),
            }
        }
    }

    /// Whether the reply to the first message that awaits one is there, and right so far.
    fn judge(&self, stream: usize) -> Option<bool> {
        let it = &self.streams[stream];
        let size = self.settings.size();
        let message = &it.content[it.ended * size..(it.ended + 1) * size];
        let expected = match &self.settings.answer {
            ReplyKind::Echo => message.to_vec(),
            ReplyKind::Suffix(suffix) => [message, suffix].concat(),
            ReplyKind::Size(size) => return (it.reply.len() == *size).then_some(true),
            ReplyKind::Until(end) => return it.reply.ends_with(end).then_some(true),
            ReplyKind::Nothing => return None,
        };
        let compares = self.settings.check == Verification::Bytes;
        if compares && it.reply[..] != expected[..it.reply.len()] {
            return Some(false);
        }
        (it.reply.len() == expected.len()).then_some(true)
    }

    /// What came was wrong: the first message in flight has got a wrong reply, and the connection is over.
    fn mismatch(&mut self, stream: usize, at: u64) {
        self.account.wrong_replies += 1;
        self.account.last_reply = at;
        let it = &mut self.streams[stream];
        if self.settings.answer != ReplyKind::Nothing && it.ended < it.messages.len() {
            self.account.end(it.messages[it.ended], Ended::Mismatched);
            it.ended += 1;
        }
        self.over(stream, None);
    }

    /// A connection is over: the server has ended it at this step, or the load has.
    fn over(&mut self, stream: usize, by_server: Option<(Step, Option<i32>)>) {
        let size = self.settings.size();
        let it = &mut self.streams[stream];
        if it.link != Link::Open {
            return;
        }
        it.link = Link::Over;
        self.open -= 1;
        let (server, replies, in_flight) = (it.server, it.replies, it.messages.len() - it.ended);
        for index in it.ended..it.messages.len() {
            let ended = if index * size < it.taken {
                Ended::ConnectionLost
            } else {
                Ended::Withdrawn
            };
            self.account.end(it.messages[index], ended);
        }
        it.ended = it.messages.len();
        let Some((step, code)) = by_server else {
            return;
        };
        if self.is_idle(server) {
            self.account.connections.idle_closed += 1;
            return;
        }
        let expects = self.settings.answer != ReplyKind::Nothing;
        match code {
            Some(code) => self.account.error_code(step, code),
            None if in_flight > 0 => self.account.error(step, "end of file before the reply"),
            None if replies > 0 || !expects => self.account.connections.closed_by_server += 1,
            None => self.account.error(step, "end of file before any reply"),
        }
        self.account.connections.closes.push(replies);
        if replies == 0 && expects {
            self.account.connections.closed_without_reply += 1;
            self.account.servers[server][2] += 1;
        }
    }

    /// The load has closed it.
    fn closed(&mut self, stream: usize) {
        match self.streams[stream].link {
            Link::Over => {}
            Link::Connecting => self.not_connected(stream, None),
            Link::Open => {
                let it = &self.streams[stream];
                if let Some(error) = it.write_error {
                    return self.over(stream, Some((Step::Write, Some(error))));
                }
                assert_ne!(
                    self.settings.reuse,
                    Churning::Forever,
                    "closed for no reason"
                );
                assert_eq!(
                    it.ended,
                    it.messages.len(),
                    "closed with messages in flight"
                );
                self.account.connections.churned += 1;
                self.over(stream, None);
            }
        }
    }

    /// Connections whose first message in flight has waited for `timeout` at `end`.
    pub(super) fn count_hung(&mut self, timeout: u64, end: u64) {
        let first = |it: &Stream| {
            let message = *it.messages.get(it.ended)?;
            (it.link == Link::Open).then(|| self.account.messages[message].at)
        };
        let hung = self.streams.iter().filter_map(first);
        let expects = self.settings.answer != ReplyKind::Nothing;
        let hung = hung.filter(|sent| expects && end - sent >= timeout).count();
        self.account.connections.hung_at_end = hung as u64;
    }

    /// Messages in flight at the end of which no byte was taken.
    pub(super) fn withdraw_untaken(&mut self) {
        let size = self.settings.size();
        for it in self.streams.iter().filter(|it| it.link == Link::Open) {
            for index in it.ended..it.messages.len() {
                if index * size >= it.taken {
                    self.account.messages[it.messages[index]].ended = Ended::Withdrawn;
                }
            }
        }
    }
}
