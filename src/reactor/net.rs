//! The kinds of sockets that a server is reached at.

use std::fmt::Debug;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UdpSocket};

use super::datagram::DatagramSocket;
use super::listener::Accept;

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
