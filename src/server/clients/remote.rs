//! Where a client is.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// A client's address, in 24 bytes instead of the 32 of a [`SocketAddr`]: the flow label of IPv6, which says nothing of
/// where somebody is and is never printed, is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remote {
    V4(SocketAddrV4),
    V6 { ip: [u8; 16], port: u16, scope: u32 },
}

const _: () = assert!(
    size_of::<Remote>() == 24,
    "what an idle client costs is stated"
);

impl Remote {
    /// The address, with a flow label of 0.
    pub(super) fn socket_addr(self) -> SocketAddr {
        match self {
            Self::V4(address) => address.into(),
            Self::V6 { ip, port, scope } => SocketAddrV6::new(ip.into(), port, 0, scope).into(),
        }
    }
}

impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Self::V4(address),
            SocketAddr::V6(address) => Self::V6 {
                ip: address.ip().octets(),
                port: address.port(),
                scope: address.scope_id(),
            },
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_the_address_it_was_made_of() {
        for text in [
            "127.0.0.1:1",
            "[::1]:65535",
            "[fe80::1%3]:7",
            "[::ffff:1.2.3.4]:9",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(Remote::from(address).to_string(), text);
            assert_eq!(Remote::from(address).socket_addr(), address);
        }
    }
}
