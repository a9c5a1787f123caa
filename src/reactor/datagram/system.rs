//! The system calls for datagrams, where one moves many: Linux, with the feature `batch`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg,
    sendmmsg, setsockopt, sockopt,
};

use super::SourceAddr;
use super::arrivals::{Head, ROOM};
use super::departures::Burst;

/// How many receptions one call makes. A call by itself costs a twentieth of what a datagram does, so that more would
/// hardly save anything, and each has room of its own.
pub(super) const RECEPTIONS: usize = 16;

/// Whether one call may send several answers to one source in one piece.
pub(super) const SEGMENTS: bool = true;

/// Has the kernel join datagrams of one source and size, where it can (`UDP_GRO`, Linux 5.0), and tell how many it had no room
/// for (`SO_RXQ_OVFL`); and of a socket at every address, to which of them each was sent (`IP_PKTINFO`).
pub(super) fn prepare(socket: &UdpSocket, address: SocketAddr) {
    if let Err(error) = setsockopt(socket, sockopt::UdpGroSegment, &true) {
        log::debug!("datagrams are received as they come: {error}");
    }
    if let Err(error) = setsockopt(socket, sockopt::RxqOvfl, &1) {
        log::debug!("nobody tells of datagrams that there is no room for: {error}");
    }
    let told = match address {
        address if !address.ip().is_unspecified() => Ok(()),
        SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true),
        SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true),
    };
    if let Err(error) = told {
        log::warn!("{address} answers from the first address of an interface only: {error}");
    }
}

/// Receives into `rooms`, until they are used up or nothing more is there, and tells what each holds.
///
/// # Where it stops
///
/// A call that brings less than it has room for has found nothing more, or an error, which is the next call's then
/// (recvmmsg(2)). What fails in the midst of a call fails while it goes on, so that an event tells of it.
pub(super) fn receive(
    socket: &UdpSocket,
    rooms: &mut [u8],
    heads: &mut Vec<Head>,
) -> io::Result<()> {
    let count = rooms.len() / ROOM;
    let mut rooms = rooms.chunks_mut(ROOM).map(|room| [IoSliceMut::new(room)]);
    let mut slices: [[IoSliceMut<'_>; 1]; RECEPTIONS] =
        std::array::from_fn(|_| rooms.next().unwrap_or_else(|| [IoSliceMut::new(&mut [])]));
    // Made anew for each call: the last one has left in them how long the control messages were, and with no more
    // room than that the kernel would not say where joined datagrams are to be cut.
    let control = nix::cmsg_space!(i32, u32, in6_pktinfo);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(count, Some(control));
    socket.try_io(|| {
        let slices = slices[..count].iter_mut();
        let flags = MsgFlags::empty();
        let received = recvmmsg(socket.as_raw_fd(), &mut headers, slices, flags, None)?;
        for message in received {
            let source = message.address.as_ref().and_then(address);
            let source = source.ok_or(io::ErrorKind::InvalidData)?;
            let mut head = Head::new(source, message.bytes, message.bytes);
            for control in message.cmsgs()? {
                note(&mut head, &control);
            }
            heads.push(head);
        }
        Ok(())
    })
}

fn note(head: &mut Head, control: &ControlMessageOwned) {
    match *control {
        ControlMessageOwned::UdpGroSegments(each) => head.each = each as usize,
        ControlMessageOwned::RxqOvfl(dropped) => head.dropped = dropped,
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let at = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
            head.at = Some(IpAddr::V4(at).into());
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            // Nothing can be sent from where several are reached at.
            let at = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let interface = match at.is_unicast_link_local() {
                true => info.ipi6_ifindex,
                false => 0,
            };
            let address = SocketAddr::from(SocketAddrV6::new(at, 0, 0, interface));
            head.at = (!at.is_multicast()).then_some(address.into());
        }
        _ => {}
    }
}

/// Sends bursts, at least the first of `bursts`, and returns how many that were.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], bursts: &[Burst]) -> io::Result<usize> {
    let first = &bursts[0];
    let alike = |burst: &&Burst| {
        let single = burst.count == 1;
        // The control messages say for all of a call how large the pieces are, and where from.
        let size = single == (first.count == 1) && (single || burst.each == first.each);
        size && burst.from == first.from
    };
    let count = bursts.iter().take_while(alike).count();
    if count == 1 && first.count == 1 && first.from.is_none() {
        return socket.send_to(first.bytes(bytes), first.to).map(|_| 1);
    }
    let bursts = &bursts[..count];
    let slices: Vec<_> = bursts
        .iter()
        .map(|burst| [IoSlice::new(burst.bytes(bytes))])
        .collect();
    let addresses: Vec<_> = bursts
        .iter()
        .map(|burst| Some(SockaddrStorage::from(burst.to)))
        .collect();
    let each = first.each as u16;
    let from = first.from.map(Info::of);
    let control: Vec<ControlMessage<'_>> = [
        (first.count > 1).then_some(ControlMessage::UdpGsoSegments(&each)),
        from.as_ref().map(Info::message),
    ]
    .into_iter()
    .flatten()
    .collect();
    let room = room(first.count > 1, from.as_ref());
    let mut headers = MultiHeaders::preallocate(count, room);
    socket.try_io(|| {
        let (socket, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        let sent = sendmmsg(socket, &mut headers, &slices, &addresses, &control, flags)?;
        Ok(sent.count())
    })
}

