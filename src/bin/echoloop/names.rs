//! Host names and addresses with an interface, looked up before a loop runs, because looking up
//! blocks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use echoloop::reactor::SourceAddr;
use echoloop::service::group_address;
#[cfg(target_os = "linux")]
use nix::sys::socket::SockaddrStorage;

use crate::Failure;
use crate::args::SourceArg;

/// Every address of `host`, in the order of the resolver (RFC 6724): at least one.
///
/// Link-local addresses without an interface are left out: no socket can be bound or connected to them
/// (ipv6(7)). Multicast and broadcast addresses are refused: TCP has none, and no multicast group is
/// joined.
///
/// # Errors
///
/// If there is no such address: why, and the remedy.
pub(crate) fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    let remedy = "check the name, or give a numeric address";
    let found = (host, port).to_socket_addrs().map_err(|error| {
        unknown_interface(host).unwrap_or_else(|| {
            Failure::Failed(format!(
                "no address is known for '{host}' ({error}); {remedy}"
            ))
        })
    })?;
    let found: Vec<SocketAddr> = found.collect();
    if let Some(group) = found.iter().find_map(|address| group(address.ip())) {
        return Err(Failure::Usage(format!(
            "{group}, and stands for several hosts: give the address of one host or interface"
        )));
    }
    let (incomplete, usable): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|&address| needs_interface(&address.into()));
    match (usable.first(), incomplete.first()) {
        (Some(address), _) if !has_interface(address) => Err(Failure::Usage(format!(
            "'{host}': this machine has no interface of that number; see 'ip link'"
        ))),
        (Some(_), _) => Ok(usable),
        (None, Some(address)) => Err(Failure::Usage(format!(
            "{address} is a link-local address and needs an interface: write [{}%eth0]:{port} with \
             a name from 'ip link'",
            address.ip()
        ))),
        (None, None) => Err(Failure::Failed(format!(
            "'{host}' has no address; {remedy}"
        ))),
    }
}

/// A host and a port as they are typed: an IPv6 address is in brackets.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The address of `arg`, and the index of its interface.
///
/// # Errors
///
/// If this machine does not have the interface, or if it is a multicast or broadcast address.
pub(crate) fn source(arg: &SourceArg) -> Result<SourceAddr, Failure> {
    if let Some(group) = group(arg.ip) {
        return Err(Failure::Usage(format!(
            "--source {group}, from which nothing can be sent: give an address of this machine"
        )));
    }
    if arg.interface.is_none() {
        return Ok(arg.ip.into());
    }
    let found = addresses(&arg.to_string(), 0).map_err(|failure| {
        let (Failure::Usage(line) | Failure::Failed(line)) = failure;
        Failure::Usage(format!("--source {line}"))
    })?;
    let found = found.first().copied();
    Ok(found.map_or_else(|| arg.ip.into(), Into::into))
}

/// Those of `addresses` that a connection from one of `sources` can reach. Without
/// sources all of them.
///
/// # Errors
///
/// If all addresses are of the other family, or if a link-local source has no interface and the
/// addresses have none either.
pub(crate) fn reachable(
    addresses: Vec<SocketAddr>,
    sources: &[SourceAddr],
) -> Result<Vec<SocketAddr>, Failure> {
    let Some(source) = sources.first() else {
        return Ok(addresses);
    };
    let gives_none = |address: &SocketAddr| SourceAddr::from(*address).scope_id() == 0;
    let mut incomplete = sources.iter().copied().filter(needs_interface);
    if let Some(source) = incomplete.next()
        && addresses.iter().all(gives_none)
    {
        return Err(Failure::Usage(format!(
            "--source {source} is a link-local address and needs an interface: write \
             {source}%eth0 with a name from 'ip link'"
        )));
    }
    let is_reached = |address: &SocketAddr| sources.iter().any(|source| source.reaches(*address));
    let (reached, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_reached);
    match (reached.first(), others.first()) {
        (None, Some(other)) => Err(Failure::Usage(format!(
            "{other} can't be reached from --source {source}: give addresses of the same kind, IPv4 \
             or IPv6"
        ))),
        _ => Ok(reached),
    }
}

/// That `ip` is a multicast or broadcast address, and of which kind.
fn group(ip: IpAddr) -> Option<String> {
    let ip = ip.to_canonical();
    if let Some(kind) = group_address(ip) {
        return Some(format!("{ip} is {kind}"));
    }
    let IpAddr::V4(v4) = ip else { return None };
    let interface = broadcasting_interface(v4)?;
    Some(format!("{ip} is the broadcast address of {interface}"))
}

