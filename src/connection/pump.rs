//! Moves bytes between a stream and its connection: the one place that knows `WouldBlock` and
//! `Interrupted`.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;

use super::{CloseReason, Connection, Readiness, Reply, State, Watermarks};

/// `ENOBUFS` on Linux. The standard library has no [`io::ErrorKind`] for it.
const ENOBUFS: i32 = 105;

/// A byte stream whose sending side can be shut, such as a non-blocking TCP socket.
pub trait Stream: Read + Write {
    /// Shuts the sending side: the peer reads an end of file behind everything written so far.
    fn shutdown_write(&mut self) -> io::Result<()>;
}

/// One end of a conversation: a stream, what the kernel has said of it, and where it stands.
#[derive(Debug)]
pub struct Peer<S> {
    /// Where the bytes go.
    pub stream: S,
    /// What is owed, and where the conversation stands.
    pub connection: Connection,
    /// What events have said. To be set by them, and cleared by the pump.
    pub readiness: Readiness,
}

impl<S> Peer<S> {
    /// A conversation over `stream` that has just begun.
    pub const fn new(stream: S) -> Self {
        Self {
            stream,
            connection: Connection::new(),
            readiness: Readiness::new(),
        }
    }

    /// Whether anything can be done right now: see [`Connection::is_runnable`].
    pub const fn is_runnable(&self) -> bool {
        self.connection.is_runnable(self.readiness)
    }
}

/// Moves bytes between peers and their connections, one peer at a time: its buffers are shared by all
/// clients of a loop.
#[derive(Debug)]
pub struct Pump {
    limits: Limits,
    tally: Tally,
    /// What one system call read. Never empty: a read into no room would return 0, which would be
    /// taken for an end of file.
    input: Box<[u8]>,
    /// What a service answered other than with an echo.
    output: Vec<u8>,
}

/// How much a pump does for one peer at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes a service is handed at once.
    pub recv_size: NonZeroUsize,
    /// The most bytes that one system call reads.
    pub read_ahead: NonZeroUsize,
    /// How many bytes one client may move in one turn before it is the next one's turn. The last
    /// read or write may exceed it.
    pub budget: usize,
    /// When reading pauses and resumes.
    pub watermarks: Watermarks,
}

/// What a pump has moved so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes read and answered.
    pub received_bytes: u64,
    /// Bytes read and discarded, because the conversation was ending.
    pub discarded_bytes: u64,
    /// Bytes written.
    pub sent_bytes: u64,
    /// Messages handed to the service.
    pub messages: u64,
    /// Times reading paused at the high watermark.
    pub pauses: u64,
}

/// How a call of [`Pump::run`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more can be done before an event or a deadline, and something is owed or the
    /// conversation is ending.
    Blocked,
    /// The conversation is over.
    Closed(CloseReason),
    /// The kernel is out of memory for this socket. No event will say when that has passed, so a
    /// deadline must.
    Starved,
    /// Nothing is left to do but to wait for input.
    Waiting,
    /// The budget is spent and there is more to do: the peer belongs on the ready list.
    Yielded,
}

/// The kernel is out of memory for a socket.
struct Starved;

