//! How many clients come from one host.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::num::NonZeroUsize;

use crate::service::network;

/// How much room for hosts is kept when hardly any is there.
const KEPT: usize = 1024;

/// The clients of each host, as far as there is a limit to them.
///
/// Holds an entry for each host that has a client, so its memory is bounded by theirs. A sender can't choose
/// addresses that fall together: the seed is random.
#[derive(Debug)]
pub(super) struct Origins {
    most: Option<NonZeroUsize>,
    clients: HashMap<IpAddr, usize>,
}

impl Origins {
    /// Nobody yet, and at most so many of a host; or any number.
    pub(super) fn new(most: Option<NonZeroUsize>) -> Self {
        let clients = HashMap::new();
        Self { most, clients }
    }

    /// Counts one more client of `address`, unless there are as many as may be.
    pub(super) fn enter(&mut self, address: IpAddr) -> bool {
        let Some(most) = self.most else {
            return true;
        };
        let clients = self.clients.entry(network(address)).or_default();
        let room = *clients < most.get();
        *clients += usize::from(room);
        room
    }

    /// One that was counted has left.
    pub(super) fn leave(&mut self, address: IpAddr) {
        if self.most.is_none() {
            return;
        }
        if let Entry::Occupied(mut entry) = self.clients.entry(network(address)) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
        if self.clients.capacity() > KEPT.max(self.clients.len() * 8) {
            self.clients.shrink_to(self.clients.len() * 2);
        }
    }

    /// How many are counted, if any are.
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
        let mut origins = Origins::new(NonZeroUsize::new(2));
        let ip = |text: &str| text.parse().unwrap();
        assert!(origins.enter(ip("192.0.2.1")));
        assert!(origins.enter(ip("::ffff:192.0.2.1")));
        assert!(!origins.enter(ip("192.0.2.1")));
        assert!(!origins.enter(ip("::ffff:192.0.2.1")));
        assert!(origins.enter(ip("192.0.2.2")), "another host");
        assert_eq!(origins.total(), Some(3), "who is refused is not counted");
        origins.leave(ip("192.0.2.1"));
        assert!(origins.enter(ip("::ffff:192.0.2.1")));
        assert!(!origins.enter(ip("::ffff:192.0.2.1")));
    }

    #[test]
    fn hosts_without_clients_leave_nothing_behind() {
        let mut origins = Origins::new(NonZeroUsize::new(1));
        let hosts = || (0..100_000).map(|host| IpAddr::V4(Ipv4Addr::from_bits(host)));
        assert!(hosts().all(|host| origins.enter(host)));
        hosts().for_each(|host| origins.leave(host));
        assert_eq!(origins.total(), Some(0));
        assert!(origins.clients.capacity() <= 2 * KEPT, "{origins:?}");
    }

    #[test]
    fn without_a_limit_nobody_is_counted() {
        let mut origins = Origins::new(None);
        assert!((0..1000).all(|_| origins.enter(Ipv4Addr::LOCALHOST.into())));
        origins.leave(Ipv4Addr::LOCALHOST.into());
        assert!(origins.clients.is_empty());
    }
}
