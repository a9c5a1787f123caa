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

/// How much one call of [`pump`] does.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes a service is handed at once.
    pub recv_size: NonZeroUsize,
    /// How many bytes one client may move in one turn before it is the next one's turn. The last
    /// read or write may exceed it.
    pub budget: usize,
    /// When reading pauses and resumes.
    pub watermarks: Watermarks,
}

/// The buffers that all clients of a loop share, since one is served at a time.
#[derive(Debug)]
pub struct Scratch {
    /// What one system call read: its size is the read-ahead. Never empty.
    pub input: Box<[u8]>,
    /// What a service answered other than with an echo.
    pub output: Vec<u8>,
}

impl Scratch {
    /// Buffers for reads of at most `size` bytes (at least 1).
    pub fn new(size: usize) -> Self {
        // A read into no room would return 0, which would be taken for an end of file.
        Self {
            input: vec![0; size.max(1)].into_boxed_slice(),
            output: Vec::new(),
        }
    }
}

/// What has been moved, over all calls of [`pump`] that were given it.
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

/// How a call of [`pump`] ended.
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
    /// The budget is spent and there is more to do: the connection belongs on the ready list.
    Yielded,
}

/// Moves as many bytes as the latches and the budget allow: writes before reads, so that a client is
/// asked for more only once it has taken what it is owed.
///
/// Each batch that one read brings is handed to `serve` in messages of at most
/// [`recv_size`](Limits::recv_size) bytes, in order, and answered with one write. What that write
/// does not take is kept in the connection.
///
/// # A peer's error
///
/// Ends in [`Outcome::Closed`], never in an error of the caller. `Interrupted` is retried.
// Inlined, as `send` is, so that a message of a client that keeps up is served without a call: the
// prologues alone would be a fifth of its instructions.
#[inline(always)]
pub fn pump<S: Stream>(
    stream: &mut S,
    readiness: &mut Readiness,
    connection: &mut Connection,
    scratch: &mut Scratch,
    limits: &Limits,
    tally: &mut Tally,
    mut serve: impl FnMut(&[u8], &mut Reply<'_>),
) -> Outcome {
    let mut spent = 0;
    loop {
        if !connection.keeps_up() {
            match catch_up(stream, readiness, connection, limits, tally, spent) {
                Ok(spent_since) => spent = spent_since,
                Err(outcome) => return outcome,
            }
        } else if !readiness.is_readable() {
            return Outcome::Waiting;
        }
        if spent >= limits.budget {
            return Outcome::Yielded;
        }
        let count = match retry(|| stream.read(&mut scratch.input)) {
            Ok(0) => {
                connection.receive_eof();
                continue;
            }
            Ok(count) => count,
            Err(error) => match read_failed(&error, readiness, connection) {
                Ok(()) => continue,
                Err(Starved) => return Outcome::Starved,
            },
        };
        spent += count;
        if count < scratch.input.len() {
            readiness.read_short();
        }
        if !connection.is_open() {
            tally.discarded_bytes += count as u64;
            continue;
        }
        tally.received_bytes += count as u64;
        let mut reply = Reply::new(&scratch.input[..count], &mut scratch.output);
        tally.messages += reply.serve(limits.recv_size, &mut serve);
        let sent = send(
            stream,
            readiness,
            connection,
            reply.as_slice(),
            limits,
            tally,
        );
        if reply.is_hung_up() {
            connection.finish(CloseReason::HungUp);
        }
        if let Err(Starved) = sent {
            return Outcome::Starved;
        }
    }
}

/// The kernel is out of memory for a socket.
struct Starved;

/// Sends a reply straight from where it lies, unless something is queued before it. What the kernel
/// does not take is kept.
#[inline(always)]
fn send<S: Stream>(
    stream: &mut S,
    readiness: &mut Readiness,
    connection: &mut Connection,
    reply: &[u8],
    limits: &Limits,
    tally: &mut Tally,
) -> Result<(), Starved> {
    let mut starved = Ok(());
    let mut sent = 0;
    if !reply.is_empty() && !connection.has_unsent() && readiness.is_writable() {
        match write(stream, readiness, reply) {
            Ok(count) => sent = count,
            Err(error) => starved = absorb(&error, connection),
        }
        tally.sent_bytes += sent as u64;
    }
    if sent < reply.len() {
        tally.pauses += u64::from(connection.owe(&reply[sent..], limits.watermarks));
    }
    starved
}

/// Does what goes before asking a client for more: writes what it is owed, and shuts our side if the
/// conversation is ending. `Ok` with what has been spent, if it may then be read from; otherwise, how the call of [`pump`] ends.
#[cold]
fn catch_up<S: Stream>(
    stream: &mut S,
    readiness: &mut Readiness,
    connection: &mut Connection,
    limits: &Limits,
    tally: &mut Tally,
    mut spent: usize,
) -> Result<usize, Outcome> {
    while connection.wants_write() && readiness.is_writable() {
        if spent >= limits.budget {
            return Err(Outcome::Yielded);
        }
        match write(stream, readiness, connection.unsent()) {
            Ok(count) => {
                spent += count;
                tally.sent_bytes += count as u64;
                connection.sent(count, limits.watermarks);
            }
            Err(error) => absorb(&error, connection).map_err(|Starved| Outcome::Starved)?,
        }
    }
    if connection.wants_shutdown() {
        match stream.shutdown_write() {
            Ok(()) => connection.shut(),
            Err(error) => absorb(&error, connection).map_err(|Starved| Outcome::Starved)?,
        }
    }
    match connection.state() {
        State::Closed(reason) => Err(Outcome::Closed(reason)),
        _ if connection.wants_read() && readiness.is_readable() => Ok(spent),
        State::Open if !connection.has_unsent() => Err(Outcome::Waiting),
        _ => Err(Outcome::Blocked),
    }
}

/// Takes a failed read for what it is.
#[cold]
fn read_failed(
    error: &io::Error,
    readiness: &mut Readiness,
    connection: &mut Connection,
) -> Result<(), Starved> {
    if error.kind() == io::ErrorKind::WouldBlock {
        readiness.read_blocked();
        return Ok(());
    }
    absorb(error, connection)
}

/// Takes a peer's error as the end of its conversation, unless it is ours and will pass.
#[cold]
fn absorb(error: &io::Error, connection: &mut Connection) -> Result<(), Starved> {
    if error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error() == Some(ENOBUFS) {
        return Err(Starved);
    }
    connection.close(CloseReason::Failed(error.kind()));
    Ok(())
}

/// Writes once and clears the latch as the outcome says. A full kernel buffer counts as 0 written.
#[inline]
fn write<S: Stream>(stream: &mut S, readiness: &mut Readiness, bytes: &[u8]) -> io::Result<usize> {
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
