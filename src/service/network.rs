//! What counts as one host.

use std::net::{IpAddr, Ipv6Addr};

/// What is limited together with `address`: an IPv6 host is given a whole /64, so that is one; and an IPv4 host that comes
/// by an IPv6 socket is the same as by its own (RFC 4291, 2.5.5.2).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_is_one_network_however_it_comes() {
        for (one, other, same) in [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let network = |text: &str| network(text.parse().unwrap());
            assert_eq!(network(one) == network(other), same, "{one}, {other}");
        }
    }
}
