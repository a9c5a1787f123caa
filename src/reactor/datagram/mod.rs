//! A UDP socket that answers.

mod arrivals;
mod departures;
mod inbox;
#[cfg_attr(
    not(all(feature = "batch", target_os = "linux")),
    path = "system_plain.rs"
)]
mod system;

use std::collections::HashSet;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Instant;

use mio::event::Source;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

pub use self::arrivals::Head;
pub use self::departures::Burst;

use self::arrivals::Arrivals;
use self::departures::{Departures, send_one};
use self::inbox::{Inbox, Received};
use super::buffer_sizes::BufferSizes;
use super::listener::reuse_port;
use super::socket_table::{dropped_datagrams, socket_inode};
use super::source::SourceAddr;
use crate::connection::{Answer, Reply};
use crate::probe::DatagramCounters;
use crate::service::Refusal;

/// How large a receive buffer is asked for, in bytes: for some 1,300 small datagrams, which is what many clients may send
/// at once. The kernel caps it (on Linux at `net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// A UDP socket, or another that behaves like one, read within a budget. Nothing is queued: a reply that the kernel does not take at
/// once is dropped and counted, as the network might have dropped it.
///
/// # Errors of other datagrams
///
/// An error of `recv_from` or `send_to` concerns one datagram, often an earlier one that somebody
/// refused. It is counted and nothing else.
#[derive(Debug)]
pub struct Datagrams<U = UdpSocket> {
    socket: U,
    address: SocketAddr,
    options: UdpOptions,
    inbox: Inbox,
    inode: Option<u64>,
    /// How many datagrams the kernel had dropped when it queued those received last (`SO_RXQ_OVFL`).
    dropped: u32,
}

/// What datagrams come and go through.
pub trait DatagramSocket: Debug {
    /// Receives into `rooms`, each of 64 KiB, until they are used up or nothing more is there, and adds to `heads` what each
    /// holds.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing waits, after which an event tells of what comes later; otherwise those of recvmsg(2).
    fn receive(&self, rooms: &mut [u8], heads: &mut Vec<Head>) -> io::Result<()>;

    /// Sends bursts of `bytes`, at least the first of them, and returns how many that were.
    ///
    /// # Errors
    ///
    /// Those of sendmsg(2), which concern the first.
    fn send(&self, bytes: &[u8], bursts: &[Burst]) -> io::Result<usize>;

    /// The inode of the socket in the kernel's table ([`socket_inode`]). `None` if it has none.
    fn inode(&self) -> Option<u64> {
        None
    }
}

impl DatagramSocket for UdpSocket {
    #[inline]
    fn receive(&self, rooms: &mut [u8], heads: &mut Vec<Head>) -> io::Result<()> {
        system::receive(self, rooms, heads)
    }

    #[inline]
    fn send(&self, bytes: &[u8], bursts: &[Burst]) -> io::Result<usize> {
        system::send(self, bytes, bursts)
    }

    fn inode(&self) -> Option<u64> {
        socket_inode(self)
    }
}

/// What all datagram sockets of a loop receive into, and send from: many datagrams in one call, where the system can.
///
/// That takes Linux, and the feature `batch` of this crate. There, the kernel may join datagrams of one source and size
/// on their way in (`UDP_GRO`) and cut them apart on their way out (`UDP_SEGMENT`): each is judged and answered by
/// itself, as it was sent.
#[derive(Debug)]
pub struct Batch {
    arrivals: Arrivals,
    departures: Departures,
    /// What a service answered other than with an echo.
    output: Vec<u8>,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            arrivals: Arrivals::new(),
            departures: Departures::new(),
            output: Vec::new(),
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// How to bind a UDP socket.
#[derive(Clone, Copy, Debug)]
pub struct UdpOptions {
    /// Let several processes receive on one port; the kernel spreads sources over them.
    pub reuse_port: bool,
    /// How many bytes of a datagram the service sees.
    pub recv_size: NonZeroUsize,
    /// How many datagrams one call of [`Datagrams::answer`] receives, at least 1. What the kernel has joined with the last
    /// of them may exceed it.
    pub budget: usize,
    /// The least sizes of the kernel's buffers. There are few UDP sockets and each serves all clients, so a size that
    /// saves memory on every TCP connection does not make these smaller than they are by default.
    pub buffers: BufferSizes,
}

/// Sets the buffers of a UDP socket to `sizes`, or leaves them if they are larger. Without a size, the receive buffer
/// has room for what many clients send at once.
///
/// # Errors
///
/// Those of the system calls.
pub fn size_udp_buffers(socket: &Socket, sizes: &BufferSizes) -> io::Result<()> {
    let (send, receive) = (socket.send_buffer_size()?, socket.recv_buffer_size()?);
    let receive_default = (receive < RECEIVE_BUFFER).then_some(RECEIVE_BUFFER);
    let larger = BufferSizes {
        send: sizes.send.filter(|&size| send < doubled(size)),
        receive: sizes
            .receive
            .filter(|&size| receive < doubled(size))
            .max(receive_default),
    };
    larger.set(socket)
}

/// The actual size of a buffer after `size` was set: Linux doubles it (socket(7)).
const fn doubled(size: usize) -> usize {
    if cfg!(target_os = "linux") {
        size.saturating_mul(2)
    } else {
        size
    }
}

impl Datagrams {
    /// Binds. An IPv6 address takes IPv6 only.
    ///
    /// # Errors
    ///
    /// Those of the system calls; for one, `AddrInUse`.
    pub fn bind(address: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        reuse_port(&socket, options.reuse_port)?;
        size_udp_buffers(&socket, &options.buffers)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into());
        let address = socket.local_addr()?;
        system::prepare(&socket, address);
        Ok(Self::new(socket, address, options))
    }
}

