//! A machine that is not there: connections, those who wait at a listener, descriptors, and what fails.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use super::kernel::Kernel;
use super::post::Post;
use echoloop::connection::{Readiness, Stream};
use echoloop::reactor::{Accept, Event, Interest, Net, Registry, Source, Token};

/// How many may wait at a listener.
const BACKLOG: usize = 100;

const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// What all sockets of it share.
#[derive(Debug)]
pub struct Machine {
    /// Descriptors in use, and how many there may be.
    pub used: Cell<usize>,
    pub limit: Cell<usize>,
    /// Calls made so far: whether the server is doing anything.
    pub calls: Cell<u64>,
    /// The next socket can't be watched.
    pub unwatched: Cell<bool>,
}

impl Machine {
    pub fn called(&self) {
        self.calls.set(self.calls.get() + 1);
    }
}

/// The sockets of such a machine.
#[derive(Debug)]
pub enum Model {}

impl Net for Model {
    type Stream = End;
    type Listener = Door;
    type Datagrams = Post;
}

/// A connection, between the server's end and a peer.
#[derive(Debug)]
pub struct Wire {
    pub kernel: RefCell<Kernel>,
    /// What the server's end was registered with last: an event for it may still be on its way when it is gone.
    pub token: Cell<Option<Token>>,
    pub is_open: Cell<bool>,
    /// The server's calls on it.
    pub calls: Cell<u64>,
    /// It was lost before it was accepted, or refused.
    pub turned_away: Cell<bool>,
    /// It was closed with input unread, which has destroyed what the peer had not received yet.
    pub destroyed: Cell<bool>,
    machine: Rc<Machine>,
}

impl Wire {
    pub fn new(kernel: Kernel, machine: Rc<Machine>) -> Self {
        Self {
            kernel: RefCell::new(kernel),
            token: Cell::new(None),
            is_open: Cell::new(false),
            calls: Cell::new(0),
            turned_away: Cell::new(false),
            destroyed: Cell::new(false),
            machine,
        }
    }

    /// The event that waits for it, if there is one.
    pub fn event(&self) -> Option<Event> {
        let token = self.token.get().filter(|_| self.is_open.get())?;
        let mut seen = Readiness::of(false, false);
        let told = self.kernel.borrow_mut().deliver(&mut seen);
        told.then(|| Event::new(token, seen))
    }

    fn called(&self) {
        self.calls.set(self.calls.get() + 1);
        self.machine.called();
    }
}

/// The server's end of a [`Wire`].
#[derive(Debug)]
pub struct End(Rc<Wire>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.called();
        self.0.is_open.set(false);
        let machine = &self.0.machine;
        machine.used.set(machine.used.get() - 1);
        self.0.destroyed.set(self.0.kernel.borrow_mut().close());
    }
}

impl Read for End {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.called();
        self.0.kernel.borrow_mut().read(room)
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.called();
        self.0.kernel.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for End {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.called();
        self.0.kernel.borrow_mut().shutdown_write()
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.0.called();
        self.0.kernel.borrow_mut().take_error()
    }
}

impl Source for End {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.0.called();
        if self.0.machine.unwatched.take() {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.0.token.set(Some(token));
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        unreachable!("a connection is registered once")
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        unreachable!("closing a connection ends its registration")
    }
}

/// Those who wait at a listener.
#[derive(Debug)]
pub struct Hall {
    pub waiting: RefCell<VecDeque<(Rc<Wire>, SocketAddr)>>,
    /// What the next calls fail with.
    pub errors: RefCell<VecDeque<i32>>,
    pub told: Cell<bool>,
    pub token: Cell<Option<Token>>,
    pub is_open: Cell<bool>,
    machine: Rc<Machine>,
}

impl Hall {
    pub fn new(machine: Rc<Machine>) -> Rc<Self> {
        Rc::new(Self {
            waiting: RefCell::default(),
            errors: RefCell::default(),
            told: Cell::new(true),
            token: Cell::new(None),
            is_open: Cell::new(true),
            machine,
        })
    }

    /// A peer connects. Returns whether anybody listens, and there is room to wait.
    pub fn enter(&self, wire: Rc<Wire>, address: SocketAddr) -> bool {
        let room = self.waiting.borrow().len() < BACKLOG;
        if self.is_open.get() && room {
            self.waiting.borrow_mut().push_back((wire, address));
            self.told.set(false);
        }
        self.is_open.get() && room
    }

    /// The event that waits for it. Somebody who comes while it waits is not another one.
    pub fn event(&self) -> Option<Event> {
        let token = self.token.get().filter(|_| self.is_open.get())?;
        let told = self.told.replace(true);
        let somebody = !self.waiting.borrow().is_empty();
        (!told && somebody).then(|| Event::new(token, Readiness::of(true, false)))
    }
}

/// The server's end of a [`Hall`].
#[derive(Debug)]
pub struct Door(pub Rc<Hall>);

/// The errors that take the connection at the head of the queue with them.
const LOST: [i32; 3] = [71, 100, 103];

/// Those that leave it there: a signal, and want of descriptors, memory or buffers.
const KEPT: [i32; 4] = [4, 12, 23, 105];

/// What accept(2) may fail with.
pub const ACCEPT_ERRORS: [i32; 7] = [
    LOST[0], LOST[1], LOST[2], KEPT[0], KEPT[1], KEPT[2], KEPT[3],
];

impl Accept for Door {
    type Stream = End;

    fn accept(&self) -> io::Result<(End, SocketAddr)> {
        let hall = &self.0;
        hall.machine.called();
        let mut waiting = hall.waiting.borrow_mut();
        if waiting.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if let Some(errno) = hall.errors.borrow_mut().pop_front() {
            if LOST.contains(&errno) {
                turn_away(waiting.pop_front());
            }
            return Err(io::Error::from_raw_os_error(errno));
        }
        if hall.machine.used.get() >= hall.machine.limit.get() {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let (wire, address) = waiting.pop_front().expect("somebody waits");
        hall.machine.used.set(hall.machine.used.get() + 1);
        wire.is_open.set(true);
        Ok((End(wire), address))
    }

    fn may_wait(&self) -> bool {
        self.0.machine.called();
        !self.0.waiting.borrow().is_empty()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.is_open.set(false);
        self.0
            .waiting
            .borrow_mut()
            .drain(..)
            .for_each(|waiting| turn_away(Some(waiting)));
    }
}

fn turn_away(waiting: Option<(Rc<Wire>, SocketAddr)>) {
    if let Some((wire, _)) = waiting {
        wire.turned_away.set(true);
        wire.kernel.borrow_mut().peer_resets();
    }
}

impl Source for Door {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.0.token.set(Some(token));
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        unreachable!("a listener is registered once")
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        unreachable!("closing a listener ends its registration")
    }
}
