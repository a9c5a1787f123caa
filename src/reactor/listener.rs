//! A listening socket: connections accepted within a budget, and a limit of descriptors survived.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::backlog::{Accepted, Backlog};
use super::buffer_sizes::BufferSizes;

/// A TCP socket that listens: the system's, or another that behaves like one.
#[derive(Debug)]
pub struct Listener<L = TcpListener> {
    socket: L,
    address: SocketAddr,
    /// What is known of the connections that wait in the kernel.
    pub backlog: Backlog,
}

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// How many connections the kernel keeps for us until we accept them. The kernel may cap it
    /// (on Linux at `net.core.somaxconn`).
    pub backlog: u32,
    /// Let several processes listen on one port; the kernel spreads connections over them.
    pub reuse_port: bool,
    /// After how much silence the kernel probes whether a peer is still there; `None`: never.
    pub keepalive: Option<Duration>,
    /// The sizes of the kernel's buffers of each accepted connection.
    pub buffers: BufferSizes,
}

/// What connections are accepted from.
pub trait Accept {
    /// A connection.
    type Stream;

    /// Accepts the one that has waited longest.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when none waits, after which an event tells of those who come later; otherwise those of accept(2).
    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Whether a connection may be waiting: always, where that can't be told for less than an attempt in vain costs.
    fn may_wait(&self) -> bool;
}

impl Listener {
    /// Binds and listens. An IPv6 address takes IPv6 only, so that one host has one address.
    ///
    /// # Errors
    ///
    /// Those of the system calls; for one, `AddrInUse`.
    pub fn bind(address: SocketAddr, options: &TcpOptions) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Without it a restart fails for as long as connections of the last run are in TIME_WAIT.
        // (On Windows the option means something else.)
        if cfg!(unix) {
            socket.set_reuse_address(true)?;
        }
        reuse_port(&socket, options.reuse_port)?;
        // Accepted sockets inherit both on Linux, which saves two system calls for each of them.
        socket.set_tcp_nodelay(true)?;
        if let Some(time) = options.keepalive {
            socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time))?;
        }
        // So are these: the window scale of a connection follows the receive buffer of the listener (tcp(7)).
        options.buffers.set(&socket)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        let socket = TcpListener::from_std(socket.into());
        let address = socket.local_addr()?;
        Ok(Self::new(socket, address))
    }
}

impl<L: Accept + Source> Listener<L> {
    /// One that accepts from `socket`, which listens on `address`.
    pub const fn new(socket: L, address: SocketAddr) -> Self {
        Self {
            socket,
            address,
            backlog: Backlog::new(),
        }
    }

    /// Registers the socket: an event of `token` is to [`mark`](Backlog::mark) the backlog.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    /// The address listened on, with the port the system chose if it was to choose one.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts at most `budget` connections and hands each to `admit`. See [`Backlog::accept`].
    pub fn accept(
        &mut self,
        now: Instant,
        budget: usize,
        admit: impl FnMut((L::Stream, SocketAddr)),
    ) -> Accepted {
        let Self {
            socket, backlog, ..
        } = self;
        let mut first = true;
        let accept = || {
            if !std::mem::take(&mut first) && !socket.may_wait() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            socket.accept()
        };
        backlog.accept(now, budget, accept, admit)
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    /// Takes the peer's address from the call that accepts: asked for later, it fails once the peer has
    /// reset the connection.
    #[inline]
    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.accept()?;
        if cfg!(not(target_os = "linux")) {
            stream.set_nodelay(true)?;
        }
        Ok((stream, peer))
    }

    #[inline]
    fn may_wait(&self) -> bool {
        may_wait(self)
    }
}

/// Whether a connection may be waiting at `socket`, where that can be asked for less than an attempt in vain costs:
/// accept4(2) makes a socket and a file before it looks whether there is anybody, which takes ten times as long as
/// poll(2). As with any attempt, an event tells of those who come later.
#[cfg(all(
    feature = "batch",
    target_os = "linux",
    not(mio_unsupported_force_poll_poll)
))]
fn may_wait(socket: &TcpListener) -> bool {
    use std::os::fd::AsFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    let mut sockets = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut sockets, PollTimeout::ZERO) != Ok(0)
}

/// Whether a connection may be waiting at `socket`: only an attempt tells.
#[cfg(not(all(
    feature = "batch",
    target_os = "linux",
    not(mio_unsupported_force_poll_poll)
)))]
const fn may_wait(_: &TcpListener) -> bool {
    true
}

