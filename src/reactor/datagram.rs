//! A UDP socket that answers.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::listener::reuse_port;
use crate::connection::{Answer, Reply};
use crate::probe::DatagramCounters;
use crate::service::Refusal;

/// The size of the receive buffer: no datagram is larger, so none is truncated.
const SIZE_MAX: usize = 64 * 1024;

/// How long receiving pauses when every call of a whole budget fails.
const PAUSE: Duration = Duration::from_millis(100);

/// A UDP socket, read within a budget. Nothing is queued: a reply that the kernel does not take at
/// once is dropped and counted, as the network might have dropped it.
///
/// # Errors of other datagrams
///
/// An error of `recv_from` or `send_to` concerns one datagram, often an earlier one that somebody
/// refused. It is counted and nothing else.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    address: SocketAddr,
    options: UdpOptions,
    input: Box<[u8]>,
    output: Vec<u8>,
    /// Datagrams may be waiting: latched by an event, cleared by `WouldBlock`.
    pending: bool,
}

/// How to bind a UDP socket.
#[derive(Clone, Copy, Debug)]
pub struct UdpOptions {
    /// Let several processes receive on one port; the kernel spreads sources over them.
    pub reuse_port: bool,
    /// How many bytes of a datagram the service sees.
    pub recv_size: NonZeroUsize,
    /// How many datagrams one call of [`Datagrams::answer`] receives, at least 1.
    pub budget: usize,
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
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into());
        let address = socket.local_addr()?;
        Ok(Self {
            socket,
            address,
            options: *options,
            input: vec![0; SIZE_MAX].into_boxed_slice(),
            output: Vec::new(),
            pending: false,
        })
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
        self.pending = true;
    }

    /// Whether receiving is worth trying now.
    pub const fn is_runnable(&self) -> bool {
        self.pending
    }

    /// Receives datagrams, within the budget, and answers each that `admit` lets through: it judges
    /// the whole datagram, of which `serve` then sees the first `recv_size` bytes.
    ///
    /// Returns when to [`mark`](Self::mark) it again if receiving failed throughout.
    pub fn answer(
        &mut self,
        now: Instant,
        counters: &mut DatagramCounters,
        mut admit: impl FnMut(SocketAddr, &[u8]) -> Result<(), Refusal>,
        mut serve: impl FnMut(&[u8], &mut Reply<'_>),
    ) -> Option<Instant> {
        let UdpOptions {
            budget, recv_size, ..
        } = self.options;
        let mut failed = 0;
        for _ in 0..budget {
            let (size, source) = match self.socket.recv_from(&mut self.input) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending = false;
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    counters.receive_errors += 1;
                    failed += 1;
                    continue;
                }
            };
            counters.received += 1;
            counters.received_bytes += size as u64;
            if let Err(refusal) = admit(source, &self.input[..size]) {
                counters.refused(refusal);
                continue;
            }
            counters.cut += u64::from(size > recv_size.get());
            let message = &self.input[..size.min(recv_size.get())];
            let answer = Answer::to_one(message, &mut self.output, &mut serve);
            send(&self.socket, answer.bytes, source, counters);
        }
        if failed == budget {
            self.pending = false;
            return Some(now + PAUSE);
        }
        counters.yields += 1;
        None
    }
}

fn send(socket: &UdpSocket, reply: &[u8], source: SocketAddr, counters: &mut DatagramCounters) {
    loop {
        match socket.send_to(reply, source) {
            Ok(size) => {
                counters.answered += 1;
                counters.sent_bytes += size as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => counters.send_blocked += 1,
            Err(_) => counters.send_errors += 1,
        }
        return;
    }
}
