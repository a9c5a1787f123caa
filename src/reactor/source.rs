//! Connections from a source address that the caller chooses.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Binds `socket` to the address `source`. The kernel chooses the port.
///
/// # The port is chosen by `connect(2)`
///
/// `bind(2)` to port 0 reserves a port that no other socket of the machine uses, connected or in
/// `TIME_WAIT`, because the peer is not known yet. A load that opens and closes connections then
/// takes every ephemeral port away from other programs for a minute. With `IP_BIND_ADDRESS_NO_PORT`
/// (ip(7), Linux 4.2) `bind(2)` reserves none, and `connect(2)` chooses a port as it does without a
/// source address: only the pair of both addresses and ports has to be unique.
///
/// On other systems, older kernels, and without the features `batch` and `bench`, `bind(2)`
/// reserves a port.
pub(super) fn bind_source(socket: &Socket, source: IpAddr) -> io::Result<()> {
    defer_port(socket);
    socket.bind(&SocketAddr::new(source, 0).into())
}

#[cfg(all(target_os = "linux", any(feature = "batch", feature = "bench")))]
fn defer_port(socket: &Socket) {
    use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};

    // A kernel without the option reserves a port, which costs other programs one and is no reason
    // to fail. The option is one of the level IPPROTO_IP for IPv6 sockets as well.
    let _ = setsockopt(socket, IpBindAddressNoPort, &true);
}

#[cfg(not(all(target_os = "linux", any(feature = "batch", feature = "bench"))))]
const fn defer_port(_socket: &Socket) {}

/// Connects to `address` from `source`, if that is given, and blocks for up to `timeout`. The port
/// is chosen as by [`Dial::start`](super::Dial::start), so this call finds a port if an attempt of
/// that kind would.
///
/// # Errors
///
/// Those of the system calls, and `TimedOut`.
pub fn connect_from(
    address: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        bind_source(&socket, source)?;
    }
    socket.connect_timeout(&address.into(), timeout)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", any(feature = "batch", feature = "bench")))]
    fn no_port_is_reserved_before_the_peer_is_known() {
        for source in ["127.0.0.88", "::1"] {
            let source: IpAddr = source.parse().unwrap();
            let domain = Domain::for_address((source, 0).into());
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            match bind_source(&socket, source) {
                // This machine has no IPv6.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => continue,
                outcome => outcome.unwrap(),
            }
            let local = socket.local_addr().unwrap().as_socket().unwrap();
            assert_eq!((local.ip(), local.port()), (source, 0));
            assert!(!socket.reuse_address().unwrap());
        }
    }

    #[test]
    fn a_connection_comes_from_its_source() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let source = IpAddr::from([127, 0, 0, 9]);
        let stream = connect_from(address, Some(source), Duration::from_secs(9)).unwrap();
        assert_eq!(stream.local_addr().unwrap().ip(), source);
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        let stream = connect_from(address, None, Duration::from_secs(9)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }
}
