//! A TCP connection that is being made.

use std::io;
use std::net::SocketAddr;

use mio::net::{TcpStream, UdpSocket};
use mio::{Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::buffer_sizes::BufferSizes;
use super::net::Attempt;
use super::source::{SourceAddr, bind_source, datagram_socket};
use super::stream_interests;

/// `EINPROGRESS` on Linux: the connection is being made. The standard library has no
/// [`io::ErrorKind`] for it.
const EINPROGRESS: i32 = 115;

/// A connection that has been asked for and is not there yet.
///
/// # Writable is not connected
///
/// An event only says that something has happened to the attempt, and may say it too early. What has
/// happened, [`check`](Self::check) finds out; while it is [`Dialled::Pending`], there is nothing to do
/// but to wait for the next event. Nobody answers for a peer that never does: put a deadline on it.
#[derive(Debug)]
pub struct Dial {
    stream: TcpStream,
    address: SocketAddr,
}

/// How the socket of an attempt is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialOptions {
    /// Small writes are not delayed (`TCP_NODELAY`).
    pub nodelay: bool,
    /// The sizes of the kernel's buffers.
    pub buffers: BufferSizes,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            buffers: BufferSizes::default(),
        }
    }
}

/// How an attempt to connect stands.
#[derive(Debug)]
pub enum Dialled<A: Attempt = Dial> {
    /// The connection is there, registered as the attempt was.
    Connected(A::Stream),
    /// There will be none.
    Failed(io::Error),
    /// It is not decided yet.
    Pending(A),
}

impl Dial {
    /// Asks for a connection to `address`, from the address `source` if that is given. The system
    /// chooses the port, one that is free for this pair of addresses; other programs keep theirs
    /// (`bind_source` in `source.rs`).
    ///
    /// # Errors
    ///
    /// What the system knows at once: `NetworkUnreachable`, for one, or `AddrNotAvailable` for a source
    /// that is not this machine's, or if every local port to `address` is in use or in `TIME_WAIT`.
    pub fn start(
        address: SocketAddr,
        source: Option<SourceAddr>,
        options: &DialOptions,
    ) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(options.nodelay)?;
        options.buffers.set(&socket)?;
        if let Some(source) = source {
            bind_source(&socket, source, address)?;
        }
        match socket.connect(&address.into()) {
            Err(error) if !is_in_progress(&error) => Err(error),
            _ => Ok(Self {
                stream: TcpStream::from_std(socket.into()),
                address,
            }),
        }
    }

    /// Registers the attempt: after an event of `token` it is to be checked.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, stream_interests())
    }

    /// The address that is being connected to.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How the attempt stands: an error that has come, or a peer that is there, decides it.
    ///
    /// # A port that is nobody's
    ///
    /// On loopback, an attempt may be given the very port it is for as its own, and then finds itself
    /// listening (a simultaneous open). Such a connection is to nobody, and counts as refused.
    pub fn check(self) -> Dialled {
        if let Some(error) = self.stream.take_error().transpose() {
            return Dialled::Failed(error.unwrap_or_else(|error| error));
        }
        match (self.stream.peer_addr(), self.stream.local_addr()) {
            (Ok(peer), Ok(local)) if peer == local => {
                Dialled::Failed(io::ErrorKind::ConnectionRefused.into())
            }
            (Ok(_), _) => Dialled::Connected(self.stream),
            (Err(error), _) if error.kind() == io::ErrorKind::NotConnected => {
                Dialled::Pending(self)
            }
            (Err(error), _) => Dialled::Failed(error),
        }
    }
}

