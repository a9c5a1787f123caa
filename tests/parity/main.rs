//! The modelled kernel beside the one this runs on: they must tell the same of the same.
//!
//! Simulations are worth what their model is. Each row is a situation, played step by step on both; what one is told of
//! at every step must be what the other is told of, and what the row says. Linux, whose edges these are.

#![cfg(all(target_os = "linux", not(mio_unsupported_force_poll_poll)))]
#![allow(clippy::unwrap_used)]

mod datagrams;
mod doors;
#[path = "../support/mod.rs"]
mod support;

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use echoloop::connection::{Readiness, Stream};
use echoloop::reactor::{Accept, Event, Source, stream_interests};
use mio::{Poll, Token};
use rustix::event::{PollFd, PollFlags};
use socket2::SockRef;

use support::kernel::Kernel;
use support::machine::{Door, End, Hall, Machine, Wire};

/// Longer than anything takes that is going to happen.
const NEVER: Duration = Duration::from_secs(20);

/// How long is waited for an event that must not come.
const QUIET: Duration = Duration::from_millis(20);

/// What a peer or a server does next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The server has the connection watched.
    Register,
    /// The peer sends so many bytes.
    Sends(usize),
    Ends,
    Resets,
    /// The peer takes everything that it was sent.
    Takes,
    /// The server reads, with room for so many bytes.
    Read(usize),
    /// The server writes so many bytes.
    Write(usize),
    /// The server writes until it would block.
    Fill,
    Shut,
    /// The server has the connection watched anew.
    Rearm,
    Poll,
}

use Step::{
    Ends, Fill, Poll as Look, Read as Reads, Rearm, Register, Resets, Sends, Shut, Takes,
    Write as Writes,
};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Done,
    Moved(usize),
    Failed(ErrorKind),
    Nothing,
    /// Readable, writable, and whether the peer's end or a failure was told of.
    Ready(bool, bool, bool),
}

use Told::{Done, Failed, Moved, Nothing, Ready};

fn told(seen: Readiness) -> Told {
    let mut end = seen;
    end.read_short();
    Ready(seen.is_readable(), seen.is_writable(), end.is_readable())
}

fn moved(outcome: io::Result<usize>) -> Told {
    outcome.map_or_else(|error| Failed(error.kind()), Moved)
}

/// A connection on the model.
struct Modelled {
    wire: Rc<Wire>,
    end: End,
    poll: Poll,
}

impl Modelled {
    fn new() -> Self {
        let machine = Rc::new(machine(usize::MAX));
        let hall = Hall::new(machine.clone());
        let wire = Rc::new(Wire::new(Kernel::new(1000, 1000), machine));
        let door = Door(hall.clone());
        hall.enter(wire.clone(), ([127, 0, 0, 1], 1).into());
        let (end, _) = door.accept().unwrap();
        let poll = Poll::new().unwrap();
        Self { wire, end, poll }
    }

    fn play(&mut self, step: Step) -> Told {
        let kernel = &self.wire.kernel;
        match step {
            Register => {
                let registry = self.poll.registry();
                self.end
                    .register(registry, Token(0), stream_interests())
                    .unwrap();
            }
            Sends(count) => kernel.borrow_mut().peer_sends(count),
            Ends => kernel.borrow_mut().peer_ends(),
            Resets => kernel.borrow_mut().peer_resets(),
            Takes => kernel.borrow_mut().peer_receives(usize::MAX),
            Reads(room) => return moved(self.end.read(&mut vec![0; room])),
            Writes(count) => return moved(self.end.write(&vec![7; count])),
            Fill => while self.end.write(&[7; 64]).is_ok() {},
            Shut => self.end.shutdown_write().unwrap(),
            Rearm => kernel.borrow_mut().rearm(),
            Look => {
                return self
                    .wire
                    .event()
                    .map_or(Nothing, |event| told(event.readiness()));
            }
        }
        Done
    }
}

fn machine(limit: usize) -> Machine {
    Machine {
        used: Cell::new(0),
        limit: Cell::new(limit),
        calls: Cell::new(0),
        unwatched: Cell::new(false),
    }
}