impl Pump {
    /// A pump that has moved nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            tally: Tally::default(),
            input: vec![0; limits.read_ahead.get()].into_boxed_slice(),
            output: Vec::new(),
        }
    }

    /// Moves as many bytes as the latches and the budget allow: writes before reads, so that a
    /// client is asked for more only once it has taken what it is owed.
    ///
    /// Each batch that one read brings is handed to `serve` in messages of at most
    /// [`recv_size`](Limits::recv_size) bytes, in order, and answered with one write. What that
    /// write does not take is kept in the connection.
    ///
    /// # A peer's error
    ///
    /// Ends in [`Outcome::Closed`], never in an error of the caller. `Interrupted` is retried.
    // Inlined, and everything that does not happen to a client that keeps up is kept out of line, so
    // that a message is served without a call but those of the kernel.
    #[inline(always)]
    pub fn run<S: Stream>(
        &mut self,
        peer: &mut Peer<S>,
        mut serve: impl FnMut(&[u8], &mut Reply<'_>),
    ) -> Outcome {
        let mut spent = 0;
        loop {
            if !peer.connection.keeps_up() {
                match self.catch_up(peer, spent) {
                    Ok(spent_since) => spent = spent_since,
                    Err(outcome) => return outcome,
                }
            } else if !peer.readiness.is_readable() {
                return Outcome::Waiting;
            }
            if spent >= self.limits.budget {
                return Outcome::Yielded;
            }
            let count = match retry(|| peer.stream.read(&mut self.input)) {
                Ok(0) => {
                    peer.connection.receive_eof();
                    continue;
                }
                Ok(count) => count,
                Err(error) => match read_failed(peer, &error) {
                    Ok(()) => continue,
                    Err(Starved) => return Outcome::Starved,
                },
            };
            spent += count;
            if count < self.input.len() {
                peer.readiness.read_short();
            }
            if !peer.connection.is_open() {
                self.tally.discarded_bytes += count as u64;
                continue;
            }
            self.tally.received_bytes += count as u64;
            let mut reply = Reply::new(&self.input[..count], &mut self.output);
            self.tally.messages += reply.serve(self.limits.recv_size, &mut serve);
            let hung_up = reply.is_hung_up();
            let sent = send(peer, reply.as_slice(), &self.limits, &mut self.tally);
            if hung_up {
                peer.connection.finish(CloseReason::HungUp);
            }
            if let Err(Starved) = sent {
                return Outcome::Starved;
            }
        }
    }

    /// What has been moved so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Does what goes before asking a peer for more: writes what it is owed, and shuts our side if
    /// the conversation is ending. `Ok` with what has been spent, if it may then be read from;
    /// otherwise, how the run ends.
    #[cold]
    #[inline(never)]
    fn catch_up<S: Stream>(
        &mut self,
        peer: &mut Peer<S>,
        mut spent: usize,
    ) -> Result<usize, Outcome> {
        while peer.connection.wants_write() && peer.readiness.is_writable() {
            if spent >= self.limits.budget {
                return Err(Outcome::Yielded);
            }
            match write(
                &mut peer.stream,
                &mut peer.readiness,
                peer.connection.unsent(),
            ) {
                Ok(count) => {
                    spent += count;
                    self.tally.sent_bytes += count as u64;
                    peer.connection.sent(count, self.limits.watermarks);
                }
                Err(error) => {
                    absorb(&mut peer.connection, &error).map_err(|Starved| Outcome::Starved)?
                }
            }
        }
        if peer.connection.wants_shutdown() {
            match peer.stream.shutdown_write() {
                Ok(()) => peer.connection.shut(),
                Err(error) => {
                    absorb(&mut peer.connection, &error).map_err(|Starved| Outcome::Starved)?
                }
            }
        }
        match peer.connection.state() {
            State::Closed(reason) => Err(Outcome::Closed(reason)),
            _ if peer.connection.wants_read() && peer.readiness.is_readable() => Ok(spent),
            State::Open if !peer.connection.has_unsent() => Err(Outcome::Waiting),
            _ => Err(Outcome::Blocked),
        }
    }
}

/// Sends a reply straight from where it lies, unless something is queued before it. What the kernel
/// does not take is kept.
#[inline(always)]
fn send<S: Stream>(
    peer: &mut Peer<S>,
    reply: &[u8],
    limits: &Limits,
    tally: &mut Tally,
) -> Result<(), Starved> {
    let mut starved = Ok(());
    let mut sent = 0;
    if !reply.is_empty() && !peer.connection.has_unsent() && peer.readiness.is_writable() {
        match write(&mut peer.stream, &mut peer.readiness, reply) {
            Ok(count) => sent = count,
            Err(error) => starved = absorb(&mut peer.connection, &error),
        }
        tally.sent_bytes += sent as u64;
    }
    if sent < reply.len() {
        tally.pauses += u64::from(peer.connection.owe(&reply[sent..], limits.watermarks));
    }
    starved
}

/// Writes once and clears the latch as the outcome says. A full kernel buffer counts as 0 written.
#[inline]
fn write(stream: &mut impl Stream, readiness: &mut Readiness, bytes: &[u8]) -> io::Result<usize> {
    match retry(|| stream.write(bytes)) {
        // No socket answers a non-empty write with 0; trying again could spin for ever.
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(count) => {
            if count < bytes.len() {
                readiness.write_short();
            }
            Ok(count)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            readiness.write_blocked();
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Takes a failed read for what it is.
#[cold]
#[inline(never)]
fn read_failed<S>(peer: &mut Peer<S>, error: &io::Error) -> Result<(), Starved> {
    if error.kind() == io::ErrorKind::WouldBlock {
        peer.readiness.read_blocked();
        return Ok(());
    }
    absorb(&mut peer.connection, error)
}

/// Takes a peer's error as the end of its conversation, unless it is ours and will pass.
#[cold]
#[inline(never)]
fn absorb(connection: &mut Connection, error: &io::Error) -> Result<(), Starved> {
    if error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error() == Some(ENOBUFS) {
        return Err(Starved);
    }
    connection.close(CloseReason::Failed(error.kind()));
    Ok(())
}

/// Repeats a system call that a signal interrupted before it did anything.
#[inline]
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
