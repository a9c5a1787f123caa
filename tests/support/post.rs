//! Datagrams that come from nowhere, and a record of what is answered.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::machine::Machine;
use echoloop::connection::Readiness;
use echoloop::reactor::{
    Burst, DatagramSocket, Event, Head, Interest, Registry, Source, SourceAddr, Token,
};

/// The room of one reception.
const ROOM: usize = 64 * 1024;

const EIO: i32 = 5;

/// An answer, and from which address it is to leave.
type Answer = (Option<SourceAddr>, Vec<u8>);

/// What waits at a datagram socket, and what has left from it.
#[derive(Debug)]
pub struct Office {
    waiting: RefCell<VecDeque<(SocketAddr, Vec<u8>)>>,
    told: Cell<bool>,
    token: Cell<Option<Token>>,
    pub is_open: Cell<bool>,
    /// What the next calls fail with, receiving and sending.
    pub receive_errors: RefCell<VecDeque<i32>>,
    pub send_errors: RefCell<VecDeque<i32>>,
    /// Datagrams of one source and size are joined, and answers may be cut; it is reached at several addresses, too.
    pub joins: bool,
    recv_size: usize,
    suffix: Vec<u8>,
    /// What may still be answered, by source, in order.
    expected: RefCell<HashMap<SocketAddr, VecDeque<Answer>>>,
    pub received: Cell<u64>,
    pub answered: Cell<u64>,
    pub failed: Cell<u64>,
    machine: Rc<Machine>,
}

impl Office {
    pub fn new(machine: Rc<Machine>, joins: bool, recv_size: usize, suffix: &[u8]) -> Rc<Self> {
        Rc::new(Self {
            waiting: RefCell::default(),
            told: Cell::new(true),
            token: Cell::new(None),
            is_open: Cell::new(true),
            receive_errors: RefCell::default(),
            send_errors: RefCell::default(),
            joins,
            recv_size,
            suffix: suffix.to_vec(),
            expected: RefCell::default(),
            received: Cell::new(0),
            answered: Cell::new(0),
            failed: Cell::new(0),
            machine,
        })
    }

    /// A datagram comes.
    pub fn deliver(&self, source: SocketAddr, bytes: Vec<u8>) {
        if self.is_open.get() {
            self.waiting.borrow_mut().push_back((source, bytes));
            self.told.set(false);
        }
    }

    /// An error of a datagram that was sent earlier comes back.
    pub fn bounce(&self, errno: i32) {
        self.receive_errors.borrow_mut().push_back(errno);
        self.told.set(false);
    }

    /// How many datagrams wait.
    pub fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// The event that waits for it.
    pub fn event(&self) -> Option<Event> {
        let token = self.token.get().filter(|_| self.is_open.get())?;
        let told = self.told.replace(true);
        (!told).then(|| Event::new(token, Readiness::of(true, false)))
    }

    /// At which address a datagram of this size is received.
    fn at(&self, size: usize) -> Option<SourceAddr> {
        self.joins
            .then(|| IpAddr::from([127, 0, 0, (size % 3) as u8]).into())
    }

    /// Takes note of a datagram that is handed over: it may be answered once.
    fn note(&self, source: SocketAddr, bytes: &[u8]) {
        let mut answer = bytes[..bytes.len().min(self.recv_size)].to_vec();
        answer.extend_from_slice(&self.suffix);
        self.received.set(self.received.get() + 1);
        let mut expected = self.expected.borrow_mut();
        let at = self.at(bytes.len());
        expected.entry(source).or_default().push_back((at, answer));
    }

    /// An answer leaves: to a datagram that was received, behind those to earlier ones.
    fn leave(&self, to: SocketAddr, from: Option<SourceAddr>, answer: &[u8]) {
        self.answered.set(self.answered.get() + 1);
        let mut expected = self.expected.borrow_mut();
        let mine = expected.entry(to).or_default();
        while let Some((at, next)) = mine.pop_front() {
            if (at, next.as_slice()) == (from, answer) {
                return;
            }
        }
        panic!("{to} is sent {answer:?}, which is no answer to anything");
    }
}

/// The server's end of an [`Office`].
#[derive(Debug)]
pub struct Post(pub Rc<Office>);

impl DatagramSocket for Post {
    fn receive(&self, rooms: &mut [u8], heads: &mut Vec<Head>) -> io::Result<()> {
        let office = &self.0;
        office.machine.called();
        if let Some(errno) = office.receive_errors.borrow_mut().pop_front() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let mut waiting = office.waiting.borrow_mut();
        if waiting.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        for room in rooms.chunks_mut(ROOM) {
            let Some((source, bytes)) = waiting.pop_front() else {
                break;
            };
            office.note(source, &bytes);
            let each = bytes.len();
            room[..each].copy_from_slice(&bytes);
            let mut size = each;
            while office.joins
                && each > 0
                && size < 16 * each
                && let Some((next, more)) = waiting.front()
                && (*next, more.len()) == (source, each)
            {
                office.note(source, more);
                room[size..size + each].copy_from_slice(more);
                size += each;
                waiting.pop_front();
            }
            let at = office.at(each);
            heads.push(Head {
                at,
                ..Head::new(source, size, each)
            });
        }
        Ok(())
    }

    fn send(&self, bytes: &[u8], bursts: &[Burst]) -> io::Result<usize> {
        let office = &self.0;
        office.machine.called();
        if let Some(errno) = office.send_errors.borrow_mut().pop_front() {
            let error = io::Error::from_raw_os_error(errno);
            let retried = error.kind() == ErrorKind::Interrupted || bursts[0].count > 1;
            office.failed.set(office.failed.get() + u64::from(!retried));
            return Err(error);
        }
        if bursts[0].count > 1 && !office.joins {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        // Some, as sendmmsg(2) may.
        let count = bursts.len().div_ceil(2);
        for burst in &bursts[..count] {
            for index in 0..burst.count as usize {
                let start = burst.start + index * burst.each;
                office.leave(
                    burst.to,
                    burst.from,
                    &bytes[start..(start + burst.each).min(burst.end)],
                );
            }
        }
        Ok(count)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.0.is_open.set(false);
    }
}

impl Source for Post {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.0.token.set(Some(token));
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        unreachable!("a socket is registered once")
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        unreachable!("closing a socket ends its registration")
    }
}
