//! Datagram sockets.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as Peer};
use std::rc::Rc;

use echoloop::connection::Readiness;
use echoloop::reactor::{Burst, DatagramSocket, Head, Interest, Source};
use mio::net::UdpSocket;
use mio::{Poll, Token};

use super::support::post::{Office, Post};
use super::{alone, level, look, machine, until};
use rustix::event::PollFlags;

/// The room of one reception.
const ROOM: usize = 64 * 1024;

/// A socket, on the model or on this machine, and a peer of it.
trait Correspondence {
    fn socket(&self) -> &dyn DatagramSocket;
    fn peer(&self) -> SocketAddr;
    fn comes(&self, bytes: &[u8]);
    fn is_told(&mut self, expected: bool) -> bool;

    /// Receives once, with room for so many, and returns how long each is.
    fn receive(&self, most: usize) -> Result<Vec<usize>, ErrorKind> {
        let (mut rooms, mut heads) = (vec![0; most * ROOM], Vec::<Head>::new());
        let outcome = self.socket().receive(&mut rooms, &mut heads);
        outcome.map_err(|error| error.kind())?;
        assert!(heads.iter().all(|head| head.source == self.peer()));
        Ok(heads.iter().map(|head| head.size).collect())
    }

    fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
        let single = Burst {
            to,
            from: None,
            start: 0,
            end: bytes.len(),
            each: bytes.len(),
            count: 1,
        };
        self.socket().send(bytes, &[single])
    }
}

struct Modelled {
    post: Post,
    office: Rc<Office>,
}

impl Modelled {
    fn new() -> Self {
        let office = Office::new(Rc::new(machine(usize::MAX)), false, ROOM, b"");
        let mut post = Post(office.clone());
        let poll = Poll::new().unwrap();
        post.register(poll.registry(), Token(0), Interest::READABLE)
            .unwrap();
        Self { post, office }
    }
}

impl Correspondence for Modelled {
    fn socket(&self) -> &dyn DatagramSocket {
        &self.post
    }

    fn peer(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }

    fn comes(&self, bytes: &[u8]) {
        self.office.deliver(self.peer(), bytes.to_vec());
    }

    fn is_told(&mut self, _: bool) -> bool {
        self.office.event().is_some()
    }
}

struct Real {
    socket: UdpSocket,
    peer: Peer,
    poll: Poll,
}

impl Real {
    fn new() -> Self {
        let mut socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let poll = Poll::new().unwrap();
        poll.registry()
            .register(&mut socket, Token(0), Interest::READABLE)
            .unwrap();
        let peer = Peer::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        peer.connect(socket.local_addr().unwrap()).unwrap();
        Self { socket, peer, poll }
    }
}

impl Correspondence for Real {
    fn socket(&self) -> &dyn DatagramSocket {
        &self.socket
    }

    fn peer(&self) -> SocketAddr {
        self.peer.local_addr().unwrap()
    }

    fn comes(&self, bytes: &[u8]) {
        self.peer.send(bytes).unwrap();
        until(|| level(&self.socket).contains(PollFlags::IN));
    }

    fn is_told(&mut self, expected: bool) -> bool {
        look(&mut self.poll, expected).is_some_and(Readiness::is_readable)
    }
}

fn two_come_and_one_is_received(mut socket: impl Correspondence) {
    socket.comes(b"one");
    assert!(socket.is_told(true));
    socket.comes(b"second");
    assert!(socket.is_told(true));
    assert_eq!(socket.receive(1), Ok(vec![3]));
    assert!(!socket.is_told(false), "one is left, and no edge");
    socket.comes(b"");
    assert!(socket.is_told(true), "a datagram of nothing is one");
    assert_eq!(socket.receive(2), Ok(vec![6, 0]));
    assert_eq!(socket.receive(2), Err(ErrorKind::WouldBlock));
}

fn the_largest_comes_whole(socket: impl Correspondence) {
    socket.comes(&[7; 65_507]);
    assert_eq!(
        socket.receive(2),
        Ok(vec![65_507]),
        "less than there was room for is the last"
    );
    assert_eq!(socket.receive(2), Err(ErrorKind::WouldBlock));
}

#[test]
fn what_is_left_unreceived_raises_no_edge() {
    let _alone = alone();
    two_come_and_one_is_received(Modelled::new());
    two_come_and_one_is_received(Real::new());
}

#[test]
fn no_datagram_is_cut() {
    let _alone = alone();
    the_largest_comes_whole(Modelled::new());
    the_largest_comes_whole(Real::new());
}

/// What the model's errors are made after: a socket that is not connected is told of nobody who is not there, and strange
/// addresses fail at once, without an effect on what follows.
#[test]
fn an_answer_to_nowhere_fails_at_once_or_not_at_all() {
    let _alone = alone();
    let mut real = Real::new();
    let gone = Peer::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let nobody = gone.local_addr().unwrap();
    drop(gone);
    assert_eq!(real.send(nobody, b"hello").unwrap(), 1);
    assert!(!real.is_told(false), "nobody tells");
    assert_eq!(real.receive(1), Err(ErrorKind::WouldBlock));
    const EINVAL: Option<i32> = Some(22);
    const EACCES: Option<i32> = Some(13);
    let port_0 = real.send((Ipv4Addr::LOCALHOST, 0).into(), b"hello");
    assert_eq!(port_0.unwrap_err().raw_os_error(), EINVAL);
    let broadcast = real.send((Ipv4Addr::BROADCAST, 9).into(), b"hello");
    assert_eq!(broadcast.unwrap_err().raw_os_error(), EACCES);
    assert_eq!(real.send(real.peer(), b"hello").unwrap(), 1);

    let modelled = Modelled::new();
    modelled.comes(b"hello");
    modelled.receive(1).unwrap();
    modelled.office.send_errors.borrow_mut().push_back(22);
    assert_eq!(
        modelled
            .send(modelled.peer(), b"hello")
            .unwrap_err()
            .raw_os_error(),
        EINVAL
    );
    assert_eq!(modelled.send(modelled.peer(), b"hello").unwrap(), 1);
}

/// One error is the fate of one datagram, and the socket lives on.
#[test]
fn a_refusal_is_told_once() {
    let _alone = alone();
    let mut modelled = Modelled::new();
    modelled.office.bounce(111);
    assert!(modelled.is_told(true));
    assert_eq!(modelled.receive(1), Err(ErrorKind::ConnectionRefused));
    assert_eq!(modelled.receive(1), Err(ErrorKind::WouldBlock));

    // Only a connected socket is told.
    let Real {
        socket,
        peer,
        mut poll,
    } = Real::new();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    drop(peer);
    socket.send(b"hello").unwrap();
    assert!(look(&mut poll, true).is_some_and(Readiness::is_readable));
    let mut room = [0; 9];
    assert_eq!(
        socket.recv(&mut room).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert_eq!(
        socket.recv(&mut room).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}
