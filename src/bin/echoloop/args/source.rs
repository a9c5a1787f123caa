//! A source address, as typed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

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
}
