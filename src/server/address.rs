//! Where a server listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// One address of this machine. Port 0 lets the system choose.
    At(SocketAddr),
    /// Another address of the same name as the address before it in the list. If the system chooses the
    /// port of that, it is the port of this one too.
    SamePort(SocketAddr),
    /// Every interface, IPv4 and IPv6, by two sockets on one port.
    Everywhere(u16),
}

impl Address {
    /// How many sockets it takes.
    pub const fn sockets(self) -> usize {
        match self {
            Self::At(_) | Self::SamePort(_) => 1,
            Self::Everywhere(_) => 2,
        }
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(self) -> bool {
        self.ip().is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    /// The IP address, unless it is every one.
    pub(super) const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::At(address) | Self::SamePort(address) => Some(address.ip()),
            Self::Everywhere(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) | Self::SamePort(address) => address.fmt(f),
            Self::Everywhere(port) => write!(f, ":{port}"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::At(address)
    }
}
