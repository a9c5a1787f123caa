//! TCP connections of the world, and the servers at their other ends.

use std::collections::VecDeque;

use super::log::What;
use super::replies::right_reply;
use super::settings::{Fault, MS, US, chance};
use super::world::{Action, World};
use crate::connection::Readiness;
use crate::reactor::Token;

pub(super) const EINTR: i32 = 4;
pub(super) const EAGAIN: i32 = 11;
pub(super) const EMFILE: i32 = 24;
pub(super) const EPIPE: i32 = 32;
pub(super) const EADDRNOTAVAIL: i32 = 99;
pub(super) const ECONNRESET: i32 = 104;
pub(super) const ENOBUFS: i32 = 105;
pub(super) const ECONNREFUSED: i32 = 111;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Connecting,
    Refused,
    Open,
    Reset,
    /// By the load.
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Stream {
    server: usize,
    token: Option<Token>,
    link: Link,
    /// Received bytes that were not read.
    inbox: VecDeque<u8>,
    eof: bool,
    /// How many more bytes can be written.
    room: usize,
    /// A write has found too little room.
    blocked: bool,
    /// What the server has received, and not replied to.
    received: Vec<u8>,
    /// It does not reply any more, or has closed.
    stalled: bool,
    /// When the last bytes written come to the server, and the last of a reply to us.
    arrives: u64,
    last: u64,
}

impl Stream {
    /// What it was registered with, if it is open.
    pub(super) fn token(&self) -> Option<Token> {
        self.token.filter(|_| self.link != Link::Closed)
    }

    fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::of(!self.inbox.is_empty(), self.room > 0);
        match self.link {
            Link::Connecting | Link::Closed => return Readiness::of(false, false),
            Link::Refused | Link::Reset => readiness.latch_failed(),
            Link::Open if self.eof => readiness.latch_read_closed(),
            Link::Open => {}
        }
        readiness
    }
}

impl World {
    /// An attempt to connect to a server.
    pub(super) fn connect(&mut self, server: usize) -> Result<usize, i32> {
        self.call();
        let stream = self.streams.len();
        let lacks = self.is_lacking();
        let is_dead = self.is_dead(server);
        let error = if lacks {
            Some([EADDRNOTAVAIL, EMFILE][self.random.below(2) as usize])
        } else if is_dead && chance(&mut self.random, 2) {
            Some(ECONNREFUSED)
        } else {
            None
        };
        self.log(What::Attempted { server, error });
        self.streams.push(Stream {
            server,
            token: None,
            link: Link::Connecting,
            inbox: VecDeque::new(),
            eof: false,
            room: self.settings.servers[server].capacity,
            blocked: false,
            received: Vec::new(),
            stalled: false,
            arrives: 0,
            last: 0,
        });
        if let Some(error) = error {
            self.streams[stream].link = Link::Closed;
            return Err(error);
        }
        if !self.settings.servers[server].never_accepts {
            let at = self.now() + self.random.below(2 * MS);
            self.at(at, Action::Accept { stream });
        }
        Ok(stream)
    }

    fn is_dead(&self, server: usize) -> bool {
        let server = &self.settings.servers[server];
        let from = [server.dies_at, server.refuses_from].into_iter().flatten();
        from.min().is_some_and(|from| from <= self.now())
    }

    pub(super) fn register(&mut self, stream: usize, token: Token) {
        self.streams[stream].token = Some(token);
        let readiness = self.streams[stream].readiness();
        if readiness != Readiness::of(false, false) {
            self.event(Some(token), readiness);
        }
    }

    pub(super) fn accept(&mut self, stream: usize) {
        let is_dead = self.is_dead(self.streams[stream].server);
        let it = &mut self.streams[stream];
        if it.link != Link::Connecting {
            return;
        }
        it.link = if is_dead { Link::Refused } else { Link::Open };
        let (token, readiness) = (it.token(), it.readiness());
        self.event(token, readiness);
    }

