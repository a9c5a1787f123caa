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
    sources: Vec<IpAddr>,
    first: u16,
    count: u32,
    taken: u64,
}

impl Ports {
    pub(super) fn new(sources: Vec<IpAddr>, seed: u64) -> Self {
        let (first, last) = port_range();
        let count = u32::from(last - first) + 1;
        Self {
            // Runs that follow each other do not all begin at the same port.
            taken: seed % u64::from(count) * sources.len().max(1) as u64,
            sources,
            first,
            count,
        }
    }

    /// Where the next connection comes from. `None`: wherever the system says.
    pub(super) fn next(&mut self) -> Option<SocketAddr> {
        let sources = self.sources.len() as u64;
        if sources == 0 {
            return None;
        }
        let source = self.sources[(self.taken % sources) as usize];
        let port = self.taken / sources % u64::from(self.count);
        self.taken += 1;
        Some(SocketAddr::new(source, self.first + port as u16))
    }

    /// How many attempts may fail for want of their port before it is given up for the moment.
    pub(super) const fn attempts(&self) -> u32 {
        if self.sources.is_empty() { 1 } else { 64 }
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
        let sources: Vec<IpAddr> = (1..=3).map(|last| [127, 0, 0, last].into()).collect();
        let mut ports = Ports::new(sources, 12_345);
        let all = 3 * ports.count as usize;
        let seen: HashSet<_> = (0..all).map(|_| ports.next().unwrap()).collect();
        assert_eq!(seen.len(), all);
        let (first, last) = port_range();
        assert!(
            seen.iter()
                .all(|address| (first..=last).contains(&address.port()))
        );
        assert_eq!(Ports::new(Vec::new(), 0).next(), None);
    }
}
