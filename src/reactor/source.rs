//! Source addresses: the address that a socket is bound to before it connects.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// An IP address to connect from, and the interface of a link-local one.
///
/// A link-local address belongs to one interface. Its index (`scope_id`) tells which (RFC 4007); 0 is
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceAddr {
    ip: IpAddr,
    scope_id: u32,
}

impl SourceAddr {
    /// The IP address.
    pub const fn ip(self) -> IpAddr {
        self.ip
    }

    /// The index of the interface, or 0.
    pub const fn scope_id(self) -> u32 {
        self.scope_id
    }

    /// Whether `target` has the same address family, IPv4 or IPv6.
    pub const fn reaches(self, target: SocketAddr) -> bool {
        self.ip.is_ipv4() == target.is_ipv4()
    }

    /// The socket address to bind before connecting to `target`. The kernel chooses the port.
    ///
    /// bind(2) of a link-local address needs an interface (ipv6(7)). Without one of its own, the
    /// source has that of `target`: both ends of a connection are in one zone (RFC 4007, section 9).
    const fn to_socket_addr(self, target: SocketAddr) -> SocketAddr {
        match (self.ip, target) {
            (IpAddr::V6(ip), SocketAddr::V6(target)) => {
                let scope_id = match self.scope_id {
                    0 if ip.is_unicast_link_local() => target.scope_id(),
                    scope_id => scope_id,
                };
                SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, scope_id))
            }
            (ip, _) => SocketAddr::new(ip, 0),
        }
    }
}

impl From<IpAddr> for SourceAddr {
    fn from(ip: IpAddr) -> Self {
        Self { ip, scope_id: 0 }
    }
}

/// Takes the interface with the address, and ignores the port.
impl From<SocketAddr> for SourceAddr {
    fn from(address: SocketAddr) -> Self {
        let scope_id = match address {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(address) => address.scope_id(),
        };
        Self {
            ip: address.ip(),
            scope_id,
        }
    }
}

impl fmt::Display for SourceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope_id {
            0 => write!(f, "{}", self.ip),
            scope_id => write!(f, "{}%{scope_id}", self.ip),
        }
    }
}

/// Binds `socket` to `source` before it connects to `target`. The kernel chooses the port.
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
pub(super) fn bind_source(
    socket: &Socket,
    source: SourceAddr,
    target: SocketAddr,
) -> io::Result<()> {
    defer_port(socket);
    socket.bind(&source.to_socket_addr(target).into())
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

/// A blocking UDP socket that is connected to `address`, from `source` if that is given. Nothing is
/// sent.
///
/// # Errors
///
/// Those of socket(2), bind(2) and connect(2).
pub fn connect_datagrams(address: SocketAddr, source: Option<SourceAddr>) -> io::Result<UdpSocket> {
    datagram_socket(address, source, |_| Ok(())).map(Into::into)
}

/// A UDP socket that is connected to `address`, from `source` if that is given. `set_up` is called
/// before the socket is bound.
pub(super) fn datagram_socket(
    address: SocketAddr,
    source: Option<SourceAddr>,
    set_up: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    set_up(&socket)?;
    if let Some(source) = source {
        socket.bind(&source.to_socket_addr(address).into())?;
    }
    socket.connect(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(target_os = "linux", any(feature = "batch", feature = "bench")))]
    fn no_port_is_reserved_before_the_peer_is_known() {
        for source in ["127.0.0.88", "::1"] {
            let source: IpAddr = source.parse().unwrap();
            let domain = Domain::for_address((source, 0).into());
            let socket = Socket::new(domain, Type::STREAM, None).unwrap();
            match bind_source(&socket, source.into(), (source, 1).into()) {
                // This machine has no IPv6.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => continue,
                outcome => outcome.unwrap(),
            }
            let local = socket.local_addr().unwrap().as_socket().unwrap();
            assert_eq!((local.ip(), local.port()), (source, 0));
            assert!(!socket.reuse_address().unwrap());
        }
    }

    /// bind(2) of a link-local address without an interface fails (ipv6(7)).
    #[test]
    fn link_local_source_without_interface_takes_that_of_the_target() {
        let bound = |source: SourceAddr, target: &str| {
            let target: SocketAddr = target.parse().unwrap();
            source.to_socket_addr(target).to_string()
        };
        let ip: IpAddr = "fe80::77".parse().unwrap();
        let scoped: SocketAddr = "[fe80::77%3]:9".parse().unwrap();
        assert_eq!(bound(ip.into(), "[fe80::1%2]:7"), "[fe80::77%2]:0");
        assert_eq!(bound(scoped.into(), "[fe80::1%2]:7"), "[fe80::77%3]:0");
        assert_eq!(bound(scoped.into(), "[2001:db8::1]:7"), "[fe80::77%3]:0");
        let global: IpAddr = "2001:db8::2".parse().unwrap();
        assert_eq!(bound(global.into(), "[fe80::1%2]:7"), "[2001:db8::2]:0");
        let v4 = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(bound(v4.into(), "127.0.0.1:7"), "127.0.0.1:0");
        assert_eq!(SourceAddr::from(scoped).to_string(), "fe80::77%3");
        assert_eq!(SourceAddr::from(ip).to_string(), "fe80::77");
    }

    #[test]
    fn source_reaches_targets_of_its_address_family_only() {
        let source = SourceAddr::from(IpAddr::from([127, 0, 0, 9]));
        assert!(source.reaches(([192, 0, 2, 1], 1).into()));
        assert!(!source.reaches("[::1]:1".parse().unwrap()));
    }
}
