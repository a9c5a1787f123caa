//! Where answers leave, and what a reception tells.

use std::cell::RefCell;

use socket2::SockRef;

use super::*;
use crate::reactor::BUFFER_MAX;

/// A system that takes everything, or nothing, and has this many datagrams waiting.
#[derive(Debug)]
struct Script {
    taken: RefCell<Vec<u8>>,
    takes: bool,
    waiting: usize,
}

impl Script {
    const fn new(takes: bool, waiting: usize) -> Self {
        Self {
            taken: RefCell::new(Vec::new()),
            takes,
            waiting,
        }
    }
}

impl DatagramSocket for Script {
    fn receive(&self, rooms: &mut [u8], heads: &mut Vec<Head>) -> io::Result<()> {
        let count = self.waiting.min(rooms.len() / arrivals::ROOM);
        heads.extend((0..count).map(|_| Head::new(to(), 0, 0)));
        Ok(())
    }

    fn send(&self, bytes: &[u8], bursts: &[Burst]) -> io::Result<usize> {
        if !self.takes {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.taken.borrow_mut().extend(bursts[0].bytes(bytes));
        Ok(1)
    }
}

fn to() -> SocketAddr {
    ([127, 0, 0, 1], 7).into()
}

#[test]
fn what_is_sent_at_once_leaves_behind_what_was_posted_and_counts_once() {
    for takes in [true, false] {
        let (script, mut counters) = (Script::new(takes, 0), DatagramCounters::default());
        let mut departures = Departures::new();
        let mut outlet = Outlet {
            socket: &script,
            from: None,
            departures: &mut departures,
            counters: &mut counters,
        };
        outlet.post(to(), b"1");
        assert!(script.taken.borrow().is_empty(), "it waits for others");
        assert_eq!(outlet.send(to(), b"2"), takes);
        assert_eq!(outlet.send_again(to(), b"3"), takes);
        assert!(departures.is_empty());
        let (taken, failed) = if takes {
            (&b"123"[..], 0)
        } else {
            (&b""[..], 3)
        };
        assert_eq!(*script.taken.borrow(), taken);
        assert_eq!(counters.sent_bytes, taken.len() as u64);
        let answered = if takes { 2 } else { 0 };
        assert_eq!(
            (counters.answered, counters.send_errors),
            (answered, failed)
        );
    }
}

#[test]
fn what_is_posted_leaves_as_soon_as_there_is_enough_of_it() {
    let (script, mut counters) = (Script::new(true, 0), DatagramCounters::default());
    let mut departures = Departures::new();
    let mut outlet = Outlet {
        socket: &script,
        from: None,
        departures: &mut departures,
        counters: &mut counters,
    };
    for _ in 0..70 {
        outlet.post(to(), &[7; 1024]);
    }
    assert_eq!(script.taken.borrow().len(), 64 * 1024);
}

#[test]
fn a_reception_is_short_when_it_has_left_room() {
    for (waiting, most) in [(1, 1), (9, 1), (0, 1), (1, system::RECEPTIONS)] {
        let mut arrivals = Arrivals::new();
        let short = arrivals.receive(&Script::new(true, waiting), most).unwrap();
        assert_eq!(short, waiting < most, "{waiting} of {most}");
        assert_eq!(arrivals.datagrams().count(), waiting.min(most));
    }
}

/// As large as the system lets it be: never smaller than what a socket gets unasked.
#[test]
fn room_is_asked_for_where_there_is_less_than_many_clients_send_at_once() {
    let options = UdpOptions {
        reuse_port: false,
        recv_size: NonZeroUsize::MIN,
        budget: 1,
        buffers: BufferSizes::default(),
    };
    let unasked = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let room = SockRef::from(&unasked).recv_buffer_size().unwrap();
    let datagrams = Datagrams::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let asked = SockRef::from(&datagrams.socket).recv_buffer_size().unwrap();
    // What some 1,300 small ones take.
    if room < 1 << 20 {
        assert!(asked > room, "{asked} and {room} bytes");
    } else {
        assert_eq!(asked, room);
    }
}

/// A size that saves memory on each of many TCP connections would drop the datagrams of all clients.
#[test]
fn buffer_sizes_only_enlarge_the_buffers_of_a_udp_socket() {
    let bind = |send, receive| {
        let options = UdpOptions {
            reuse_port: false,
            recv_size: NonZeroUsize::MIN,
            budget: 1,
            buffers: BufferSizes { send, receive },
        };
        let datagrams = Datagrams::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let socket = SockRef::from(&datagrams.socket);
        (
            socket.send_buffer_size().unwrap(),
            socket.recv_buffer_size().unwrap(),
        )
    };
    let usual = bind(None, None);
    assert_eq!(bind(Some(4096), Some(4096)), usual);
    let most = BUFFER_MAX;
    // The kernel caps both, and may do so at what the sockets have already.
    let large = bind(Some(most), Some(most));
    let has_room = |parameter| {
        let cap = std::fs::read_to_string(format!("/proc/sys/net/core/{parameter}"));
        cap.is_ok_and(|cap| cap.trim().parse::<usize>().unwrap() > 1 << 20)
    };
    assert!(
        large.0 >= usual.0 && large.1 >= usual.1,
        "{large:?} {usual:?}"
    );
    if has_room("wmem_max") {
        assert!(large.0 > usual.0, "{large:?} {usual:?}");
    }
    if has_room("rmem_max") {
        assert!(large.1 > usual.1, "{large:?} {usual:?}");
    }
}
