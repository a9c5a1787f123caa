//! Datagrams that our own sockets had no room for.

use std::collections::{HashMap, HashSet};
use std::fs;

use crate::load::result::recorder::Recorder;

/// How many datagrams the sockets bound to these ports have dropped so far, as the kernel tells (proc(5), the last
/// column of `/proc/net/udp`). `None` where it does not.
pub(crate) fn dropped(ports: &HashSet<u16>) -> Option<u64> {
    dropped_at(ports).map(|dropped| dropped.values().sum())
}

/// How many datagrams the kernel had dropped at each of our ports when the measuring began.
#[derive(Debug, Default)]
pub(crate) struct Drops(HashMap<u16, u64>);

impl Drops {
    /// The measuring begins, and the kernel has dropped this many at each of our ports so far.
    pub(crate) fn begin(&mut self, dropped: Option<HashMap<u16, u64>>) {
        self.0 = dropped.unwrap_or_default();
    }

    /// The run is over, and the kernel has `dropped` this many at each of our `ports`, each of which sent to one server: of
    /// the datagrams without a reply, those whose replies were dropped since the beginning are not lost in the network.
    pub(crate) fn count_overflow(
        &self,
        ports: &[(u16, u32)],
        dropped: Option<&HashMap<u16, u64>>,
        recorder: &mut Recorder,
    ) {
        for (port, server) in ports {
            let now = dropped.and_then(|dropped| dropped.get(port));
            let before = self.0.get(port).copied().unwrap_or(0);
            let messages = &mut recorder.outcome.servers[*server as usize].messages;
            let overflowed = now.map_or(0, |now| now.saturating_sub(before));
            let overflowed = messages.lost.min(overflowed);
            messages.lost -= overflowed;
            messages.local_overflow += overflowed;
        }
        if let Some(datagrams) = &mut recorder.outcome.udp {
            datagrams.overflow = dropped.map(|dropped| dropped.values().sum());
        }
    }
}

/// The ports of a list of ports and servers.
pub(crate) fn ports(ports_by_server: &[(u16, u32)]) -> HashSet<u16> {
    ports_by_server.iter().map(|(port, _)| *port).collect()
}

/// The same, for each port at which any were dropped.
pub(crate) fn dropped_at(ports: &HashSet<u16>) -> Option<HashMap<u16, u64>> {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| fs::read_to_string(path).ok());
    if tables.iter().all(Option::is_none) {
        return None;
    }
    let mut dropped = HashMap::new();
    for table in tables.iter().flatten() {
        add_dropped(table, ports, &mut dropped);
    }
    Some(dropped)
}

fn add_dropped(table: &str, ports: &HashSet<u16>, dropped: &mut HashMap<u16, u64>) {
    let ours = table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (_, port) = words.nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let drops = words.next_back()?.parse::<u64>().ok()?;
        (ports.contains(&port) && drops > 0).then_some((port, drops))
    });
    for (port, drops) in ours {
        *dropped.entry(port).or_default() += drops;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_of_our_ports_is_added_up() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            \x20 12: 0100007F:C001 0100007F:63D4 01 00000000:00000000 00:00000000 00000000     0        0 123 2 0000000000000000 7\n\
            \x20 13: 0100007F:C002 0100007F:63D4 01 00000000:00000000 00:00000000 00000000     0        0 124 2 0000000000000000 5\n\
            \x20 14: 0100007F:C003 0100007F:63D4 01 00000000:00000000 00:00000000 00000000     0        0 125 2 0000000000000000 100\n";
        let ports = HashSet::from([0xC001, 0xC002]);
        let mut dropped = HashMap::new();
        add_dropped(table, &ports, &mut dropped);
        assert_eq!(dropped, HashMap::from([(0xC001, 7), (0xC002, 5)]));
    }

    /// More than a small buffer holds, and nobody reads it.
    #[test]
    fn what_a_socket_has_dropped_is_seen() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let ports = HashSet::from([address.port()]);
        let Some(before) = dropped(&ports) else {
            return;
        };
        assert_eq!(before, 0);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2_000 {
            sender.send_to(&[0; 1000], address).unwrap();
        }
        assert!(dropped(&ports).unwrap() > 0);
    }
}
