//! Which address and port each connection comes from.

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// What Linux hands out unless told otherwise (ip(7), `ip_local_port_range`).
const PORTS_DEFAULT: (u16, u16) = (32_768, 60_999);

/// Source addresses in turn, and on each of them every port in turn.
///
/// Left to the system, a port that is bound before it is known where to is never one that a connection to anywhere
/// has in `TIME_WAIT`, and a load that comes and goes soon runs out. So the ports are chosen here, the one that was
/// used longest ago first.
#[derive(Debug)]
pub(super) struct Ports {
    /// Of IPv4 and of IPv6: a server is reached from an address of its own kind.
    kinds: [Cycle; 2],
    first: u16,
    count: u32,
}

#[derive(Debug)]
struct Cycle {
    sources: Vec<IpAddr>,
    taken: u64,
}

impl Ports {
    pub(super) fn new(sources: &[IpAddr], seed: u64) -> Self {
        let (first, last) = port_range();
        let count = u32::from(last - first) + 1;
        let (v4, v6): (Vec<_>, Vec<_>) = sources.iter().partition(|source| source.is_ipv4());
        let cycle = |sources: Vec<IpAddr>| Cycle {
            // Runs that follow each other do not all begin at the same port.
            taken: seed % u64::from(count) * sources.len().max(1) as u64,
            sources,
        };
        Self {
            kinds: [cycle(v4), cycle(v6)],
            first,
            count,
        }
    }

    /// Where the next connection to `target` comes from. `None`: wherever the system says.
    pub(super) fn next(&mut self, target: SocketAddr) -> Option<SocketAddr> {
        let Cycle { sources, taken } = &mut self.kinds[usize::from(target.is_ipv6())];
        let all = sources.len() as u64;
        if all == 0 {
            return None;
        }
        let source = sources[(*taken % all) as usize];
        let port = *taken / all % u64::from(self.count);
        *taken += 1;
        Some(SocketAddr::new(source, self.first + port as u16))
    }

    /// How many attempts may fail for want of their port before it is given up for the moment.
    pub(super) fn attempts(&self, target: SocketAddr) -> u32 {
        let Cycle { sources, .. } = &self.kinds[usize::from(target.is_ipv6())];
        if sources.is_empty() { 1 } else { 64 }
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
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_port_of_every_address_comes_before_any_comes_again() {
        let mut sources: Vec<IpAddr> = (1..=3).map(|last| [127, 0, 0, last].into()).collect();
        sources.push([0, 0, 0, 0, 0, 0, 0, 1].into());
        let (one, other) = ("127.0.0.9:7".parse().unwrap(), "[::1]:7".parse().unwrap());
        let mut ports = Ports::new(&sources, 12_345);
        let all = ports.count as usize;
        let (first, last) = port_range();
        for (target, all) in [(one, 3 * all), (other, all)] {
            let seen: HashSet<_> = (0..all).map(|_| ports.next(target).unwrap()).collect();
            assert_eq!(seen.len(), all);
            assert!(seen.iter().all(|address: &SocketAddr| {
                address.is_ipv4() == target.is_ipv4() && (first..=last).contains(&address.port())
            }));
        }
        assert_eq!(Ports::new(&[], 0).next(one), None);
        assert_eq!(Ports::new(&sources[..3], 0).next(other), None);
    }
}
