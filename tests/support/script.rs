//! A stream that does what a list says, and a connection that is pumped over it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};

use echoloop::connection::{DEFERRED_MAX, Limits, Outcome, Peer, Pump, Stream, Tally, Watermarks};
use echoloop::service::Echo;
use echoloop::{ClientId, Service};

/// Outcomes of reads and writes, in order, a queue for each direction. An empty queue would block.
/// What a read has no room for is left for the next.
#[derive(Debug, Default)]
pub struct Script {
    reads: VecDeque<ReadStep>,
    writes: VecDeque<WriteStep>,
    /// Everything written.
    pub written: Vec<u8>,
    /// Calls made, by kind.
    pub read_calls: usize,
    pub write_calls: usize,
    /// How often the sending side was shut.
    pub shutdowns: usize,
}

#[derive(Debug)]
enum ReadStep {
    Bytes(Vec<u8>),
    Eof,
    Fail(ErrorKind),
    Errno(i32),
    Proof,
}

#[derive(Debug)]
enum WriteStep {
    /// Takes at most so many bytes.
    Take(usize),
    Fail(ErrorKind),
    Errno(i32),
    Proof,
}

/// Whether a move that was short says that the next would block. Otherwise one that does is played, and not counted.
const SHORT_IS_PROOF: bool = cfg!(all(unix, not(mio_unsupported_force_poll_poll)));

impl Script {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn read(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.reads
            .push_back(ReadStep::Bytes(bytes.as_ref().to_vec()));
        self
    }

    /// The read before, which was short, has left nothing.
    pub fn drained(mut self) -> Self {
        if !SHORT_IS_PROOF {
            self.reads.push_back(ReadStep::Proof);
        }
        self
    }

    pub fn eof(mut self) -> Self {
        self.reads.push_back(ReadStep::Eof);
        self
    }

    pub fn read_fails(mut self, kind: ErrorKind) -> Self {
        self.reads.push_back(ReadStep::Fail(kind));
        self
    }

    pub fn read_errno(mut self, errno: i32) -> Self {
        self.reads.push_back(ReadStep::Errno(errno));
        self
    }

    pub fn take(mut self, count: usize) -> Self {
        self.writes.push_back(WriteStep::Take(count));
        self
    }

    /// The write before, which was short, has left no room.
    pub fn full(mut self) -> Self {
        if !SHORT_IS_PROOF {
            self.writes.push_back(WriteStep::Proof);
        }
        self
    }

    pub fn write_fails(mut self, kind: ErrorKind) -> Self {
        self.writes.push_back(WriteStep::Fail(kind));
        self
    }

    pub fn write_errno(mut self, errno: i32) -> Self {
        self.writes.push_back(WriteStep::Errno(errno));
        self
    }

    /// The next write takes so many bytes, if it would have blocked.
    pub fn make_room(&mut self, count: usize) {
        if self.writes.is_empty() {
            self.writes.push_back(WriteStep::Take(count));
        }
    }

    /// Whether every step has been played.
    pub fn is_finished(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty()
    }
}

