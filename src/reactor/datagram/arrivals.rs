//! Datagrams that were received together.

use std::io;
use std::net::SocketAddr;

use super::{DatagramSocket, SourceAddr, system};

/// The room of one reception: no datagram is larger, nor is what the kernel joins, so none is truncated.
pub(super) const ROOM: usize = 64 * 1024;

/// What the last call brought.
///
/// # Memory
///
/// [`ROOM`] for each reception of a call, 1 MiB where there are 16, of which only what datagrams have
/// filled so far is taken from the system: 64 KiB while all are small.
#[derive(Debug)]
pub(super) struct Arrivals {
    rooms: Box<[u8]>,
    heads: Vec<Head>,
}

/// What a room holds: one datagram, or several of one source and size, the last of which may be smaller, that the
/// kernel has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// From where.
    pub source: SocketAddr,
    /// How many bytes there are.
    pub size: usize,
    /// The size of each datagram.
    pub each: usize,
    /// The address of this machine that it was sent to, with the interface of a link-local one, if the
    /// socket is bound to all addresses and the system reports it.
    pub at: Option<SourceAddr>,
    /// How many datagrams the socket has had no room for so far, modulo 2^32, where the system tells. It does so once it has
    /// dropped any.
    pub dropped: u32,
}

impl Head {
    /// A datagram, or several of the size `each`.
    pub const fn new(source: SocketAddr, size: usize, each: usize) -> Self {
        Self {
            source,
            size,
            each,
            at: None,
            dropped: 0,
        }
    }
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self {
            rooms: vec![0; system::RECEPTIONS * ROOM].into_boxed_slice(),
            heads: Vec::with_capacity(system::RECEPTIONS),
        }
    }

    /// Receives once, into at most `most` rooms, at least one. Returns whether there was more room than datagrams.
    pub(super) fn receive(
        &mut self,
        socket: &impl DatagramSocket,
        most: usize,
    ) -> io::Result<bool> {
        self.heads.clear();
        let most = most.min(system::RECEPTIONS);
        socket.receive(&mut self.rooms[..most * ROOM], &mut self.heads)?;
        Ok(self.heads.len() < most)
    }

    /// How many datagrams the socket has had no room for, as far as those received last tell.
    pub(super) fn dropped(&self) -> Option<u32> {
        self.heads
            .iter()
            .rev()
            .map(|head| head.dropped)
            .find(|&dropped| dropped > 0)
    }

    /// The datagrams received last, in order.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (&Head, &[u8])> {
        let rooms = self.rooms.chunks(ROOM);
        self.heads.iter().zip(rooms).flat_map(|(head, room)| {
            let bytes = &room[..head.size];
            // A datagram may be empty.
            let count = head.size.div_ceil(head.each.max(1)).max(1);
            (0..count).map(move |index| {
                let start = index * head.each;
                let end = (start + head.each).min(head.size);
                (head, &bytes[start..end])
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_has_joined_is_taken_apart_and_an_empty_datagram_is_one() {
        let source: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        let mut arrivals = Arrivals {
            rooms: vec![0; 4 * ROOM].into_boxed_slice(),
            heads: Vec::new(),
        };
        for (index, (size, each)) in [(7, 3), (0, 0), (6, 3), (5, 5)].into_iter().enumerate() {
            arrivals.heads.push(Head::new(source, size, each));
            for (at, byte) in arrivals.rooms[index * ROOM..][..size]
                .iter_mut()
                .enumerate()
            {
                *byte = (10 * index + at) as u8;
            }
        }
        let seen: Vec<_> = arrivals.datagrams().map(|(_, bytes)| bytes).collect();
        let expected: [&[u8]; 7] = [
            &[0, 1, 2],
            &[3, 4, 5],
            &[6],
            &[],
            &[20, 21, 22],
            &[23, 24, 25],
            &[30, 31, 32, 33, 34],
        ];
        assert_eq!(seen, expected);
    }
}