impl<U: DatagramSocket + Source> Datagrams<U> {
    /// One that receives from `socket`, which is bound to `address`.
    pub fn new(socket: U, address: SocketAddr, options: &UdpOptions) -> Self {
        Self {
            inode: socket.inode(),
            socket,
            address,
            options: *options,
            inbox: Inbox { pending: false },
            dropped: 0,
        }
    }

    /// Registers the socket: an event of `token` is to [`mark`](Self::mark) it.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// The address bound, with the port the system chose if it was to choose one.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// An event said that datagrams may be waiting.
    pub const fn mark(&mut self) {
        self.inbox.pending = true;
    }

    /// Whether receiving is worth trying now.
    pub const fn is_runnable(&self) -> bool {
        self.inbox.pending
    }

    /// Where an answer leaves that was not sent when its datagram was received: from the address that the system chooses, if
    /// the socket is bound to all.
    pub const fn outlet<'a>(
        &'a self,
        batch: &'a mut Batch,
        counters: &'a mut DatagramCounters,
    ) -> Outlet<'a> {
        Outlet {
            socket: &self.socket,
            from: None,
            departures: &mut batch.departures,
            counters,
        }
    }

    /// Receives datagrams, within the budget, and answers each that `admit` lets through: it judges
    /// the whole datagram, of which `serve` then sees the first `recv_size` bytes, and `post` sends what
    /// it answers.
    ///
    /// Returns when to [`mark`](Self::mark) it again if receiving failed throughout.
    pub fn answer(
        &mut self,
        batch: &mut Batch,
        now: Instant,
        counters: &mut DatagramCounters,
        mut admit: impl FnMut(SocketAddr, &[u8]) -> Result<(), Refusal>,
        mut serve: impl FnMut(SocketAddr, &[u8], &mut Reply<'_>),
        mut post: impl FnMut(SocketAddr, &[u8], Outlet<'_>),
    ) -> Option<Instant> {
        let Self {
            socket,
            options,
            inbox,
            dropped,
            ..
        } = self;
        let Batch {
            arrivals,
            departures,
            output,
        } = batch;
        let recv_size = options.recv_size.get();
        inbox.drain(now, options.budget, counters, |left, counters| {
            let short = arrivals.receive(socket, left)?;
            if let Some(now_dropped) = arrivals.dropped() {
                counters.overflowed += u64::from(now_dropped.wrapping_sub(*dropped));
                *dropped = now_dropped;
            }
            let mut count = 0;
            for (&Head { source, at, .. }, datagram) in arrivals.datagrams() {
                count += 1;
                counters.received += 1;
                counters.received_bytes += datagram.len() as u64;
                if let Err(refusal) = admit(source, datagram) {
                    counters.refused(refusal);
                    continue;
                }
                counters.cut += u64::from(datagram.len() > recv_size);
                let message = &datagram[..datagram.len().min(recv_size)];
                let answer = Answer::to_one(message, output, |message, reply| {
                    serve(source, message, reply);
                });
                let outlet = Outlet {
                    socket,
                    from: at,
                    departures,
                    counters,
                };
                post(source, answer.bytes, outlet);
            }
            departures.flush(counters, |bytes, bursts| socket.send(bytes, bursts));
            Ok(Received { count, short })
        })
    }
}

/// How many datagrams the kernel has dropped at `sockets` since it queued those received last. They are
/// counted by no datagram unless another one follows.
///
/// Reads the table of all sockets of the machine once: not for each datagram.
pub fn uncounted_drops<'a, U: 'a>(sockets: impl Iterator<Item = &'a Datagrams<U>> + Clone) -> u64 {
    let inodes: HashSet<u64> = sockets.clone().filter_map(|socket| socket.inode).collect();
    if inodes.is_empty() {
        return 0;
    }
    let Some(all) = dropped_datagrams(&inodes) else {
        return 0;
    };
    let of_each = sockets.filter_map(|socket| {
        let dropped = all.get(&socket.inode?)?;
        Some(u64::from(dropped.wrapping_sub(socket.dropped)))
    });
    of_each.sum()
}

/// Where answers to datagrams leave.
#[derive(Debug)]
pub struct Outlet<'a> {
    // Not a type parameter of everyone who sends an answer: there is one call of it for many.
    socket: &'a dyn DatagramSocket,
    /// To which address of this machine the datagram was sent that is answered: its answer leaves from there.
    from: Option<SourceAddr>,
    departures: &'a mut Departures,
    counters: &'a mut DatagramCounters,
}

impl Outlet<'_> {
    /// Sends the answer to a datagram together with those to others that were received with it. Whether the kernel has
    /// taken it, counters tell.
    pub fn post(&mut self, source: SocketAddr, bytes: &[u8]) {
        if self.departures.push(source, self.from, bytes) {
            self.flush();
        }
    }

    /// Sends the answer to a datagram at once, behind those posted, and returns whether the kernel has taken it.
    pub fn send(&mut self, source: SocketAddr, bytes: &[u8]) -> bool {
        let taken = self.send_again(source, bytes);
        self.counters.answered += u64::from(taken);
        taken
    }

    /// The same for an answer that was sent before: no other datagram has been answered by it.
    pub fn send_again(&mut self, source: SocketAddr, bytes: &[u8]) -> bool {
        if !self.departures.is_empty() {
            self.flush();
        }
        let socket = self.socket;
        let single = Burst::single(source, self.from, bytes.len());
        send_one(bytes, single, self.counters, |bytes, bursts| {
            socket.send(bytes, bursts)
        })
    }

    fn flush(&mut self) {
        let socket = self.socket;
        self.departures
            .flush(self.counters, |bytes, bursts| socket.send(bytes, bursts));
    }
}

#[cfg(test)]
mod tests;
