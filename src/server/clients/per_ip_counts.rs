//! The number of clients of each host, for `--max-conns-per-ip`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use crate::service::Prefix;

/// The capacity for hosts that is kept when few have clients.
const KEPT: usize = 1024;

/// The number of clients of each host, if there is a limit to it.
///
/// Holds an entry for each host that has a client, so its memory is bounded by theirs. A sender can't choose
/// addresses with equal hashes: the seed is random.
#[derive(Debug)]
pub(super) struct PerIpCounts {
    most: Option<NonZeroUsize>,
    clients: HashMap<Prefix, usize>,
}

impl PerIpCounts {
    /// No clients yet, and up to `most` of a host. `None`: any number.
    pub(super) fn new(most: Option<NonZeroUsize>) -> Self {
        let clients = HashMap::new();
        Self { most, clients }
    }

    /// Counts one more client of `address`, unless the limit is reached. Returns whether it did.
    pub(super) fn enter(&mut self, address: SocketAddr) -> bool {
        let Some(most) = self.most else {
            return true;
        };
        let clients = self.clients.entry(Prefix::host(address)).or_default();
        let room = *clients < most.get();
        *clients += usize::from(room);
        room
    }

    /// A client of `address` that was counted has left.
    pub(super) fn leave(&mut self, address: SocketAddr) {
        if self.most.is_none() {
            return;
        }
        if let Entry::Occupied(mut entry) = self.clients.entry(Prefix::host(address)) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        if self.clients.capacity() > KEPT.max(self.clients.len() * 8) {
            self.clients.shrink_to(self.clients.len() * 2);
        }
    }

    /// The number of all clients, if there is a limit.
    pub(super) fn total(&self) -> Option<usize> {
        self.most.map(|_| self.clients.values().sum())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// Pitfall 37: an IPv4 address written as IPv6 is not another host.
    #[test]
    fn pitfall_37_a_host_has_one_limit_however_it_comes() {
        let mut counts = PerIpCounts::new(NonZeroUsize::new(2));
        let ip = |text: &str| SocketAddr::new(text.parse().unwrap(), 4000);
        assert!(counts.enter(ip("192.0.2.1")));
        assert!(counts.enter(ip("::ffff:192.0.2.1")));
        assert!(!counts.enter(ip("192.0.2.1")));
        assert!(!counts.enter(ip("::ffff:192.0.2.1")));
        assert!(counts.enter(ip("192.0.2.2")), "another host");
        assert_eq!(counts.total(), Some(3), "a refused client is not counted");
        counts.leave(ip("192.0.2.1"));
        assert!(counts.enter(ip("::ffff:192.0.2.1")));
        assert!(!counts.enter(ip("::ffff:192.0.2.1")));
    }

    #[test]
    fn link_local_addresses_are_hosts_of_their_own() {
        let mut counts = PerIpCounts::new(NonZeroUsize::new(1));
        let hosts = ["[fe80::1%2]:1", "[fe80::2%2]:1", "[fe80::1%3]:1"];
        for host in hosts.map(|text| text.parse().unwrap()) {
            assert!(counts.enter(host), "{host}");
            assert!(!counts.enter(host), "{host}");
        }
        assert_eq!(counts.total(), Some(3));
    }

    #[test]
    fn hosts_without_clients_leave_nothing_behind() {
        let mut counts = PerIpCounts::new(NonZeroUsize::new(1));
        let hosts = || (0..100_000).map(|host| SocketAddr::from((Ipv4Addr::from_bits(host), 4000)));
        assert!(hosts().all(|host| counts.enter(host)));
        hosts().for_each(|host| counts.leave(host));
        assert_eq!(counts.total(), Some(0));
        assert!(counts.clients.capacity() <= 2 * KEPT, "{counts:?}");
    }

    #[test]
    fn without_a_limit_no_client_is_counted() {
        let mut counts = PerIpCounts::new(None);
        assert!((0..1000).all(|_| counts.enter((Ipv4Addr::LOCALHOST, 4000).into())));
        counts.leave((Ipv4Addr::LOCALHOST, 4000).into());
        assert!(counts.clients.is_empty());
    }
}