impl Read for Script {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        assert!(
            !room.is_empty(),
            "a read into no room can't tell an end of file"
        );
        self.read_calls += 1;
        match self.reads.pop_front() {
            None => Err(ErrorKind::WouldBlock.into()),
            Some(ReadStep::Proof) => {
                self.read_calls -= 1;
                Err(ErrorKind::WouldBlock.into())
            }
            Some(ReadStep::Eof) => Ok(0),
            Some(ReadStep::Fail(kind)) => Err(kind.into()),
            Some(ReadStep::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(ReadStep::Bytes(mut bytes)) => {
                let count = bytes.len().min(room.len());
                room[..count].copy_from_slice(&bytes[..count]);
                bytes.drain(..count);
                if !bytes.is_empty() {
                    self.reads.push_front(ReadStep::Bytes(bytes));
                }
                Ok(count)
            }
        }
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "an empty write does nothing");
        self.write_calls += 1;
        match self.writes.pop_front() {
            None => Err(ErrorKind::WouldBlock.into()),
            Some(WriteStep::Proof) => {
                self.write_calls -= 1;
                Err(ErrorKind::WouldBlock.into())
            }
            Some(WriteStep::Fail(kind)) => Err(kind.into()),
            Some(WriteStep::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(WriteStep::Take(most)) => {
                let count = most.min(bytes.len());
                self.written.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Script {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdowns += 1;
        Ok(())
    }
}

/// A peer that is pumped, by an echo service unless told otherwise.
#[derive(Debug)]
pub struct Pumping<S> {
    pub peer: Peer<S>,
    pub limits: Limits,
    pump: Pump,
}

/// What one call of the pump did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pumped {
    pub outcome: Outcome,
    pub read: usize,
    pub discarded: usize,
    pub written: usize,
    pub messages: usize,
    pub pauses: usize,
}

impl<S: Stream> Pumping<S> {
    pub fn new(stream: S) -> Self {
        let watermarks = Watermarks { high: 64, low: 16 };
        let (recv_size, read_ahead) = (8.try_into().unwrap(), 16.try_into().unwrap());
        let limits = Limits {
            recv_size,
            read_ahead,
            budget: 1024,
            deferred: DEFERRED_MAX,
            watermarks,
        };
        Self::with_limits(stream, limits)
    }

    pub fn with_limits(stream: S, limits: Limits) -> Self {
        Self {
            peer: Peer::new(stream),
            limits,
            pump: Pump::new(limits),
        }
    }

    /// The same with other limits. Nothing may have been moved yet.
    pub fn limited(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        Self::with_limits(self.peer.stream, limits)
    }

    /// Pumps once, echoing.
    pub fn pump(&mut self) -> Pumped {
        self.serve(&mut Echo)
    }

    /// Latches readable, then pumps once.
    pub fn readable(&mut self) -> Pumped {
        self.peer.readiness.latch_readable();
        self.pump()
    }

    /// Latches writable, then pumps once.
    pub fn writable(&mut self) -> Pumped {
        self.peer.readiness.latch_writable();
        self.pump()
    }

    /// Pumps once with a service of the test's.
    pub fn serve(&mut self, service: &mut impl Service) -> Pumped {
        let (before, owed) = (self.pump.tally().clone(), self.peer.connection.unsent_len());
        let outcome = self.pump.run(&mut self.peer, |message, reply| {
            service.receive(ClientId::new(0), message, reply)
        });
        self.assert_armed(outcome);
        let since = |of: fn(&Tally) -> u64| (of(self.pump.tally()) - of(&before)) as usize;
        assert_eq!(
            owed + since(|tally| tally.kept_bytes),
            self.peer.connection.unsent_len() + since(|tally| tally.caught_up_bytes),
            "what is kept is owed until it is written"
        );
        Pumped {
            outcome,
            read: since(|tally| tally.received_bytes),
            discarded: since(|tally| tally.discarded_bytes),
            written: since(|tally| tally.sent_bytes),
            messages: since(|tally| tally.messages),
            pauses: since(|tally| tally.pauses),
        }
    }

    /// The arming invariant: whoever is not over, yielded or starved waits for an event in a
    /// direction it needs, so that the kernel will bring it back.
    #[track_caller]
    fn assert_armed(&self, outcome: Outcome) {
        let (connection, readiness) = (&self.peer.connection, self.peer.readiness);
        match outcome {
            Outcome::Closed(_) => assert!(connection.is_closed()),
            Outcome::Starved => {}
            Outcome::Yielded => assert!(
                connection.is_runnable(readiness),
                "yielded with nothing to do"
            ),
            Outcome::Blocked | Outcome::Waiting | Outcome::WaitingBulk => {
                assert_eq!(outcome != Outcome::Blocked, connection.keeps_up());
                assert!(
                    !connection.is_runnable(readiness),
                    "blocked with something to do: {connection:?}"
                );
                let awaits_input = connection.wants_read() && !readiness.is_readable();
                let awaits_room = connection.wants_write() && !readiness.is_writable();
                // Those that were promised come of themselves.
                let awaits_answers = connection.deferred() > 0;
                assert!(
                    awaits_input || awaits_room || awaits_answers,
                    "waits for nothing: {connection:?}"
                );
            }
        }
    }
}
