//! Source addresses, as typed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The most source addresses: a /16.
const SOURCES_MAX: usize = 1 << 16;

/// An address to connect from: 127.0.0.1, ::1, or fe80::1%eth0 with the interface of a link-local
/// address (RFC 4007, section 11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceArg {
    pub(crate) ip: IpAddr,
    /// The name or the number of the interface.
    pub(crate) interface: Option<String>,
}

impl FromStr for SourceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (ip, interface) = match text.split_once('%') {
            Some((ip, interface)) => (ip, Some(interface)),
            None => (text, None),
        };
        match (ip.parse(), interface) {
            (Ok(ip @ IpAddr::V6(_)), Some(interface)) if is_name(interface) => Ok(Self {
                ip,
                interface: Some(interface.to_owned()),
            }),
            (Ok(ip), None) => Ok(Self {
                ip,
                interface: None,
            }),
            _ => Err("write an address, such as 127.0.0.1, ::1 or fe80::1%eth0".to_owned()),
        }
    }
}

/// Whether an interface can have this name. Linux allows no colon (`dev_valid_name`).
fn is_name(interface: &str) -> bool {
    !interface.is_empty() && !interface.contains(':')
}

impl fmt::Display for SourceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{}%{interface}", self.ip),
            None => write!(f, "{}", self.ip),
        }
    }
}

/// Source addresses, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourcesArg(pub(crate) Vec<SourceArg>);

impl FromStr for SourcesArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how = || "write addresses, such as 127.0.0.1 or 127.0.0.1-127.0.0.8,::1".to_owned();
        let mut addresses = Vec::new();
        for part in text.split(',') {
            // The name of an interface may contain a hyphen, as in fe80::1-fe80::8%br-lan.
            let (ips, interface) = match part.split_once('%') {
                Some((ips, interface)) => (ips, Some(interface)),
                None => (part, None),
            };
            let (first, last) = ips.split_once('-').unwrap_or((ips, ips));
            let last = interface.map_or_else(|| last.to_owned(), |name| format!("{last}%{name}"));
            let first: IpAddr = first.parse().map_err(|_| how())?;
            let SourceArg { ip, interface } = last.parse().map_err(|_| how())?;
            let room = SOURCES_MAX - addresses.len();
            let range = range(first, ip, room).ok_or_else(how)?;
            addresses.extend(range.into_iter().map(|ip| SourceArg {
                ip,
                interface: interface.clone(),
            }));
        }
        Ok(Self(addresses))
    }
}

/// The addresses from `first` to `last`, if they are in order and not more than `most`.
fn range(first: IpAddr, last: IpAddr, most: usize) -> Option<Vec<IpAddr>> {
    let fits = |count: u128| count < most as u128;
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            let count = last.checked_sub(first)?;
            fits(count.into()).then(|| {
                (first..=last)
                    .map(|bits| Ipv4Addr::from_bits(bits).into())
                    .collect()
            })
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            let count = last.checked_sub(first)?;
            fits(count).then(|| {
                (first..=last)
                    .map(|bits| Ipv6Addr::from_bits(bits).into())
                    .collect()
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_an_address_and_may_have_an_interface() {
        for text in [
            "127.0.0.1",
            "::1",
            "fe80::1%eth0",
            "fe80::1%3",
            "fe80::1%br-lan",
        ] {
            let source: SourceArg = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        for text in [
            "",
            "localhost",
            "127.0.0.1%lo",
            "fe80::1%",
            "fe80::1%lo:1",
            "%lo",
            "[::1]",
        ] {
            assert!(text.parse::<SourceArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn sources_are_addresses_and_ranges_of_them() {
        let sources: SourcesArg = "127.0.0.255-127.0.1.1,::1".parse().unwrap();
        let texts: Vec<String> = sources.0.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["127.0.0.255", "127.0.1.0", "127.0.1.1", "::1"]);
        let sources: SourcesArg = "fe80::1-fe80::2%br-lan,fe80::9%1".parse().unwrap();
        let texts: Vec<String> = sources.0.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["fe80::1%br-lan", "fe80::2%br-lan", "fe80::9%1"]);
        for text in [
            "",
            "localhost",
            "127.0.0.2-127.0.0.1",
            "0.0.0.0-255.255.255.255",
            "127.0.0.1-::1",
            "127.0.0.1-127.0.0.2%lo",
            "fe80::1%lo-fe80::2%lo",
        ] {
            assert!(text.parse::<SourcesArg>().is_err(), "{text}");
        }
    }
}
