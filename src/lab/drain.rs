//! Reading until `WouldBlock`, or until a read is short.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream as Blocking;
use std::sync::Arc;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::counted::{Calls, Counted};
use super::limit::Limit;
use super::pairs::{Pair, pair};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::load::histogram;
use crate::reactor::{
    Event, Handler, Interest, Next, Reactor, Registry, Source, TcpStream, fixed_token,
};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "drain",
    question: "How many system calls does a message cost a server that reads until WouldBlock, and how many one \
that stops at a short read?",
    prediction: "3 against 2, polls apart: a read that brought less than there was room for has emptied the socket, \
so the read that would say WouldBlock says nothing new.",
    expected: &[
        Relation::AtLeast(Figure("until WouldBlock", "calls"), 2.8),
        Relation::Below(Figure("short read", "calls"), 2.2),
    ],
    explanation: "Under edge-triggered readiness a socket has to be emptied, or the next event never comes. On \
epoll and kqueue a short read proves that it is (mio#1611), as long as no end of file and no urgent data hides \
behind it: those are remembered, and read on for. The client waits here until the server has done with a message. \
One that is faster may have its next message found by the read that should have found nothing, which then saves a \
poll.",
    doubt: "Calls are counted, not timed: this can only come out otherwise if a message was split.",
    run,
};

const MESSAGES: u64 = 2_000;
const SIZE: usize = 64;

/// When a server stops reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    WouldBlock,
    ShortRead,
}

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    for (subject, until) in [
        ("until WouldBlock", Until::WouldBlock),
        ("short read", Until::ShortRead),
    ] {
        let Pair { client, server } = pair(limit)?;
        let calls = Arc::new(Calls::default());
        let stream = Counted::new(TcpStream::from_std(server), calls.clone());
        let mut lockstep = Lockstep::new(client, stream, until);
        let mut reactor = Reactor::new()?;
        lockstep
            .server
            .register(reactor.registry(), fixed_token(0), Interest::READABLE)?;
        limit.run(&mut reactor, &mut lockstep)?;
        lockstep.failed.map_or(Ok(()), Err)?;
        let each = |count: u64| count as f64 / MESSAGES as f64;
        let all = calls.reads() + calls.writes();
        measured.put(subject, "calls", each(all), Unit::PerMessage);
        measured.put(subject, "reads", each(calls.reads()), Unit::PerMessage);
        measured.put(subject, "writes", each(calls.writes()), Unit::PerMessage);
        let polls = each(reactor.turns().count);
        measured.put(subject, "polls", polls, Unit::PerMessage);
        let median = lockstep.times.value_at_quantile(0.5) as f64;
        measured.put(subject, "median", median, Unit::Nanoseconds);
    }
    Ok(measured)
}

/// A client that sends a message once the server has done with the one before, and that server.
struct Lockstep {
    client: Blocking,
    server: Counted<TcpStream>,
    until: Until,
    readable: bool,
    /// When the message under way was sent, if one is.
    sent_at: Option<Instant>,
    answered: u64,
    /// From when a message was sent until the server had done with it.
    times: Histogram<u64>,
    failed: Option<io::Error>,
}

impl Lockstep {
    fn new(client: Blocking, server: Counted<TcpStream>, until: Until) -> Self {
        Self {
            client,
            server,
            until,
            readable: false,
            sent_at: None,
            answered: 0,
            times: histogram(),
            failed: None,
        }
    }

    fn step(&mut self) -> io::Result<()> {
        if let Some(sent_at) = self.sent_at {
            // A turn without an event has nothing to do.
            if !std::mem::take(&mut self.readable) {
                return Ok(());
            }
            let served = self.serve()?;
            self.times += sent_at.elapsed().as_nanos() as u64;
            self.client.read_exact(&mut vec![0; served])?;
            self.answered += 1;
        }
        if self.answered < MESSAGES {
            self.sent_at = Some(Instant::now());
            self.client.write_all(&[b'm'; SIZE])?;
        }
        Ok(())
    }

    /// Answers what is there, and returns how much that was.
    fn serve(&mut self) -> io::Result<usize> {
        let mut room = [0; 1024];
        let mut served = 0;
        loop {
            match self.server.read(&mut room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.server.write_all(&room[..count])?;
                    served += count;
                    if count < room.len() && self.until == Until::ShortRead {
                        return Ok(served);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(served),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Handler for Lockstep {
    fn ready(&mut self, event: &Event) {
        self.readable |= event.readiness().is_readable();
    }

    fn turn(&mut self, _: &Registry, _: Instant) -> Next {
        if let Err(error) = self.step() {
            self.failed = Some(error);
            return Next::Stop;
        }
        if self.answered == MESSAGES {
            return Next::Stop;
        }
        Next::Wait(None)
    }
}
