//! The kinds of sockets that a server accepts from, and that a client opens.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Registry, Token};

use super::datagram::DatagramSocket;
use super::dial::{Dial, Dialled};
use super::listener::Accept;
use super::socket_table::socket_inode;
use crate::connection::Stream;

/// Which sockets a server is reached at: the [system's](System), or others that behave as they do, such as those of a
/// simulation.
pub trait Net {
    /// What is accepted.
    type Stream;

    /// What accepts.
    type Listener: Accept<Stream = Self::Stream> + Source + Debug;

    /// What datagrams come and go through.
    type Datagrams: DatagramSocket + Source;
}

/// The operating system's sockets.
#[derive(Clone, Copy, Debug)]
pub enum System {}

impl Net for System {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Datagrams = UdpSocket;
}

/// A TCP connection that a client is opening: [`Dial`], or a model of one.
pub trait Attempt: Debug + Sized {
    /// What it becomes.
    type Stream: OutgoingStream;

    /// Registers the attempt: after an event of `token` it is to be [checked](Self::check).
    ///
    /// # Errors
    ///
    /// Those of the system call.
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()>;

    /// The state of the attempt.
    fn check(self) -> Dialled<Self>;
}

/// A TCP connection that a client has opened.
pub trait OutgoingStream: Stream + Debug {
    /// Our own address.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// A UDP socket that is connected to one server.
pub trait ConnectedDatagrams: Source + Debug {
    /// Receives one datagram. Returns its length, cut to that of `buffer`.
    ///
    /// # Errors
    ///
    /// `WouldBlock` without a datagram; an ICMP error of a datagram sent before (udp(7)).
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the send buffer is full; an ICMP error of a datagram sent before (udp(7)).
    fn send(&self, datagram: &[u8]) -> io::Result<usize>;

    /// Our own address.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// What tells the socket from all others in the kernel's table ([`socket_inode`]).
    fn inode(&self) -> Option<u64>;
}

impl Attempt for Dial {
    type Stream = TcpStream;

    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.register(registry, token)
    }

    fn check(self) -> Dialled<Self> {
        self.check()
    }
}

impl OutgoingStream for TcpStream {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl ConnectedDatagrams for UdpSocket {
    #[inline]
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }

    #[inline]
    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.send(datagram)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn inode(&self) -> Option<u64> {
        socket_inode(self)
    }
}
