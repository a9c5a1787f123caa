//! What those who say nothing cost those who do.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

use hdrhistogram::Histogram;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::level_vs_edge::wait;
use super::limit::Limit;
use super::pairs::{Pair, affordable, pairs};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::load::histogram;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "idle-cost",
    question: "What does a message cost if most connections are silent, with epoll and with poll(2)?",
    prediction: "With epoll the same however many are silent; with poll(2) more for each of them, because every call \
hands over the whole list, and both the kernel and the program walk through it: at least five times as much as \
with epoll.",
    expected: &[
        Relation::Times(
            Figure("poll(2), most idle", "median"),
            5.0,
            Figure("epoll, most idle", "median"),
        ),
        Relation::Times(
            Figure("epoll, none idle", "median"),
            0.4,
            Figure("epoll, most idle", "median"),
        ),
        Relation::Times(
            Figure("poll(2), most idle", "median"),
            3.0,
            Figure("poll(2), none idle", "median"),
        ),
    ],
    explanation: "epoll keeps the list in the kernel, and a socket that becomes ready puts itself on a second list, \
which is all that a wait looks at. The 100 active connections send one message each, one after the other: each takes \
one wait, one read and one write. If all were ready at once, poll(2) would walk through its list once for all of \
them, and be nearly as good: it is the silent that make it dear.",
    doubt: "With few descriptors allowed (see the column idle) the list is short; on a busy machine caches are cold \
for both.",
    run,
};

const ACTIVE: usize = 100;
const IDLE_SOME: usize = 1_000;
const IDLE_MOST: usize = 5_000;
const ROUNDS: usize = 10;
const SIZE: usize = 64;

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    for (idle, epoll, poll) in [
        (0, "epoll, none idle", "poll(2), none idle"),
        (IDLE_SOME, "epoll, some idle", "poll(2), some idle"),
        (IDLE_MOST, "epoll, most idle", "poll(2), most idle"),
    ] {
        let all = pairs(affordable(ACTIVE + idle, ACTIVE)?, limit)?;
        let (active, rest) = all.split_at(ACTIVE);
        for (subject, times) in [
            (epoll, talk(active, &mut Epoll::new(&all)?, limit)?),
            (poll, talk(active, &mut Poll::new(&all), limit)?),
        ] {
            measured.put(subject, "idle", rest.len() as f64, Unit::Count);
            let quantile = |q| times.value_at_quantile(q) as f64;
            measured.put(subject, "median", quantile(0.5), Unit::Nanoseconds);
            measured.put(subject, "p99", quantile(0.99), Unit::Nanoseconds);
        }
    }
    Ok(measured)
}

/// What tells which connections have something to read.
trait Waiting {
    /// Waits, and hands over the places of those that are ready.
    fn wait(&mut self, limit: &Limit, ready: &mut Vec<usize>) -> io::Result<()>;
}

struct Epoll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Epoll {
    fn new(pairs: &[Pair]) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (place, pair) in pairs.iter().enumerate() {
            let place = EventData::new_u64(place as u64);
            epoll::add(&epoll, &pair.server, place, EventFlags::IN)?;
        }
        Ok(Self {
            epoll,
            events: Vec::with_capacity(1024),
        })
    }
}

impl Waiting for Epoll {
    fn wait(&mut self, limit: &Limit, ready: &mut Vec<usize>) -> io::Result<()> {
        wait(&self.epoll, &mut self.events, limit.left()?)?;
        ready.extend(self.events.iter().map(|event| event.data.u64() as usize));
        Ok(())
    }
}

struct Poll<'a>(Vec<PollFd<'a>>);

impl<'a> Poll<'a> {
    fn new(pairs: &'a [Pair]) -> Self {
        let sockets = pairs.iter().map(|pair| &pair.server);
        Self(
            sockets
                .map(|socket| PollFd::new(socket, PollFlags::IN))
                .collect(),
        )
    }
}

impl Waiting for Poll<'_> {
    fn wait(&mut self, limit: &Limit, ready: &mut Vec<usize>) -> io::Result<()> {
        let timeout = Timespec::try_from(limit.left()?).map_err(io::Error::other)?;
        match poll(&mut self.0, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            outcome => outcome?,
        };
        let sockets = self.0.iter().enumerate();
        let told = sockets.filter(|(_, socket)| !socket.revents().is_empty());
        ready.extend(told.map(|(place, _)| place));
        Ok(())
    }
}

/// Has each of the connections send a message when the one before has been answered. How long the server took for
/// each, waiting and all.
fn talk(active: &[Pair], waiting: &mut impl Waiting, limit: &Limit) -> io::Result<Histogram<u64>> {
    let mut times = histogram();
    let mut ready = Vec::new();
    for pair in (0..ROUNDS).flat_map(|_| active) {
        (&pair.client).write_all(&[b'm'; SIZE])?;
        let start = Instant::now();
        while ready.is_empty() {
            waiting.wait(limit, &mut ready)?;
        }
        for place in ready.drain(..) {
            let mut socket = &active.get(place).ok_or(ErrorKind::InvalidData)?.server;
            let mut room = [0; 1024];
            let count = socket.read(&mut room)?;
            socket.write_all(&room[..count])?;
        }
        times += start.elapsed().as_nanos() as u64;
        (&pair.client).read_exact(&mut [0; SIZE])?;
    }
    Ok(times)
}
