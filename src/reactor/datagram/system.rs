//! The system calls for datagrams, where one moves many: Linux, with the feature `batch`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg,
    sendmmsg, setsockopt, sockopt,
};

use super::arrivals::{Head, ROOM};
use super::departures::Burst;

/// How many receptions one call makes. A call by itself costs a twentieth of what a datagram does, so that more would
/// hardly save anything, and each has room of its own.
pub(super) const RECEPTIONS: usize = 16;

/// Whether one call may send several answers to one source in one piece.
pub(super) const SEGMENTS: bool = true;

/// Lets the kernel join datagrams of one source and size, where it can (`UDP_GRO`, Linux 5.0).
pub(super) fn join_arrivals(socket: &UdpSocket) {
    if let Err(error) = setsockopt(socket, sockopt::UdpGroSegment, &true) {
        log::debug!("datagrams are received as they come: {error}");
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
    let control = nix::cmsg_space!(i32);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(count, Some(control));
    socket.try_io(|| {
        let slices = slices[..count].iter_mut();
        let flags = MsgFlags::empty();
        let received = recvmmsg(socket.as_raw_fd(), &mut headers, slices, flags, None)?;
        for message in received {
            let joined = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::UdpGroSegments(each) => usize::try_from(each).ok(),
                _ => None,
            });
            let source = message.address.as_ref().and_then(address);
            heads.push(Head {
                source: source.ok_or(io::ErrorKind::InvalidData)?,
                size: message.bytes,
                each: joined.unwrap_or(message.bytes),
            });
        }
        Ok(())
    })
}

/// Sends bursts, at least the first of `bursts`, and returns how many that were.
pub(super) fn send(socket: &UdpSocket, bytes: &[u8], bursts: &[Burst]) -> io::Result<usize> {
    let first = &bursts[0];
    let alike = |burst: &&Burst| {
        let single = burst.count == 1;
        // One control message says for all of a call how large the pieces are.
        single == (first.count == 1) && (single || burst.each == first.each)
    };
    let count = bursts.iter().take_while(alike).count();
    if count == 1 && first.count == 1 {
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
    let cut = [ControlMessage::UdpGsoSegments(&each)];
    let (room, control) = if first.count == 1 {
        (None, &cut[..0])
    } else {
        (Some(nix::cmsg_space!(u16)), &cut[..])
    };
    let mut headers = MultiHeaders::preallocate(count, room);
    socket.try_io(|| {
        let (socket, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        let sent = sendmmsg(socket, &mut headers, &slices, &addresses, control, flags)?;
        Ok(sent.count())
    })
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

    fn bound() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Sends what each of `sizes` says, a burst of so many bytes in pieces of so many, and returns what is received by
    /// a socket that joins and by one that does not: how many datagrams, and their bytes.
    fn travel(bursts: &[(usize, usize)]) -> [(usize, Vec<u8>); 2] {
        let bytes: Vec<u8> = (0..=255).cycle().take(4096).collect();
        [true, false].map(|joins| {
            let ((from, _), (into, to)) = (bound(), bound());
            if joins {
                join_arrivals(&into);
            }
            let mut start = 0;
            let burst = |&(size, each): &(usize, usize)| {
                start += size;
                Burst {
                    to,
                    start: start - size,
                    end: start,
                    each,
                    count: size.div_ceil(each) as u32,
                }
            };
            let bursts: Vec<Burst> = bursts.iter().map(burst).collect();
            let mut next = 0;
            while next < bursts.len() {
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
            (count, received)
        })
    }

    #[test]
    fn what_leaves_in_one_piece_arrives_as_it_was_meant_whether_or_not_it_is_joined_again() {
        let cases: [(&[(usize, usize)], usize); 6] = [
            (&[(64, 64)], 1),
            (&[(64, 64), (64, 64), (7, 7)], 3),
            (&[(640, 64)], 10),
            (&[(64, 64), (640, 64), (64, 64)], 12),
            (
                &[(100, 64), (64, 64), (199, 64), (256, 64), (5, 1)],
                2 + 1 + 4 + 4 + 5,
            ),
            (
                &[(300, 30), (300, 30), (300, 60), (1, 1), (300, 30)],
                10 + 10 + 5 + 1 + 10,
            ),
        ];
        for (bursts, count) in cases {
            for (received, _) in travel(bursts) {
                assert_eq!(received, count, "{bursts:?}");
            }
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