/// A datagram socket that talks to `address` and to nobody else, from `source` if that is given.
///
/// # Errors
///
/// Those of binding and connecting, which for datagrams sends nothing.
pub fn dial_datagrams(
    address: SocketAddr,
    source: Option<SourceAddr>,
    options: &DialOptions,
) -> io::Result<UdpSocket> {
    let socket = datagram_socket(address, source, |socket| {
        socket.set_nonblocking(true)?;
        options.buffers.set(socket)
    })?;
    Ok(UdpSocket::from_std(socket.into()))
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || (cfg!(target_os = "linux") && error.raw_os_error() == Some(EINPROGRESS))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener};
    use std::time::Instant;

    use socket2::SockRef;

    use super::*;
    use crate::connection::Stream;
    use crate::reactor::BUFFER_MAX;
    use crate::reactor::{Event, Handler, Next, Reactor, fixed_token};

    /// Waits for one attempt to be decided.
    struct Caller(Option<Dial>, Option<io::Result<TcpStream>>);

    impl Handler for Caller {
        fn ready(&mut self, _event: &Event) {
            match self.0.take().map(Dial::check) {
                Some(Dialled::Connected(stream)) => self.1 = Some(Ok(stream)),
                Some(Dialled::Failed(error)) => self.1 = Some(Err(error)),
                Some(Dialled::Pending(dial)) => self.0 = Some(dial),
                None => {}
            }
        }

        fn turn(&mut self, _registry: &Registry, _now: Instant) -> Next {
            if self.1.is_some() {
                Next::Stop
            } else {
                Next::Wait(None)
            }
        }
    }

    /// A socket with a port of its own that does not listen.
    fn bound() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        socket
    }

    fn dial(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
        let mut reactor = Reactor::new().unwrap();
        let source = source.map(SourceAddr::from);
        let mut dial = Dial::start(address, source, &DialOptions::default())?;
        dial.register(reactor.registry(), fixed_token(0)).unwrap();
        let mut caller = Caller(Some(dial), None);
        reactor.run(&mut caller).unwrap();
        caller.1.expect("decided")
    }

    #[test]
    fn a_listener_is_reached_from_the_source_that_was_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = dial(address, None).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(stream.nodelay().unwrap());
        let source = IpAddr::from([127, 0, 0, 9]);
        let stream = dial(address, Some(source)).unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), source);
    }

    #[test]
    fn a_port_where_nobody_listens_refuses() {
        // Bound, so that nobody else gets it, and not listening.
        let socket = bound();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let error = dial(address, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_source_that_is_not_ours_is_an_error_at_once() {
        // Documentation addresses (RFC 5737) are no machine's.
        let error = Dial::start(
            ([127, 0, 0, 1], 1).into(),
            Some(IpAddr::from([192, 0, 2, 1]).into()),
            &DialOptions::default(),
        );
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn what_can_never_be_reached_is_an_error_at_once() {
        // There are no streams to many (RFC 9293, section 3.9.2.3).
        let many = SocketAddr::from(([224, 0, 0, 1], 7));
        let error = Dial::start(many, None, &DialOptions::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable);
    }

    #[test]
    fn the_buffers_of_both_kinds_of_sockets_are_as_large_as_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sizes = |send, receive| {
            let options = DialOptions {
                buffers: BufferSizes {
                    send: Some(send),
                    receive: Some(receive),
                },
                ..DialOptions::default()
            };
            let dial = Dial::start(address, None, &options).unwrap();
            let datagrams = dial_datagrams(address, None, &options).unwrap();
            [SockRef::from(&dial.stream), SockRef::from(&datagrams)].map(|socket| {
                (
                    socket.send_buffer_size().unwrap(),
                    socket.recv_buffer_size().unwrap(),
                )
            })
        };
        let (first, second) = (sizes(8192, 32768), sizes(16384, 65536));
        for (small, large) in first.into_iter().zip(second) {
            assert_eq!((2 * small.0, 2 * small.1), large);
            assert!(small.0 < small.1, "each size is its own buffer's");
        }
    }

    #[test]
    fn buffers_larger_than_an_int_are_refused() {
        let address = bound().local_addr().unwrap().as_socket().unwrap();
        for (send, receive) in [
            (Some(BUFFER_MAX + 1), None),
            (None, Some(2 * (BUFFER_MAX + 1))),
            (None, Some(usize::MAX)),
        ] {
            let options = DialOptions {
                buffers: BufferSizes { send, receive },
                ..DialOptions::default()
            };
            let error = Dial::start(address, None, &options).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let error = dial_datagrams(address, None, &options).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_connection_that_is_to_end_by_a_reset_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = dial(listener.local_addr().unwrap(), None).unwrap();
        stream.reset_on_close().unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        drop(stream);
        let error = io::Read::read(&mut peer, &mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn an_attempt_that_is_not_answered_stays_pending_however_often_it_is_checked() {
        // The kernel drops what comes once as many connections wait as it was told to keep.
        let listener = bound();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let attempts: Vec<Dial> = (0..8)
            .map(|_| Dial::start(address, None, &DialOptions::default()).unwrap())
            .collect();
        let mut pending = 0;
        for mut attempt in attempts {
            for _ in 0..3 {
                match attempt.check() {
                    Dialled::Pending(again) => {
                        attempt = again;
                        pending += 1;
                    }
                    Dialled::Connected(_) => break,
                    Dialled::Failed(error) => panic!("{error}"),
                }
            }
        }
        assert!(
            pending >= 9,
            "at least three of eight stay unanswered: {pending}"
        );
    }

    #[test]
    fn a_connection_to_oneself_is_none() {
        // The source is given the port that is dialled: a simultaneous open of one socket.
        let socket = bound();
        let address = socket.local_addr().unwrap();
        socket.connect(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = address.as_socket().unwrap();
        let dial = Dial {
            stream: TcpStream::from_std(socket.into()),
            address,
        };
        let Dialled::Failed(error) = dial.check() else {
            panic!("to oneself")
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