/// Lets several sockets share one port, where the platform can.
pub(super) fn reuse_port(socket: &Socket, wanted: bool) -> io::Result<()> {
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    if wanted {
        socket.set_reuse_port(true)?;
    }
    #[cfg(not(all(unix, not(any(target_os = "solaris", target_os = "illumos")))))]
    if wanted {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "no SO_REUSEPORT on this platform",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use socket2::SockRef;

    use super::*;

    const OPTIONS: TcpOptions = TcpOptions {
        backlog: 16,
        reuse_port: false,
        keepalive: Some(Duration::from_secs(300)),
        buffers: BufferSizes {
            send: None,
            receive: None,
        },
    };

    #[test]
    fn accepted_sockets_have_nodelay_and_keepalive() {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &OPTIONS).unwrap();
        let client = std::net::TcpStream::connect(listener.address()).unwrap();
        let mut streams = Vec::new();
        listener.accept(Instant::now(), 1, |accepted| streams.push(accepted));
        let [(stream, peer)] = streams.as_slice() else {
            panic!("one connection is waiting")
        };
        assert_eq!(*peer, client.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(300)
        );
    }

    #[test]
    fn accepted_sockets_have_the_buffer_sizes_of_the_listener() {
        let sizes = |send, receive| {
            let options = TcpOptions {
                buffers: BufferSizes { send, receive },
                ..OPTIONS
            };
            let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
            let _client = std::net::TcpStream::connect(listener.address()).unwrap();
            let mut sizes = Vec::new();
            listener.accept(Instant::now(), 1, |(stream, _)| {
                let socket = SockRef::from(&stream);
                sizes.push(socket.send_buffer_size().unwrap());
                sizes.push(socket.recv_buffer_size().unwrap());
            });
            sizes
        };
        let usual = sizes(None, None);
        let (small, large) = (
            sizes(Some(8192), Some(16384)),
            sizes(Some(24576), Some(49152)),
        );
        // Linux doubles them.
        assert_eq!(small.iter().map(|size| 3 * size).collect::<Vec<_>>(), large);
        assert_eq!(small[1], 2 * small[0]);
        assert_eq!(sizes(Some(8192), None), [small[0], usual[1]]);
        assert_eq!(sizes(None, Some(16384)), [usual[0], small[1]]);
    }

    /// As many connections as are left, and how often it was tried to accept one.
    #[derive(Debug)]
    struct Queue {
        waiting: Cell<usize>,
        attempts: Cell<usize>,
        /// It can say whether there is another.
        tells: bool,
    }

    impl Accept for Queue {
        type Stream = ();

        fn accept(&self) -> io::Result<((), SocketAddr)> {
            self.attempts.set(self.attempts.get() + 1);
            let left = self.waiting.get().checked_sub(1);
            self.waiting.set(left.ok_or(io::ErrorKind::WouldBlock)?);
            Ok(((), SocketAddr::from(([127, 0, 0, 1], 7))))
        }

        fn may_wait(&self) -> bool {
            self.waiting.get() > 0 || !self.tells
        }
    }

    impl Source for Queue {
        fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn deregister(&mut self, _: &Registry) -> io::Result<()> {
            Ok(())
        }
    }

    /// An event has told of the first, so only the others are asked for.
    #[test]
    fn an_attempt_in_vain_is_spared_where_it_can_be() {
        for (tells, waiting, attempts) in [(true, 3, 3), (false, 3, 4), (true, 0, 1)] {
            let queue = Queue {
                waiting: Cell::new(waiting),
                attempts: Cell::new(0),
                tells,
            };
            let address = SocketAddr::from(([127, 0, 0, 1], 7));
            let mut listener = Listener::new(queue, address);
            let mut admitted = 0;
            let accepted = listener.accept(Instant::now(), 8, |_| admitted += 1);
            assert_eq!(admitted, waiting);
            assert!(accepted.paused.is_none());
            assert!(!listener.backlog.is_runnable(), "all have been accepted");
            assert_eq!(listener.socket.attempts.get(), attempts, "{tells}");
        }
    }

    #[test]
    fn whether_a_connection_waits_is_told_without_accepting_it() {
        let told = cfg!(all(
            feature = "batch",
            target_os = "linux",
            not(mio_unsupported_force_poll_poll)
        ));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &OPTIONS).unwrap();
        assert_eq!(listener.socket.may_wait(), !told);
        let _client = std::net::TcpStream::connect(listener.address()).unwrap();
        assert!(listener.socket.may_wait());
        drop(listener.socket.accept().unwrap());
        assert_eq!(listener.socket.may_wait(), !told);
    }

    #[test]
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    fn a_port_is_shared_by_those_who_all_agree_to_it() {
        let options = TcpOptions {
            reuse_port: true,
            ..OPTIONS
        };
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        Listener::bind(first.address(), &options).unwrap();
        let error = Listener::bind(first.address(), &OPTIONS).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    /// Pitfall 35: the peer's address is asked for too late when it has reset the connection.
    #[test]
    fn pitfall_35_a_connection_reset_before_it_is_accepted_still_has_its_address() {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &OPTIONS).unwrap();
        let client = std::net::TcpStream::connect(listener.address()).unwrap();
        let address = client.local_addr().unwrap();
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(client);
        let mut peers = Vec::new();
        listener.accept(Instant::now(), 1, |(_, peer)| peers.push(peer));
        assert_eq!(peers, [address]);
    }

    /// Pitfall 28: a restart must not have to wait for the last run's connections.
    #[test]
    fn pitfall_28_a_port_can_be_bound_again_at_once() {
        let mut address = "127.0.0.1:0".parse().unwrap();
        for _ in 0..20 {
            let mut listener = Listener::bind(address, &OPTIONS).unwrap();
            address = listener.address();
            let client = std::net::TcpStream::connect(address).unwrap();
            // Our side closes first, so ours is the one in TIME_WAIT.
            listener.accept(Instant::now(), 1, drop);
            drop(client);
        }
    }
}