    /// The result of an attempt; `None` while it is pending.
    pub(super) fn check(&mut self, stream: usize) -> Option<Result<(), i32>> {
        self.call();
        let result = match self.streams[stream].link {
            Link::Connecting | Link::Closed => return None,
            Link::Open => Ok(()),
            Link::Refused => Err(ECONNREFUSED),
            Link::Reset => Err(ECONNRESET),
        };
        match result {
            Ok(()) => self.log_received(What::Connected { stream }),
            Err(error) => self.log(What::NotConnected { stream, error }),
        }
        Some(result)
    }

    pub(super) fn close(&mut self, stream: usize) {
        if self.streams[stream].link != Link::Closed {
            self.streams[stream].link = Link::Closed;
            self.log(What::Closed { stream });
        }
    }

    pub(super) fn read(&mut self, stream: usize, buffer: &mut [u8]) -> Result<usize, i32> {
        self.call();
        if self.is_short() && chance(&mut self.random, 2) {
            return Err(EINTR);
        }
        let (link, most) = {
            let it = &self.streams[stream];
            (it.link, it.inbox.len().min(buffer.len()))
        };
        if link == Link::Reset {
            let error = ECONNRESET;
            self.log_received(What::ReadFailed { stream, error });
            return Err(error);
        }
        if most == 0 {
            if !self.streams[stream].eof {
                return Err(EAGAIN);
            }
            self.log_received(What::ReadEof { stream });
            return Ok(0);
        }
        // The rest arrives a moment later.
        let count = if most > 1 && self.is_short() {
            1 + self.random.below(most as u64) as usize
        } else {
            most
        };
        let it = &mut self.streams[stream];
        for (to, byte) in buffer.iter_mut().zip(it.inbox.drain(..count)) {
            *to = byte;
        }
        let (token, is_left) = (it.token, !it.inbox.is_empty());
        if let Some(token) = token.filter(|_| is_left) {
            let at = self.now() + self.random.below(50 * US);
            let readiness = Readiness::of(true, false);
            self.at(at, Action::Wake { token, readiness });
        }
        let bytes = buffer[..count].to_vec();
        self.log_received(What::Read { stream, bytes });
        Ok(count)
    }

    pub(super) fn write(&mut self, stream: usize, bytes: &[u8]) -> Result<usize, i32> {
        self.call();
        if self.is_short() && chance(&mut self.random, 3) {
            return Err(EINTR);
        }
        let link = self.streams[stream].link;
        let error = match link {
            Link::Reset => Some([EPIPE, ECONNRESET][self.random.below(2) as usize]),
            _ if self.is_lacking() => Some(ENOBUFS),
            _ => None,
        };
        if let Some(error) = error {
            let offered = bytes.to_vec();
            self.log(What::WriteFailed {
                stream,
                offered,
                error,
            });
            return Err(error);
        }
        let most = bytes.len().min(self.streams[stream].room);
        let taken = if most > 1 && self.is_short() {
            1 + self.random.below(most as u64) as usize
        } else {
            most
        };
        self.check_clock();
        let offered = bytes.to_vec();
        self.log(What::Wrote {
            stream,
            offered,
            taken,
        });
        let it = &mut self.streams[stream];
        it.room -= taken;
        if taken < bytes.len() {
            it.blocked = true;
            // There was room for more: the kernel was short of something else for a moment.
            if let Some(token) = it.token.filter(|_| it.room > 0) {
                let at = self.now() + self.random.below(50 * US);
                let readiness = Readiness::of(false, true);
                self.at(at, Action::Wake { token, readiness });
            }
        }
        if taken == 0 {
            return Err(EAGAIN);
        }
        let at = self.now() + self.random.below(100 * US);
        let bytes = bytes[..taken].to_vec();
        // The bytes of one stream stay in order.
        let at = at.max(self.streams[stream].arrives);
        self.streams[stream].arrives = at;
        self.at(at, Action::Serve { stream, bytes });
        Ok(taken)
    }

    pub(super) fn serve(&mut self, stream: usize, bytes: &[u8]) {
        let size = self.settings.size();
        let it = &mut self.streams[stream];
        let server = it.server;
        if it.stalled && self.settings.servers[server].capacity < 1 << 12 {
            // It does not even read.
            return;
        }
        it.room += bytes.len();
        it.received.extend_from_slice(bytes);
        if std::mem::take(&mut it.blocked) && it.link == Link::Open {
            let token = it.token();
            self.event(token, Readiness::of(false, true));
        }
        while self.streams[stream].received.len() >= size {
            let message: Vec<u8> = self.streams[stream].received.drain(..size).collect();
            if !self.streams[stream].stalled && !self.settings.servers[server].silent {
                self.reply(stream, &message);
            }
        }
    }

