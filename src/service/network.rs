//! What counts as one host, and as one network, where something is limited for each.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// The part of an address that tells hosts, or networks, apart.
///
/// An IPv4 address that comes by an IPv6 socket is the same as by its own (RFC 4291, section 2.5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    high: u64,
    low: u64,
    /// The interface of a link-local address: each has the same prefix (RFC 4007, section 6). 0 for
    /// others.
    interface: u32,
}

impl Prefix {
    /// The host that has `address`: an IPv4 address, the /64 that a site gives to one IPv6 host, or a
    /// link-local address and its interface.
    pub(crate) fn host(address: SocketAddr) -> Self {
        let whole = Self::whole(address);
        match address.ip().to_canonical() {
            IpAddr::V6(ip) if !ip.is_unicast_link_local() => Self { low: 0, ..whole },
            _ => whole,
        }
    }

    /// The network of `address`: the /24 of an IPv4 address, the /48 of an IPv6 address, which is what
    /// one site has (RFC 6177), or all link-local addresses of one interface.
    pub(crate) fn network(address: SocketAddr) -> Self {
        let whole = Self::whole(address);
        match address.ip().to_canonical() {
            IpAddr::V4(_) => Self {
                low: whole.low & !0xff,
                ..whole
            },
            IpAddr::V6(_) => Self {
                high: whole.high & !0xffff,
                low: 0,
                ..whole
            },
        }
    }

    /// The whole `address`, and its interface if it is link-local.
    pub(crate) fn whole(address: SocketAddr) -> Self {
        let bits = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let interface = match address {
            SocketAddr::V6(address) if address.ip().is_unicast_link_local() => address.scope_id(),
            _ => 0,
        };
        Self {
            high: (bits >> 64) as u64,
            low: bits as u64,
            interface,
        }
    }
}

/// In one piece, which is hashed faster than three: each datagram is.
impl Hash for Prefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.high.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.low.to_ne_bytes());
        bytes[16..].copy_from_slice(&self.interface.to_ne_bytes());
        state.write(&bytes);
    }
}

/// How many bytes of headers a UDP datagram has, to or from `ip`: 20 of IPv4 (RFC 791) or 40 of IPv6
/// (RFC 8200), and 8 of UDP (RFC 768).
pub(crate) fn header_size(ip: IpAddr) -> usize {
    match ip.to_canonical() {
        IpAddr::V4(_) => 28,
        IpAddr::V6(_) => 48,
    }
}

/// The kind of an address that is not that of one host, with its article. `None`: `ip` is the address of
/// one host, as far as it alone tells.
///
/// Subnet broadcast addresses depend on the configuration of an interface.
pub fn group_address(ip: IpAddr) -> Option<&'static str> {
    match ip.to_canonical() {
        ip if ip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(ip) if ip.is_broadcast() => Some("the broadcast address"),
        _ => None,
    }
}

/// The longest datagram to or from `ip`, in bytes without headers: 65,507 over IPv4 and 65,527 over IPv6.
///
/// The length field of UDP counts at most 65,535 bytes with its header of 8 (RFC 768). That of IPv4
/// counts its own header of 20 as well (RFC 791); that of IPv6 does not (RFC 8200).
pub fn datagram_max(ip: IpAddr) -> usize {
    const LENGTH_MAX: usize = u16::MAX as usize;
    match ip.to_canonical() {
        IpAddr::V4(_) => LENGTH_MAX - 28,
        IpAddr::V6(_) => LENGTH_MAX - 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        let text = if text.contains(':') {
            format!("[{text}]:7")
        } else {
            format!("{text}:7")
        };
        text.parse().unwrap()
    }

    #[test]
    fn one_host_has_one_prefix_whichever_socket_receives() {
        for (one, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("fe80::1%2", "fe80::1%2", true),
            ("fe80::1%2", "fe80::2%2", false),
            ("fe80::1%2", "fe80::1%3", false),
            // Only link-local addresses have an interface.
            ("2001:db8::1%2", "2001:db8::1%3", true),
        ] {
            let host = |text| Prefix::host(address(text));
            assert_eq!(host(one) == host(other), same, "{one}, {other}");
        }
    }

    #[test]
    fn network_is_a_24_a_48_or_a_link() {
        for (one, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.254", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:0:1::1", "2001:db8:0:ffff::1", true),
            ("2001:db8:0:1::1", "2001:db8:1:1::1", false),
            ("fe80::1%2", "fe80::2%2", true),
            ("fe80::1%2", "fe80::1%3", false),
        ] {
            let network = |text| Prefix::network(address(text));
            assert_eq!(network(one) == network(other), same, "{one}, {other}");
        }
    }

    #[test]
    fn group_addresses_are_multicast_and_broadcast() {
        for (text, group) in [
            ("224.0.0.1", Some("a multicast address")),
            ("::ffff:239.1.2.3", Some("a multicast address")),
            ("ff02::1", Some("a multicast address")),
            ("255.255.255.255", Some("the broadcast address")),
            ("0.0.0.0", None),
            ("192.0.2.255", None),
            ("::1", None),
        ] {
            assert_eq!(group_address(text.parse().unwrap()), group, "{text}");
        }
    }
}
