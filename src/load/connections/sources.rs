//! Which address each connection comes from, and the ports that the system has for it.

use std::fs;
use std::net::SocketAddr;

use crate::reactor::SourceAddr;

/// What Linux hands out unless told otherwise (ip(7), `ip_local_port_range`).
const PORTS_DEFAULT: (u16, u16) = (32_768, 60_999);

/// How many source addresses an attempt to connect may try. They are used in turn, so when one has
/// no port left, the others soon have none either; and the kernel looks at every port before it
/// says so, which takes milliseconds.
const ATTEMPTS_MAX: usize = 4;

/// Source addresses in turn. The system chooses the ports.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Of IPv4 and of IPv6: a server is reached from an address of its own kind.
    kinds: [Cycle; 2],
}

#[derive(Debug)]
struct Cycle {
    sources: Vec<SourceAddr>,
    next: usize,
}

impl Sources {
    pub(crate) fn new(sources: &[SourceAddr]) -> Self {
        let (v4, v6) = sources.iter().partition(|source| source.ip().is_ipv4());
        Self {
            kinds: [v4, v6].map(|sources| Cycle { sources, next: 0 }),
        }
    }

    /// Where the next connection to `target` comes from. `None`: from the address that the system
    /// chooses.
    pub(crate) fn next(&mut self, target: SocketAddr) -> Option<SourceAddr> {
        let Cycle { sources, next } = &mut self.kinds[usize::from(target.is_ipv6())];
        let source = *sources.get(*next)?;
        *next = (*next + 1) % sources.len();
        Some(source)
    }

    /// How many sources an attempt to connect to `target` may try while each of them has no port
    /// left.
    pub(crate) fn attempts(&self, target: SocketAddr) -> usize {
        let Cycle { sources, .. } = &self.kinds[usize::from(target.is_ipv6())];
        sources.len().clamp(1, ATTEMPTS_MAX)
    }
}

/// The first and the last port that connections are given.
pub fn port_range() -> (u16, u16) {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    match (words.next().flatten(), words.next().flatten()) {
        (Some(first), Some(last)) if first <= last => (first, last),
        _ => PORTS_DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn sources_of_the_servers_kind_are_used_in_turn() {
        let v4 = (1..=5).map(|last| IpAddr::from([127, 0, 0, last]).into());
        let mut all: Vec<SourceAddr> = v4.collect();
        // The interface is part of a link-local address.
        all.push("[fe80::1%3]:0".parse::<SocketAddr>().unwrap().into());
        let (one, other) = ("127.0.0.9:7".parse().unwrap(), "[::1]:7".parse().unwrap());
        let mut sources = Sources::new(&all);
        for number in 0..12 {
            assert_eq!(sources.next(one), Some(all[number % 5]));
            assert_eq!(sources.next(other), Some(all[5]));
        }
        assert_eq!((sources.attempts(one), sources.attempts(other)), (4, 1));
        let mut none = Sources::new(&[]);
        assert_eq!((none.next(one), none.attempts(one)), (None, 1));
        assert_eq!(Sources::new(&all[..3]).next(other), None);
    }
}