/// The interface of this machine in whose subnet `ip` is the broadcast address (RFC 922), as far as the
/// system lists its interfaces.
#[cfg(target_os = "linux")]
fn broadcasting_interface(ip: Ipv4Addr) -> Option<String> {
    // A subnet of one or two addresses has no broadcast address (RFC 3021), so that of any subnet ends in two
    // ones. The list of interfaces takes a few system calls.
    if ip.to_bits() & 0b11 != 0b11 {
        return None;
    }
    let mut interfaces = nix::ifaddrs::getifaddrs().ok()?;
    let interface = interfaces.find(|interface| {
        let of = |address: Option<SockaddrStorage>| Some(address?.as_sockaddr_in()?.ip().to_bits());
        let (Some(own), Some(mask)) = (of(interface.address), of(interface.netmask)) else {
            return false;
        };
        mask.leading_ones() <= 30 && own | !mask == ip.to_bits()
    });
    interface.map(|interface| interface.interface_name)
}

#[cfg(not(target_os = "linux"))]
const fn broadcasting_interface(_: Ipv4Addr) -> Option<String> {
    None
}

/// Whether `address` needs an interface, and has none (RFC 4007, section 6).
fn needs_interface(address: &SourceAddr) -> bool {
    match address.ip() {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => address.scope_id() == 0 && is_link_local(ip),
    }
}

/// Whether `ip` is a link-local unicast address, or a multicast address of interface-local or
/// link-local scope (RFC 4291, sections 2.5.6 and 2.7).
fn is_link_local(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.octets();
    ip.is_unicast_link_local() || (first == 0xff && matches!(second & 0xf, 1 | 2))
}

/// That the interface of an address such as fe80::1%eth0 is unknown, if `host` is such an address.
fn unknown_interface(host: &str) -> Option<Failure> {
    let (ip, interface) = host.split_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some(Failure::Usage(if is_link_local(ip) {
        format!("'{host}': this machine has no interface '{interface}'; see 'ip link'")
    } else {
        format!("'{host}': only link-local addresses have an interface; leave out '%{interface}'")
    }))
}

/// Whether this machine has the interface of `address`. The resolver takes every number.
fn has_interface(address: &SocketAddr) -> bool {
    #[cfg(target_os = "linux")]
    if let SocketAddr::V6(address) = address
        && address.scope_id() != 0
    {
        // nix 0.31 returns an empty name instead of the error ENXIO.
        let name = nix::net::if_::if_indextoname(address.scope_id());
        return name.is_ok_and(|name| !name.is_empty());
    }
    let _ = address;
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(failure: Failure) -> String {
        let (Failure::Usage(line) | Failure::Failed(line)) = failure;
        line
    }

    #[test]
    fn link_local_addresses_need_an_interface() {
        for (host, part) in [
            ("fe80::77", "write [fe80::77%eth0]:9"),
            ("fe80::77%0", "write [fe80::77%eth0]:9"),
            ("fe80::77%no-such", "no interface 'no-such'"),
            ("fe80::77%999999", "no interface of that number"),
            ("2001:db8::1%lo", "leave out '%lo'"),
        ] {
            let failure = addresses(host, 9).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{host}: {failure:?}");
            let line = line(failure);
            assert!(
                line.contains(part) && line.contains(host.split('%').next().unwrap()),
                "{line}"
            );
        }
        for host in ["::1", "127.0.0.1", "2001:db8::1", "fe80::77%1"] {
            assert_eq!(addresses(host, 9).unwrap().len(), 1, "{host}");
        }
    }

    #[test]
    fn multicast_and_broadcast_addresses_are_refused_with_the_reason() {
        for (host, part) in [
            ("224.0.0.251", "224.0.0.251 is a multicast address"),
            ("ff02::1", "ff02::1 is a multicast address"),
            ("ff02::1%1", "ff02::1 is a multicast address"),
            (
                "255.255.255.255",
                "255.255.255.255 is the broadcast address",
            ),
            (
                "127.255.255.255",
                "127.255.255.255 is the broadcast address of lo",
            ),
        ] {
            let failure = addresses(host, 9).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{host}: {failure:?}");
            let line = line(failure);
            assert!(
                line.contains(part) && line.contains("give the address"),
                "{line}"
            );
            let Ok(arg) = host.parse() else { continue };
            let line = self::line(source(&arg).unwrap_err());
            assert!(line.starts_with(&format!("--source {part}")), "{line}");
        }
        assert!(addresses("127.255.255.254", 9).is_ok());
    }

    #[test]
    fn only_addresses_of_the_family_of_a_source_are_reachable() {
        let all = ["[::1]:7", "127.0.0.1:7"].map(|text| text.parse().unwrap());
        let source = |text: &str| source(&text.parse().unwrap()).unwrap();
        let reached = |sources: &[SourceAddr]| reachable(all.to_vec(), sources).unwrap();
        assert_eq!(reached(&[]), all);
        assert_eq!(reached(&[source("127.0.0.2")]), all[1..]);
        assert_eq!(reached(&[source("fe80::2%1")]), all[..1]);
        assert_eq!(reached(&[source("::2"), source("127.0.0.2")]), all);
        let failure = reachable(all[..1].to_vec(), &[source("127.0.0.2")]).unwrap_err();
        let line = line(failure);
        assert!(
            line.contains("[::1]:7 can't be reached from --source 127.0.0.2"),
            "{line}"
        );
    }
}
