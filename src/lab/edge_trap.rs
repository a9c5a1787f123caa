//! One read for each edge, and the wait for an event that does not come.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use super::limit::Limit;
use super::pairs::{Pair, pair};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::reactor::{
    Event, Handler, Interest, Next, Reactor, Registry, Source, TcpStream, fixed_token,
};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "edge-trap",
    question: "What happens if a server reads once for each edge-triggered event, and more was there?",
    prediction: "It hangs: 4 096 bytes arrive as one event, one read takes 1 024, and no event tells of the other \
3 072, because nothing has changed. A watchdog finds the silence. Drained, all are answered.",
    expected: &[
        Relation::Is(Figure("one read an event", "hangs"), 1.0),
        Relation::Is(Figure("one read an event", "answered"), 1024.0),
        Relation::Is(Figure("one read an event", "left behind"), 3072.0),
        Relation::Is(Figure("drained", "hangs"), 0.0),
        Relation::Is(Figure("drained", "answered"), 4096.0),
    ],
    explanation: "An edge is a change, not a state: epoll with EPOLLET, and so mio, tells that something has \
arrived, once. Who leaves something behind has to come back for it unasked (mio#1076). Another message would be \
such a change, and free another 1 024 bytes: a server with this mistake is behind for ever rather than stuck, as \
long as somebody talks. Here everything ready stays on a list until a system call has proved that it is not.",
    doubt: "The bytes have to arrive at once to be one event; if they did not, each part was one.",
    run,
};

const SIZE: usize = 4096;

/// What a read takes.
const ROOM: usize = 1024;

/// How long nothing happens before the watchdog says that nothing will.
const SILENCE: Duration = Duration::from_millis(300);

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    for (subject, drains) in [("one read an event", false), ("drained", true)] {
        let Pair { mut client, server } = pair(limit)?;
        client.write_all(&[b'm'; SIZE])?;
        let mut trap = Trap::new(TcpStream::from_std(server), drains);
        let mut reactor = Reactor::new()?;
        // Not before everything is there, so that it is one event.
        trap.stream
            .register(reactor.registry(), fixed_token(0), Interest::READABLE)?;
        limit.run(&mut reactor, &mut trap)?;
        trap.failed.map_or(Ok(()), Err)?;
        let mut left = 0;
        while left + trap.answered < SIZE {
            left += trap.stream.read(&mut [0; SIZE])?;
        }
        measured.put(subject, "hangs", f64::from(trap.hangs), Unit::Count);
        measured.put(subject, "events", f64::from(trap.events), Unit::Count);
        measured.put(subject, "answered", trap.answered as f64, Unit::Bytes);
        measured.put(subject, "left behind", left as f64, Unit::Bytes);
    }
    Ok(measured)
}

/// A server that may drain its socket, and a watchdog that may find it silent.
struct Trap {
    stream: TcpStream,
    drains: bool,
    readable: bool,
    events: u32,
    answered: usize,
    hangs: bool,
    /// Since when it has waited without an event.
    waiting_since: Option<Instant>,
    failed: Option<io::Error>,
}

impl Trap {
    fn new(stream: TcpStream, drains: bool) -> Self {
        Self {
            stream,
            drains,
            readable: false,
            events: 0,
            answered: 0,
            hangs: false,
            waiting_since: None,
            failed: None,
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        while self.readable {
            self.readable = self.drains;
            let mut room = [0; ROOM];
            match self.stream.read(&mut room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.stream.write_all(&room[..count])?;
                    self.answered += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Handler for Trap {
    fn ready(&mut self, event: &Event) {
        self.readable |= event.readiness().is_readable();
        self.events += 1;
        self.waiting_since = None;
    }

    fn turn(&mut self, _: &Registry, now: Instant) -> Next {
        if let Err(error) = self.serve() {
            self.failed = Some(error);
            return Next::Stop;
        }
        if self.answered == SIZE {
            return Next::Stop;
        }
        // Counted from a turn behind which there is a poll, so that what has happened is never taken for silence.
        let silent_at = *self.waiting_since.get_or_insert(now) + SILENCE;
        self.hangs = now >= silent_at;
        if self.hangs {
            return Next::Stop;
        }
        Next::until(Some(silent_at), now)
    }
}