/// A connection of this machine.
struct Real {
    poll: Poll,
    stream: mio::net::TcpStream,
    peer: Option<TcpStream>,
    written: usize,
}

impl Real {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        Self {
            poll: Poll::new().unwrap(),
            stream: mio::net::TcpStream::from_std(stream),
            peer: Some(peer),
            written: 0,
        }
    }

    /// Plays a step that the model says will end as `expected`.
    fn play(&mut self, step: Step, expected: Told) -> Told {
        let registry = self.poll.registry();
        match step {
            Register => registry
                .register(&mut self.stream, Token(0), stream_interests())
                .unwrap(),
            Rearm => registry
                .reregister(&mut self.stream, Token(0), stream_interests())
                .unwrap(),
            Sends(count) => {
                let before = self.unread();
                self.peer
                    .as_mut()
                    .unwrap()
                    .write_all(&vec![1; count])
                    .unwrap();
                self.wait_until(|real| real.unread() == before + count);
            }
            Ends => {
                self.peer
                    .as_ref()
                    .unwrap()
                    .shutdown(Shutdown::Write)
                    .unwrap();
                self.wait_until(|real| real.level().contains(PollFlags::RDHUP));
            }
            Resets => {
                let peer = self.peer.take().unwrap();
                SockRef::from(&peer)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
                drop(peer);
                self.wait_until(|real| real.level().contains(PollFlags::HUP));
            }
            Takes => {
                let mut taken = vec![0; std::mem::take(&mut self.written)];
                self.peer.as_mut().unwrap().read_exact(&mut taken).unwrap();
            }
            Reads(room) => return moved(self.stream.read(&mut vec![0; room])),
            Writes(count) => {
                let outcome = self.stream.write(&vec![7; count]);
                self.written += *outcome.as_ref().unwrap_or(&0);
                return moved(outcome);
            }
            Fill => {
                while let Ok(count) = self.stream.write(&[7; 4096]) {
                    self.written += count;
                }
            }
            Shut => self.stream.shutdown(Shutdown::Write).unwrap(),
            Look => return look(&mut self.poll, expected != Nothing).map_or(Nothing, told),
        }
        Done
    }

    fn unread(&self) -> usize {
        rustix::io::ioctl_fionread(&self.stream).unwrap() as usize
    }

    /// What a level-triggered poll says, which takes no edge away.
    fn level(&self) -> PollFlags {
        level(&self.stream)
    }

    fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        until(|| condition(self));
    }
}

/// What is sent is there by the time the call that sends it returns, as good as always.
fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < NEVER, "it never came");
        std::thread::yield_now();
    }
}

/// One test takes descriptors away from all others.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn level(socket: &impl AsFd) -> PollFlags {
    let interests = PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP;
    let mut sockets = [PollFd::new(socket, interests)];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut sockets, Some(&now)).unwrap();
    sockets[0].revents()
}

/// What the next poll brings, or that it brings nothing.
fn look(poll: &mut Poll, expected: bool) -> Option<Readiness> {
    let mut events = mio::Events::with_capacity(8);
    let timeout = if expected { NEVER } else { QUIET };
    poll.poll(&mut events, Some(timeout)).unwrap();
    let mut events = events.iter().map(|event| Event::from(event).readiness());
    let first = events.next();
    assert!(events.next().is_none(), "one source, one event");
    first
}

/// Plays a row on both, and returns what both were told.
fn row(name: &str, steps: &[(Step, Told)]) {
    let _alone = alone();
    let (mut model, mut real) = (Modelled::new(), Real::new());
    for (index, &(step, expected)) in steps.iter().enumerate() {
        let modelled = model.play(step);
        assert_eq!(
            modelled, expected,
            "{name}, step {index}, {step:?}: the model"
        );
        let measured = real.play(step, expected);
        assert_eq!(
            measured, expected,
            "{name}, step {index}, {step:?}: this kernel"
        );
    }
}

const START: (Step, Told) = (Register, Done);
/// The state of a fresh connection, which registering reports.
const ROOM: (Step, Told) = (Look, Ready(false, true, false));
const QUIET_NOW: (Step, Told) = (Look, Nothing);
const BLOCKED: Told = Failed(ErrorKind::WouldBlock);

