//! The same traffic with level-triggered and with edge-triggered readiness.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::limit::Limit;
use super::pairs::{Pair, pair};
use super::{Experiment, Figure, Measured, Relation, Unit};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "level-vs-edge",
    question: "How often does the kernel wake a loop for the same traffic, level-triggered and edge-triggered, and \
what if the wish to write is left on?",
    prediction: "A message of 4 096 bytes, read 1 024 at a time: 4 wake-ups level-triggered, 1 edge-triggered. With \
WRITABLE left on and nothing to write, the level-triggered loop spins, because a socket nearly always has room; \
the edge-triggered one is woken once.",
    expected: &[
        Relation::Is(Figure("level", "wake-ups"), 4.0),
        Relation::Is(Figure("edge", "wake-ups"), 1.0),
        Relation::Is(Figure("level", "when idle"), 0.0),
        Relation::AtLeast(Figure("level, WRITABLE on", "when idle"), 100.0),
        Relation::Is(Figure("edge, WRITABLE on", "when idle"), 1.0),
    ],
    explanation: "Level-triggered readiness is a state, told by every poll for as long as it lasts: nothing can be \
forgotten, and one read a wake-up is right. In return, interests have to be changed whenever the wish changes, a \
system call each time, or the loop spins. Edge-triggered readiness is told once: a socket is registered for both \
directions once and for all, and has to be drained (see edge-trap). mio knows edges only, so this uses epoll itself. \
Idle means 100 ms in which nothing is sent.",
    doubt: "A message that arrived in parts takes a wake-up for each part.",
    run,
};

const MESSAGES: u32 = 200;
const SIZE: usize = 4096;
const ROOM: usize = 1024;
const IDLE: Duration = Duration::from_millis(100);

fn run(limit: &Limit) -> io::Result<Measured> {
    let (input, output, edge) = (EventFlags::IN, EventFlags::OUT, EventFlags::ET);
    let mut measured = Measured::default();
    for (subject, flags) in [
        ("level", input),
        ("edge", input | edge),
        ("level, WRITABLE on", input | output),
        ("edge, WRITABLE on", input | output | edge),
    ] {
        let mut watched = Watched::new(pair(limit)?, flags)?;
        // The other two are woken by their wish as well, which is measured where nothing else wakes them.
        if !flags.contains(output) {
            watched.talk(limit)?;
            let each = |count: u64| count as f64 / f64::from(MESSAGES);
            measured.put(
                subject,
                "wake-ups",
                each(watched.wake_ups),
                Unit::PerMessage,
            );
            measured.put(subject, "reads", each(watched.reads), Unit::PerMessage);
        }
        let (wake_ups, cpu) = watched.rest()?;
        measured.put(subject, "when idle", wake_ups as f64, Unit::Count);
        let cpu = cpu.as_nanos() as f64;
        measured.put(subject, "idle cpu", cpu, Unit::Nanoseconds);
    }
    Ok(measured)
}

/// A connection of which the answering end is watched by an epoll of its own.
struct Watched {
    pair: Pair,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    drains: bool,
    wake_ups: u64,
    reads: u64,
}

impl Watched {
    fn new(pair: Pair, flags: EventFlags) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &pair.server, EventData::new_u64(0), flags)?;
        Ok(Self {
            pair,
            epoll,
            events: Vec::with_capacity(8),
            drains: flags.contains(EventFlags::ET),
            wake_ups: 0,
            reads: 0,
        })
    }

    /// Exchanges all messages, each when the one before has been answered.
    fn talk(&mut self, limit: &Limit) -> io::Result<()> {
        for _ in 0..MESSAGES {
            self.pair.client.write_all(&[b'm'; SIZE])?;
            let mut answered = 0;
            while answered < SIZE {
                if !wait(&self.epoll, &mut self.events, limit.left()?)? {
                    return Err(ErrorKind::TimedOut.into());
                }
                self.wake_ups += 1;
                answered += self.serve()?;
            }
            self.pair.client.read_exact(&mut [0; SIZE])?;
        }
        Ok(())
    }

    /// Answers what one wake-up has told of: all of it, or as much as one read takes.
    fn serve(&mut self) -> io::Result<usize> {
        let mut answered = 0;
        loop {
            let mut room = [0; ROOM];
            self.reads += 1;
            match self.pair.server.read(&mut room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.pair.server.write_all(&room[..count])?;
                    answered += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answered),
                Err(error) => return Err(error),
            }
            if !self.drains {
                return Ok(answered);
            }
        }
    }

    /// How often it is woken while nothing happens, and how much of a core that takes.
    fn rest(&mut self) -> io::Result<(u64, Duration)> {
        let (end, before) = (Instant::now() + IDLE, own_cpu());
        let mut wake_ups = 0;
        loop {
            // Asked once at least, however late it is.
            let left = end.saturating_duration_since(Instant::now());
            wake_ups += u64::from(wait(&self.epoll, &mut self.events, left)?);
            if left.is_zero() {
                return Ok((wake_ups, own_cpu().saturating_sub(before)));
            }
        }
    }
}

/// Waits for events. Whether there were any.
pub(super) fn wait(
    epoll: impl AsFd,
    events: &mut Vec<epoll::Event>,
    timeout: Duration,
) -> io::Result<bool> {
    events.clear();
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    match epoll::wait(epoll, spare_capacity(events), Some(&timeout)) {
        Err(rustix::io::Errno::INTR) => Ok(false),
        outcome => Ok(outcome? > 0),
    }
}

/// How long the calling thread has had a core.
fn own_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.max(0) as u64, used.tv_nsec.max(0) as u32)
}