/// The room of such control messages, to the byte: what is left over would be taken for another.
fn room(cut: bool, from: Option<&Info>) -> Option<Vec<u8>> {
    Some(match (cut, from) {
        (false, None) => return None,
        (true, None) => nix::cmsg_space!(u16),
        (false, Some(Info::V4(_))) => nix::cmsg_space!(in_pktinfo),
        (true, Some(Info::V4(_))) => nix::cmsg_space!(u16, in_pktinfo),
        (false, Some(Info::V6(_))) => nix::cmsg_space!(in6_pktinfo),
        (true, Some(Info::V6(_))) => nix::cmsg_space!(u16, in6_pktinfo),
    })
}

/// From which address of this machine a datagram is to leave, as the kernel wants to be told.
enum Info {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl Info {
    const fn of(from: SourceAddr) -> Self {
        let interface = from.scope_id();
        match from.ip() {
            IpAddr::V4(from) => Self::V4(in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr {
                    s_addr: u32::from_ne_bytes(from.octets()),
                },
                ipi_addr: in_addr { s_addr: 0 },
            }),
            IpAddr::V6(from) => Self::V6(in6_pktinfo {
                ipi6_addr: in6_addr {
                    s6_addr: from.octets(),
                },
                // The kernel refuses a link-local address without an interface, unless the datagram goes
                // to another link-local address.
                ipi6_ifindex: interface,
            }),
        }
    }

    const fn message(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

fn address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|&address| SocketAddr::V4(address.into()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|&address| SocketAddr::V6(address.into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a datagram came in is where its answer leaves, unless that is an address of many.
    #[test]
    fn the_address_that_was_asked_is_told_unless_nothing_can_be_sent_from_it() {
        for (asked, told) in [
            ("127.0.0.9:7", true),
            ("[::1]:7", true),
            ("[2001:db8::7]:7", true),
            ("[fe80::7%3]:7", true),
            ("[ff02::1]:7", false),
        ] {
            let address: SocketAddr = asked.parse().unwrap();
            let asked = SourceAddr::from(address);
            let control = match Info::of(asked) {
                Info::V4(info) => ControlMessageOwned::Ipv4PacketInfo(info),
                Info::V6(info) => ControlMessageOwned::Ipv6PacketInfo(info),
            };
            let mut head = Head::new(address, 1, 1);
            note(&mut head, &control);
            assert_eq!(head.at, told.then_some(asked));
        }
    }

    fn bound() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Sends what each of `sizes` says, a burst of so many bytes in pieces of so many, and returns what is received by
    /// a socket that joins and by one that does not: how many datagrams, and in how many calls they were sent.
    fn travel(bursts: &[(usize, usize)]) -> [(usize, usize); 2] {
        let bytes: Vec<u8> = (0..=255).cycle().take(4096).collect();
        [true, false].map(|joins| {
            let ((from, _), (into, to)) = (bound(), bound());
            if joins {
                prepare(&into, to);
            }
            let mut start = 0;
            let burst = |&(size, each): &(usize, usize)| {
                start += size;
                Burst {
                    to,
                    from: None,
                    start: start - size,
                    end: start,
                    each,
                    count: size.div_ceil(each) as u32,
                }
            };
            let bursts: Vec<Burst> = bursts.iter().map(burst).collect();
            let (mut next, mut calls) = (0, 0);
            while next < bursts.len() {
                calls += 1;
                next += send(&from, &bytes, &bursts[next..]).unwrap();
            }
            let (mut rooms, mut heads) = (vec![0; RECEPTIONS * ROOM], Vec::new());
            let (mut count, mut received) = (0, Vec::new());
            // Loopback has delivered before the call that sends returns.
            while receive(&into, &mut rooms, &mut heads).is_ok() {
                for (head, room) in heads.drain(..).zip(rooms.chunks(ROOM)) {
                    assert_eq!(head.source, from.local_addr().unwrap());
                    count += head.size.div_ceil(head.each);
                    received.extend_from_slice(&room[..head.size]);
                }
            }
            assert_eq!(received, bytes[..start]);
            (count, calls)
        })
    }

    #[test]
    fn what_leaves_in_one_piece_arrives_as_it_was_meant_whether_or_not_it_is_joined_again() {
        let cases: [(&[_], _); 6] = [
            (&[(64, 64)], (1, 1)),
            (&[(64, 64), (64, 64), (7, 7)], (3, 1)),
            (&[(640, 64)], (10, 1)),
            (&[(64, 64), (640, 64), (64, 64)], (12, 3)),
            (
                &[(100, 64), (64, 64), (199, 64), (256, 64), (5, 1)],
                (2 + 1 + 4 + 4 + 5, 4),
            ),
            (
                &[(300, 30), (300, 30), (300, 60), (1, 1), (300, 30)],
                (10 + 10 + 5 + 1 + 10, 4),
            ),
        ];
        for (bursts, expected) in cases {
            for travelled in travel(bursts) {
                assert_eq!(travelled, expected, "{bursts:?}");
            }
        }
    }

    /// Of those who can be asked at one address only, to be told costs without need.
    #[test]
    fn only_a_socket_at_every_address_is_told_which_was_asked() {
        for ip in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED] {
            let socket = UdpSocket::bind((ip, 0).into()).unwrap();
            prepare(&socket, socket.local_addr().unwrap());
            let told = nix::sys::socket::getsockopt(&socket, sockopt::Ipv4PacketInfo).unwrap();
            assert_eq!(told, ip.is_unspecified());
        }
    }

    /// The first use of a header must not take from the second what says where to cut.
    #[test]
    fn joined_datagrams_are_told_apart_behind_single_ones_and_many_calls() {
        let mut bursts = vec![(10, 10); RECEPTIONS];
        bursts.extend([(64, 32); 3 * RECEPTIONS]);
        let [joined, plain] = travel(&bursts[..20]);
        assert_eq!((joined.0, plain.0), (24, 24));
        let [joined, plain] = travel(&bursts[..40]);
        assert_eq!((joined.0, plain.0), (64, 64));
    }
}