    /// Replies to `message`, or does something else.
    fn reply(&mut self, stream: usize, message: &[u8]) {
        let server = self.streams[stream].server;
        let fault = self.fault(server);
        let mut at = self.now() + self.delay(server);
        let mut reply = right_reply(&self.settings.answer, message, self.random.bits());
        match fault {
            Some(Fault::CloseBefore) => return self.end(stream, at, false),
            Some(Fault::Reset) => return self.end(stream, at, true),
            Some(Fault::Stall) => {
                self.streams[stream].stalled = true;
                return;
            }
            Some(Fault::CloseInside) => {
                reply.truncate(self.random.below(reply.len() as u64 + 1) as usize)
            }
            Some(Fault::Alter) if !reply.is_empty() => {
                let index = self.random.below(reply.len() as u64) as usize;
                reply[index] ^= 0x55;
            }
            Some(Fault::Surplus) => reply.extend_from_slice(b"surplus"),
            Some(Fault::Missing) => {
                let count = 1 + self.random.below(reply.len().max(1) as u64) as usize;
                reply.drain(..count.min(reply.len()));
            }
            Some(Fault::Twice) => reply.extend_from_within(..),
            Some(Fault::Late) => {
                at += self.settings.timeout + self.random.below(self.settings.timeout)
            }
            _ => {}
        }
        self.send_back(stream, at, reply);
        if matches!(fault, Some(Fault::CloseAfter | Fault::CloseInside)) {
            let at = self.streams[stream].last;
            self.end(stream, at, false);
        }
    }

    /// Sends bytes back, in up to three pieces.
    fn send_back(&mut self, stream: usize, at: u64, mut bytes: Vec<u8>) {
        let mut at = at.max(self.streams[stream].last);
        while !bytes.is_empty() {
            let piece = if chance(&mut self.random, 4) {
                let count = 1 + self.random.below(bytes.len() as u64) as usize;
                let rest = bytes.split_off(count);
                std::mem::replace(&mut bytes, rest)
            } else {
                std::mem::take(&mut bytes)
            };
            self.at(
                at,
                Action::Deliver {
                    stream,
                    bytes: piece,
                },
            );
            self.streams[stream].last = at;
            at += self.random.below(100 * US);
        }
    }

    /// The server closes the connection, or resets it.
    fn end(&mut self, stream: usize, at: u64, reset: bool) {
        let at = at.max(self.streams[stream].last);
        self.streams[stream].stalled = true;
        let action = if reset {
            Action::DeliverReset { stream }
        } else {
            Action::DeliverEof { stream }
        };
        self.at(at, action);
    }

    pub(super) fn deliver(&mut self, stream: usize, bytes: &[u8]) {
        let it = &mut self.streams[stream];
        if it.link == Link::Open {
            it.inbox.extend(bytes);
            let token = it.token;
            self.event(token, Readiness::of(true, false));
        }
    }

    pub(super) fn deliver_eof(&mut self, stream: usize) {
        let it = &mut self.streams[stream];
        if it.link == Link::Open {
            it.eof = true;
            let (token, readiness) = (it.token, it.readiness());
            self.event(token, readiness);
        }
    }

    pub(super) fn deliver_reset(&mut self, stream: usize) {
        let it = &mut self.streams[stream];
        if it.link == Link::Open {
            it.link = Link::Reset;
            it.inbox.clear();
            let (token, readiness) = (it.token, it.readiness());
            self.event(token, readiness);
        }
    }

    pub(super) fn die(&mut self, server: usize) {
        let streams = 0..self.streams.len();
        let all: Vec<usize> = streams
            .filter(|&it| self.streams[it].server == server)
            .collect();
        for stream in all {
            self.streams[stream].stalled = true;
            self.deliver_reset(stream);
        }
    }
}
