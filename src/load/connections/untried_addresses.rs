//! The addresses of servers that a UDP load has not tried yet.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::load::plan::Plan;

/// The addresses of each server of a UDP load that have not been tried, while no datagram has come from the server.
///
/// A UDP socket is connected without the server (udp(7)): only a reply shows that an address is the right one.
#[derive(Debug, Default)]
pub(crate) struct UntriedAddresses {
    /// In the order of the plan. Empty if no server has one.
    servers: Vec<VecDeque<SocketAddr>>,
}

impl UntriedAddresses {
    pub(crate) fn new(plan: &Plan) -> Self {
        if !plan.udp {
            return Self::default();
        }
        // No flow sends to the servers after the last flow, so nothing would show which address of them is right.
        let servers = plan.other_addresses.iter().take(plan.connections);
        let mut untried = Self {
            servers: servers.map(|all| all.iter().copied().collect()).collect(),
        };
        untried.shrink();
        untried
    }

    /// Whether no server has one.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whether `server` has one.
    pub(crate) fn has_next(&self, server: u32) -> bool {
        let addresses = self.servers.get(server as usize);
        addresses.is_some_and(|addresses| !addresses.is_empty())
    }

    /// Takes the next address of `server`.
    pub(crate) fn take(&mut self, server: u32) -> Option<SocketAddr> {
        let address = self.servers.get_mut(server as usize)?.pop_front();
        self.shrink();
        address
    }

    /// The address of `server` that is in use is the right one.
    pub(crate) fn forget(&mut self, server: u32) {
        if let Some(addresses) = self.servers.get_mut(server as usize) {
            addresses.clear();
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        if self.servers.iter().all(VecDeque::is_empty) {
            self.servers.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn untried(udp: bool, connections: usize) -> UntriedAddresses {
        UntriedAddresses::new(&Plan {
            udp,
            connections,
            targets: vec![address(1), address(2)],
            other_addresses: vec![vec![address(3), address(4)], vec![address(5)]],
            ..Plan::new()
        })
    }

    #[test]
    fn addresses_are_taken_in_order_until_one_is_right() {
        let mut untried = untried(true, 2);
        assert_eq!(untried.take(0), Some(address(3)));
        assert_eq!(untried.take(1), Some(address(5)));
        assert!(untried.has_next(0) && !untried.has_next(1) && !untried.has_next(9));
        assert_eq!(untried.take(1), None);
        untried.forget(0);
        assert!(untried.is_empty());
        assert_eq!((untried.take(0), untried.take(1)), (None, None));
        untried.forget(0);
    }

    #[test]
    fn servers_without_flows_and_tcp_servers_have_no_untried_addresses() {
        assert!(!untried(true, 1).has_next(1));
        assert!(untried(false, 2).is_empty());
    }
}
