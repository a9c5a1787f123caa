//! Listeners.

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use echoloop::connection::Readiness;
use echoloop::reactor::{Accept, Interest, Source};
use mio::net::TcpListener;
use mio::{Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

use super::support::kernel::Kernel;
use super::support::machine::{Door, Hall, Machine, Wire};
use super::{alone, look, machine, until};

/// A listener, on the model or on this machine.
trait Listening: Accept {
    type Peer;

    /// A peer connects, and waits.
    fn knock(&mut self) -> Self::Peer;

    /// Whether the next poll tells of it. `expected` may say so already.
    fn is_told(&mut self, expected: bool) -> bool;

    /// There are no more descriptors, or there are again.
    fn run_out(&mut self, out: bool);
}

struct Modelled {
    door: Door,
    hall: Rc<Hall>,
    machine: Rc<Machine>,
    count: u16,
}

impl Modelled {
    fn new() -> Self {
        let machine = Rc::new(machine(usize::MAX));
        let hall = Hall::new(machine.clone());
        let mut door = Door(hall.clone());
        let poll = Poll::new().unwrap();
        door.register(poll.registry(), Token(0), Interest::READABLE)
            .unwrap();
        Self {
            door,
            hall,
            machine,
            count: 0,
        }
    }
}

impl Accept for Modelled {
    type Stream = <Door as Accept>::Stream;

    fn accept(&self) -> std::io::Result<(Self::Stream, SocketAddr)> {
        self.door.accept()
    }

    fn may_wait(&self) -> bool {
        self.door.may_wait()
    }
}

impl Listening for Modelled {
    type Peer = Rc<Wire>;

    fn knock(&mut self) -> Rc<Wire> {
        self.count += 1;
        let wire = Rc::new(Wire::new(Kernel::new(100, 100), self.machine.clone()));
        self.hall
            .enter(wire.clone(), (Ipv4Addr::LOCALHOST, self.count).into());
        wire
    }

    fn is_told(&mut self, _: bool) -> bool {
        self.hall.event().is_some()
    }

    fn run_out(&mut self, out: bool) {
        let limit = if out {
            self.machine.used.get()
        } else {
            usize::MAX
        };
        self.machine.limit.set(limit);
    }
}

struct Real {
    listener: TcpListener,
    poll: Poll,
    before: Rlimit,
}

impl Real {
    fn new() -> Self {
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let poll = Poll::new().unwrap();
        poll.registry()
            .register(&mut listener, Token(0), Interest::READABLE)
            .unwrap();
        Self {
            listener,
            poll,
            before: getrlimit(Resource::Nofile),
        }
    }

    /// How many wait to be accepted: what `ss -l` shows.
    fn waiting(&self) -> usize {
        let port = format!(":{:04X} ", self.listener.local_addr().unwrap().port());
        let all = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let listening = |line: &&str| line.contains(&port) && line.contains(" 0A ");
        let line = all.lines().find(listening).unwrap();
        let (_, waiting) = line
            .split_whitespace()
            .nth(4)
            .unwrap()
            .split_once(':')
            .unwrap();
        usize::from_str_radix(waiting, 16).unwrap()
    }
}

impl Accept for Real {
    type Stream = mio::net::TcpStream;

    fn accept(&self) -> std::io::Result<(Self::Stream, SocketAddr)> {
        Accept::accept(&self.listener)
    }

    fn may_wait(&self) -> bool {
        self.listener.may_wait()
    }
}

impl Listening for Real {
    type Peer = TcpStream;

    fn knock(&mut self) -> TcpStream {
        let before = self.waiting();
        let peer = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        until(|| self.waiting() == before + 1);
        peer
    }

    fn is_told(&mut self, expected: bool) -> bool {
        look(&mut self.poll, expected).is_some_and(Readiness::is_readable)
    }

    fn run_out(&mut self, out: bool) {
        // Those that are open stay open.
        let current = if out { Some(0) } else { self.before.current };
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current,
                ..self.before
            },
        )
        .unwrap();
    }
}

fn error_of<T>(outcome: std::io::Result<T>) -> Option<i32> {
    outcome.err().and_then(|error| error.raw_os_error())
}

fn would_block(listener: &impl Listening) -> bool {
    listener
        .accept()
        .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn three_wait_and_one_is_accepted(mut listener: impl Listening) {
    let _peers = [listener.knock(), listener.knock(), listener.knock()];
    assert!(listener.is_told(true), "three are one edge");
    listener.accept().unwrap();
    assert!(!listener.is_told(false), "two are left, and no edge");
    listener.accept().unwrap();
    assert!(listener.may_wait(), "one is left");
    listener.accept().unwrap();
    assert!(would_block(&listener));
    let _peer = listener.knock();
    assert!(listener.is_told(true));
}

fn descriptors_run_out(mut listener: impl Listening) {
    const EMFILE: Option<i32> = Some(24);
    let _peers = [listener.knock(), listener.knock()];
    assert!(listener.is_told(true));
    listener.run_out(true);
    let first = listener.accept();
    listener.run_out(false);
    assert_eq!(error_of(first), EMFILE);
    assert!(
        !listener.is_told(false),
        "nobody tells of descriptors that are free again"
    );
    let _peer = listener.knock();
    assert!(listener.is_told(true), "only somebody new is told of");
    for _ in 0..3 {
        listener.accept().unwrap();
    }
    assert!(would_block(&listener));
}

#[test]
fn who_is_left_waiting_raises_no_edge() {
    let _alone = alone();
    three_wait_and_one_is_accepted(Modelled::new());
    three_wait_and_one_is_accepted(Real::new());
}

#[test]
fn descriptors_that_are_free_again_raise_no_edge() {
    let _alone = alone();
    descriptors_run_out(Modelled::new());
    descriptors_run_out(Real::new());
}

/// Its address is that which accepting told; asked for later, it is gone.
#[test]
fn who_was_reset_before_is_accepted_and_fails_then() {
    let _alone = alone();
    let mut modelled = Modelled::new();
    modelled.knock().kernel.borrow_mut().peer_resets();
    let (mut end, _) = modelled.accept().unwrap();
    assert_eq!(
        end.read(&mut [0; 9]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );

    let mut real = Real::new();
    let peer = real.knock();
    let address = peer.local_addr().unwrap();
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    let (mut stream, told) = Accept::accept(&real).unwrap();
    assert_eq!(told, address);
    assert_eq!(
        stream.read(&mut [0; 9]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(
        stream.peer_addr().unwrap_err().kind(),
        ErrorKind::NotConnected
    );
}
