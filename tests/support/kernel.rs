//! One end of a TCP connection as an edge-triggered kernel keeps it, with the peer behind it.
//!
//! What it does is what Linux was measured to do: an event reports everything that is true when it is
//! delivered, but is raised only by a change: data, a FIN or a reset arriving, or room in a send
//! buffer in which a write has found none.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use echoloop::connection::{Readiness, Stream};

const ENOBUFS: i32 = 105;

/// A socket and its peer. Bytes are numbered as the peer sends them, so a wrong one shows.
#[derive(Debug)]
pub struct Kernel {
    inbox: VecDeque<u8>,
    inbox_limit: usize,
    outbox: VecDeque<u8>,
    outbox_limit: usize,
    fin: bool,
    reset: bool,
    /// A write has found too little room: making room raises an event.
    wants_room: bool,
    event: bool,
    interrupts: usize,
    shortages: usize,
    shut: bool,
    closed: bool,
    /// How many bytes the peer has sent.
    pub sent: usize,
    /// What the peer has received.
    pub received: Vec<u8>,
    /// Our side has asked for a reset when it closes.
    pub resets_on_close: bool,
}

/// Byte number `index` of what a peer sends.
pub fn byte(index: usize) -> u8 {
    (index % 251) as u8
}

impl Kernel {
    pub fn new(inbox_limit: usize, outbox_limit: usize) -> Self {
        Self {
            inbox: VecDeque::new(),
            inbox_limit,
            outbox: VecDeque::new(),
            outbox_limit,
            fin: false,
            reset: false,
            wants_room: false,
            // Registering a socket reports its state.
            event: true,
            interrupts: 0,
            shortages: 0,
            shut: false,
            closed: false,
            sent: 0,
            received: Vec::new(),
            resets_on_close: false,
        }
    }

    /// The peer sends up to `count` bytes, as many as there is room for.
    pub fn peer_sends(&mut self, count: usize) {
        if self.fin || self.reset || self.closed {
            return;
        }
        let count = count.min(self.inbox_limit - self.inbox.len());
        self.inbox.extend((self.sent..self.sent + count).map(byte));
        self.sent += count;
        self.event |= count > 0;
    }

    /// The peer shuts its side.
    pub fn peer_ends(&mut self) {
        if !self.fin && !self.reset {
            self.fin = true;
            self.event = true;
        }
    }

    /// The peer resets the connection. What it sent before can still be read.
    pub fn peer_resets(&mut self) {
        if !self.reset {
            self.reset = true;
            self.outbox.clear();
            self.event = true;
        }
    }

    /// The peer receives up to `count` bytes.
    pub fn peer_receives(&mut self, count: usize) {
        let count = count.min(self.outbox.len());
        self.received.extend(self.outbox.drain(..count));
        if count > 0 && self.wants_room {
            self.wants_room = false;
            self.event = true;
        }
    }

    /// The next call is interrupted by a signal.
    pub fn interrupt(&mut self) {
        self.interrupts += 1;
    }

    /// The next write finds no memory.
    pub fn run_short(&mut self) {
        self.shortages += 1;
    }

    /// From now on no call is interrupted, and there is memory.
    pub fn behave(&mut self) {
        (self.interrupts, self.shortages) = (0, 0);
    }

    /// Our end is closed. With input unread that is a reset, which destroys what the peer has not received yet: returns
    /// whether it has destroyed anything.
    pub fn close(&mut self) -> bool {
        assert!(!self.closed, "closed twice");
        self.closed = true;
        let destroys = !self.inbox.is_empty() && !self.outbox.is_empty();
        if destroys {
            self.outbox.clear();
        }
        destroys
    }

    /// It is registered anew, which reports its state.
    pub fn rearm(&mut self) {
        self.event = true;
    }

    /// Delivers the event that is waiting, if there is one.
    pub fn deliver(&mut self, readiness: &mut Readiness) -> bool {
        if !std::mem::take(&mut self.event) {
            return false;
        }
        if !self.inbox.is_empty() {
            readiness.latch_readable();
        }
        if self.fin {
            readiness.latch_read_closed();
        }
        if self.reset {
            readiness.latch_failed();
        }
        if self.outbox.len() < self.outbox_limit {
            readiness.latch_writable();
        }
        true
    }

    /// What the peer has received, or will once it asks.
    pub fn sent_back(&self) -> impl Iterator<Item = u8> {
        self.received.iter().chain(&self.outbox).copied()
    }

    /// How much of what the peer has sent has not been read.
    pub fn unread(&self) -> usize {
        self.inbox.len()
    }

    pub fn is_reset(&self) -> bool {
        self.reset
    }

    pub fn is_shut(&self) -> bool {
        self.shut
    }

    fn interrupted(&mut self) -> io::Result<()> {
        if self.interrupts == 0 {
            return Ok(());
        }
        self.interrupts -= 1;
        Err(ErrorKind::Interrupted.into())
    }
}

impl Read for Kernel {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        assert!(
            !room.is_empty(),
            "a read into no room can't tell an end of file"
        );
        self.interrupted()?;
        if !self.inbox.is_empty() {
            let count = room.len().min(self.inbox.len());
            for (to, from) in room.iter_mut().zip(self.inbox.drain(..count)) {
                *to = from;
            }
            Ok(count)
        } else if self.reset {
            Err(ErrorKind::ConnectionReset.into())
        } else if self.fin {
            Ok(0)
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

impl Write for Kernel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "an empty write does nothing");
        assert!(!self.shut, "a write after our side was shut");
        self.interrupted()?;
        if self.reset {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.shortages > 0 {
            self.shortages -= 1;
            return Err(io::Error::from_raw_os_error(ENOBUFS));
        }
        let count = bytes.len().min(self.outbox_limit - self.outbox.len());
        self.outbox.extend(&bytes[..count]);
        self.wants_room |= count < bytes.len();
        if count == 0 {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(count)
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Kernel {
    fn shutdown_write(&mut self) -> io::Result<()> {
        if self.reset {
            return Err(ErrorKind::NotConnected.into());
        }
        assert!(!self.shut, "our side was shut twice");
        self.shut = true;
        // It is told of as a change of the socket's.
        self.event = true;
        Ok(())
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Ok(self.reset.then(|| ErrorKind::ConnectionReset.into()))
    }
}
