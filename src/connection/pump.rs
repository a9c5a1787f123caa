//! Moves bytes between a stream and its connection: the one place that knows `WouldBlock` and
//! `Interrupted`.

use std::io::{self, Read, Write};

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
    /// The most bytes a service is handed at once, at least 1.
    pub recv_size: usize,
    /// The most bytes one system call reads, at least 1. Kept within the size of [`Scratch`].
    pub read_ahead: usize,
    /// How many bytes one client may move in one turn before it is the next one's turn. The last
    /// read or write may exceed it, by one read-ahead at most.
    pub budget: usize,
    /// When reading pauses and resumes.
    pub watermarks: Watermarks,
}

/// The buffers that all clients of a loop share, since one is served at a time.
#[derive(Debug)]
pub struct Scratch {
    /// What one system call read. Never empty.
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

/// What one call of [`pump`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pumped {
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes read and answered.
    pub read: usize,
    /// Bytes read and discarded, because the conversation is ending.
    pub discarded: usize,
    /// Bytes written.
    pub written: usize,
    /// Messages handed to the service.
    pub messages: u64,
}

/// How a call of [`pump`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing more can be done before an event or a deadline.
    Blocked,
    /// The conversation is over.
    Closed(CloseReason),
    /// The kernel is out of memory for this socket. No event will say when that has passed, so a
    /// deadline must.
    Starved,
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
pub fn pump<S: Stream>(
    stream: &mut S,
    readiness: &mut Readiness,
    connection: &mut Connection,
    scratch: &mut Scratch,
    limits: &Limits,
    serve: impl FnMut(&[u8], &mut Reply<'_>),
) -> Pumped {
    let done = Pumped {
        outcome: Outcome::Blocked,
        read: 0,
        discarded: 0,
        written: 0,
        messages: 0,
    };
    let mut pump = Pump {
        stream,
        readiness,
        connection,
        limits,
        done,
    };
    pump.done.outcome = pump.run(scratch, serve);
    pump.done
}

struct Pump<'a, S> {
    stream: &'a mut S,
    readiness: &'a mut Readiness,
    connection: &'a mut Connection,
    limits: &'a Limits,
    done: Pumped,
}

/// The kernel is out of memory for a socket.
struct Starved;

impl<S: Stream> Pump<'_, S> {
    fn run(
        &mut self,
        scratch: &mut Scratch,
        mut serve: impl FnMut(&[u8], &mut Reply<'_>),
    ) -> Outcome {
        let mut spent = 0;
        loop {
            let moved = if self.connection.wants_write() && self.readiness.is_writable() {
                self.flush()
            } else if self.connection.wants_shutdown() {
                self.shut()
            } else if let State::Closed(reason) = self.connection.state() {
                return Outcome::Closed(reason);
            } else if self.connection.wants_read() && self.readiness.is_readable() {
                self.read(scratch, &mut serve)
            } else {
                return Outcome::Blocked;
            };
            match moved {
                Ok(bytes) => spent += bytes,
                Err(Starved) => return Outcome::Starved,
            }
            if spent >= self.limits.budget && self.connection.is_runnable(*self.readiness) {
                return match self.connection.state() {
                    State::Closed(reason) => Outcome::Closed(reason),
                    _ => Outcome::Yielded,
                };
            }
        }
    }

    /// Writes from the unsent tail, once.
    fn flush(&mut self) -> Result<usize, Starved> {
        match write(self.stream, self.readiness, self.connection.unsent()) {
            Ok(count) => {
                self.done.written += count;
                self.connection.sent(count, self.limits.watermarks);
                Ok(count)
            }
            Err(error) => self.absorb(&error),
        }
    }

    fn shut(&mut self) -> Result<usize, Starved> {
        match self.stream.shutdown_write() {
            Ok(()) => {
                self.connection.shut();
                Ok(0)
            }
            Err(error) => self.absorb(&error),
        }
    }

    /// Reads once, and answers or discards what came.
    fn read(
        &mut self,
        scratch: &mut Scratch,
        serve: &mut impl FnMut(&[u8], &mut Reply<'_>),
    ) -> Result<usize, Starved> {
        let room = self.limits.read_ahead.clamp(1, scratch.input.len());
        let count = match retry(|| self.stream.read(&mut scratch.input[..room])) {
            Ok(0) => {
                self.connection.receive_eof();
                return Ok(0);
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readiness.read_blocked();
                return Ok(0);
            }
            Err(error) => return self.absorb(&error),
        };
        if count < room {
            self.readiness.read_short();
        }
        if !self.connection.is_open() {
            self.done.discarded += count;
            return Ok(count);
        }
        self.done.read += count;
        let mut reply = Reply::new(&scratch.input[..count], &mut scratch.output);
        self.done.messages += reply.serve(self.limits.recv_size, serve);
        self.send(reply.as_slice())?;
        if reply.is_hung_up() {
            self.connection.finish(CloseReason::HungUp);
        }
        Ok(count)
    }

    /// Sends a reply: straight from where it lies when nothing is queued before it, and only what
    /// the kernel did not take is kept.
    fn send(&mut self, mut reply: &[u8]) -> Result<(), Starved> {
        let mut starved = Ok(());
        while !reply.is_empty() && !self.connection.has_unsent() && self.readiness.is_writable() {
            match write(self.stream, self.readiness, reply) {
                Ok(count) => {
                    self.done.written += count;
                    reply = &reply[count..];
                }
                Err(error) => {
                    starved = self.absorb(&error).map(drop);
                    break;
                }
            }
        }
        self.connection.owe(reply, self.limits.watermarks);
        starved
    }

    /// Takes a peer's error as the end of its conversation, unless it will pass.
    fn absorb(&mut self, error: &io::Error) -> Result<usize, Starved> {
        if error.kind() == io::ErrorKind::OutOfMemory || error.raw_os_error() == Some(ENOBUFS) {
            return Err(Starved);
        }
        self.connection.close(CloseReason::Failed(error.kind()));
        Ok(0)
    }
}

/// Writes once and clears the latch as the outcome says. A full kernel buffer counts as 0 written.
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
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
