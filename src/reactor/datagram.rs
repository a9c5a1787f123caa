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
    inbox: Inbox,
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
            inbox: Inbox { pending: false },
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
        self.inbox.pending = true;
    }

    /// Whether receiving is worth trying now.
    pub const fn is_runnable(&self) -> bool {
        self.inbox.pending
    }

    /// Where an answer leaves that was not sent when its datagram was received.
    pub const fn outlet<'a>(&'a self, counters: &'a mut DatagramCounters) -> Outlet<'a> {
        Outlet {
            socket: &self.socket,
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
            input,
            output,
            ..
        } = self;
        let UdpOptions {
            budget, recv_size, ..
        } = *options;
        inbox.drain(now, budget, counters, |counters| {
            let (size, source) = socket.recv_from(input)?;
            counters.received += 1;
            counters.received_bytes += size as u64;
            if let Err(refusal) = admit(source, &input[..size]) {
                counters.refused(refusal);
                return Ok(());
            }
            counters.cut += u64::from(size > recv_size.get());
            let message = &input[..size.min(recv_size.get())];
            let answer = Answer::to_one(message, output, |message, reply| {
                serve(source, message, reply);
            });
            post(source, answer.bytes, Outlet { socket, counters });
            Ok(())
        })
    }
}

/// Where answers to datagrams leave.
#[derive(Debug)]
pub struct Outlet<'a> {
    socket: &'a UdpSocket,
    counters: &'a mut DatagramCounters,
}

impl Outlet<'_> {
    /// Sends the answer to a datagram, and returns whether the kernel has taken it.
    pub fn send(&mut self, source: SocketAddr, bytes: &[u8]) -> bool {
        let taken = self.send_again(source, bytes);
        self.counters.answered += u64::from(taken);
        taken
    }

    /// The same for an answer that was sent before: no other datagram has been answered by it.
    pub fn send_again(&mut self, source: SocketAddr, bytes: &[u8]) -> bool {
        loop {
            match self.socket.send_to(bytes, source) {
                Ok(size) => {
                    self.counters.sent_bytes += size as u64;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.counters.send_blocked += 1;
                }
                Err(_) => self.counters.send_errors += 1,
            }
            return false;
        }
    }
}

/// What is known of the datagrams that wait in the kernel, without the socket.
#[derive(Debug)]
struct Inbox {
    /// Datagrams may be waiting: latched by an event, cleared by `WouldBlock`.
    pending: bool,
}

impl Inbox {
    /// Calls `receive` until it would block, at most `budget` times. Returns when to try again if it
    /// failed each time: whatever that is, trying on would spin.
    fn drain(
        &mut self,
        now: Instant,
        budget: usize,
        counters: &mut DatagramCounters,
        mut receive: impl FnMut(&mut DatagramCounters) -> io::Result<()>,
    ) -> Option<Instant> {
        let mut failed = 0;
        for _ in 0..budget {
            match receive(counters) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending = false;
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    counters.receive_errors += 1;
                    failed += 1;
                }
            }
        }
        if failed == budget {
            self.pending = false;
            return Some(now + PAUSE);
        }
        counters.yields += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECONNREFUSED: i32 = 111;

    /// Pitfall 50: errors of datagrams sent earlier come from receiving.
    #[test]
    fn pitfall_50_errors_are_counted_and_survived_and_nothing_but_errors_is_waited_out() {
        let (now, mut counters) = (Instant::now(), DatagramCounters::default());
        let mut inbox = Inbox { pending: true };
        let mut calls = 0;
        let again = inbox.drain(now, 10, &mut counters, |_| {
            calls += 1;
            match calls {
                1..=3 => Err(io::Error::from_raw_os_error(ECONNREFUSED)),
                4 | 5 => Ok(()),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        assert_eq!(
            (again, calls, counters.receive_errors, inbox.pending),
            (None, 6, 3, false)
        );

        inbox.pending = true;
        let refused = |_: &mut DatagramCounters| Err(io::Error::from_raw_os_error(ECONNREFUSED));
        assert_eq!(
            inbox.drain(now, 10, &mut counters, refused),
            Some(now + PAUSE)
        );
        assert!(!inbox.pending, "no spin");

        inbox.pending = true;
        assert_eq!(inbox.drain(now, 10, &mut counters, |_| Ok(())), None);
        assert!(inbox.pending, "what the budget left over needs no event");
        assert_eq!(counters.yields, 1);
    }
}