#[test]
fn an_end_behind_data_is_one_edge() {
    row(
        "data and an end before the first poll",
        &[
            START,
            (Sends(3), Done),
            (Ends, Done),
            (Look, Ready(true, true, true)),
            (Reads(1024), Moved(3)),
            QUIET_NOW,
            (Reads(1024), Moved(0)),
        ],
    );
    row(
        "a short read, then an end",
        &[
            START,
            (Sends(3), Done),
            (Look, Ready(true, true, false)),
            (Reads(1024), Moved(3)),
            (Ends, Done),
            (Look, Ready(true, true, true)),
            (Reads(1024), Moved(0)),
        ],
    );
    row(
        "registered when it has ended already",
        &[
            (Sends(3), Done),
            (Ends, Done),
            START,
            (Look, Ready(true, true, true)),
            (Reads(1024), Moved(3)),
            (Reads(1024), Moved(0)),
        ],
    );
}

#[test]
fn what_is_left_unread_raises_no_edge() {
    row(
        "three bytes of ten",
        &[
            START,
            (Sends(10), Done),
            (Look, Ready(true, true, false)),
            (Reads(3), Moved(3)),
            QUIET_NOW,
            (Sends(1), Done),
            (Look, Ready(true, true, false)),
            (Reads(1024), Moved(8)),
            (Reads(1024), BLOCKED),
        ],
    );
    row(
        "watched anew, it is told of again",
        &[
            START,
            (Sends(10), Done),
            (Look, Ready(true, true, false)),
            (Reads(3), Moved(3)),
            QUIET_NOW,
            (Rearm, Done),
            (Look, Ready(true, true, false)),
            QUIET_NOW,
        ],
    );
}

#[test]
fn what_came_before_a_reset_can_be_read() {
    row(
        "a reset with data unread",
        &[
            START,
            ROOM,
            (Sends(5), Done),
            (Resets, Done),
            (Look, Ready(true, true, true)),
            (Reads(1024), Moved(5)),
            (Reads(1024), Failed(ErrorKind::ConnectionReset)),
            (Writes(1), Failed(ErrorKind::BrokenPipe)),
            QUIET_NOW,
        ],
    );
}

#[test]
fn room_raises_one_edge_and_only_where_there_was_none() {
    row(
        "a full buffer that is emptied",
        &[
            START,
            ROOM,
            (Fill, Done),
            QUIET_NOW,
            (Takes, Done),
            (Look, Ready(false, true, false)),
            QUIET_NOW,
        ],
    );
    row(
        "a write that found room",
        &[
            START,
            ROOM,
            (Writes(10), Moved(10)),
            (Takes, Done),
            QUIET_NOW,
        ],
    );
}

#[test]
fn shutting_our_side_is_told_as_room() {
    row(
        "ours alone",
        &[
            START,
            ROOM,
            (Shut, Done),
            (Look, Ready(false, true, false)),
            // Its acknowledgement, which comes some time, may be another edge.
        ],
    );
    row(
        "behind theirs",
        &[
            START,
            ROOM,
            (Ends, Done),
            (Look, Ready(true, true, true)),
            (Shut, Done),
            (Look, Ready(true, true, true)),
            (Reads(1024), Moved(0)),
            QUIET_NOW,
        ],
    );
}

/// Why no connection is ever duplicated: what is registered is not the descriptor but what it stands for, and dropping one of
/// two does not end it. The model knows no duplicates.
#[test]
fn a_duplicate_keeps_a_dead_registration_alive() {
    let _alone = alone();
    let Real {
        mut poll,
        mut stream,
        peer,
        ..
    } = Real::new();
    poll.registry()
        .register(&mut stream, Token(0), stream_interests())
        .unwrap();
    look(&mut poll, true);
    let duplicate = stream.as_fd().try_clone_to_owned().unwrap();
    drop(stream);
    peer.unwrap().write_all(b"boo").unwrap();
    assert!(look(&mut poll, true).is_some());
    drop(duplicate);
}
