//! Local ports: how many a plan needs, how many the system has, and the remedy when there are too few.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use echoloop::load::{Plan, port_range};
use echoloop::reactor::{SourceAddr, connect_datagrams};
use echoloop::report::thousands;

use super::preflight::{Check, number, plural};

/// The ports that this machine has for connections, and what may keep them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// The size of the range that connections get theirs from.
    pub(super) count: u64,
    /// Sockets in `TIME_WAIT`, to any server.
    pub(super) time_wait: Option<u64>,
    /// Which of their ports the kernel gives away again after a second (`net.ipv4.tcp_tw_reuse`): 0
    /// none, 1 all, 2 those of connections over loopback.
    pub(super) reuse: Option<u64>,
}

impl Ports {
    pub(super) fn look() -> Self {
        let (first, last) = port_range();
        Self {
            count: u64::from(last - first) + 1,
            time_wait: time_wait(),
            reuse: number("/proc/sys/net/ipv4/tcp_tw_reuse"),
        }
    }

    /// Whether `plan` finds a port for each of its connections or flows.
    pub(super) fn check(&self, plan: &Plan) -> Check {
        let distinct = |count: usize| count.max(1) as u64;
        let sources = distinct(plan.sources.iter().collect::<HashSet<_>>().len());
        let servers = distinct(plan.targets.iter().collect::<HashSet<_>>().len());
        // Connections from the same port go to different servers; a UDP socket has its port alone.
        let shared = if plan.udp { 1 } else { servers };
        let room = self.count * sources * shared;
        let needed = (plan.connections + plan.idle) as u64;
        let told = format!(
            "{} of {} needed ({} ports, {sources} source{}, {servers} server{})",
            thousands(needed),
            thousands(room),
            thousands(self.count),
            plural(sources),
            plural(servers)
        );
        // Of an address pair. connect(2) looks at all ports of one parity before it takes one of the
        // other, which takes milliseconds (`__inet_hash_connect` of Linux); bind(2) does not.
        let easy = if plan.udp || !cfg!(target_os = "linux") {
            self.count
        } else {
            (self.count / 2).max(1)
        };
        if needed > room {
            let remedy = more_sources(plan, needed.div_ceil(easy * shared));
            return Check::broken("ports", format!("{told}: add {remedy}"));
        }
        let waiting = self.time_wait.unwrap_or(0);
        if !plan.udp && needed + waiting > room {
            return self.check_time_wait(plan, &told, waiting);
        }
        if needed > easy * sources * shared {
            let remedy = more_sources(plan, needed.div_ceil(easy * shared));
            return Check::doubtful(
                "ports",
                format!(
                    "{told}: when half of them are in use, each connect takes the kernel \
                     milliseconds: add {remedy}"
                ),
            );
        }
        Check::fine("ports", told)
    }

    /// What sockets in `TIME_WAIT` mean for a plan that has too few ports beside theirs.
    fn check_time_wait(&self, plan: &Plan, told: &str, waiting: u64) -> Check {
        let local = plan.targets.iter().all(|target| target.ip().is_loopback());
        let told = format!("{told}, and {} in TIME_WAIT", sockets(waiting));
        if self.reuse == Some(1) || (self.reuse == Some(2) && local) {
            let told = format!("{told}: the kernel reuses their ports after a second");
            return Check::fine("ports", told);
        }
        Check::doubtful(
            "ports",
            format!(
                "{told} keep their ports for up to a minute, if they are to the same server: wait, \
                 or close by --close rst"
            ),
        )
    }
}

/// The option that gives `plan` this number of source addresses.
fn more_sources(plan: &Plan, count: u64) -> String {
    let loopback = |target: &SocketAddr| target.is_ipv4() && target.ip().is_loopback();
    if count <= 254 && plan.targets.iter().all(loopback) {
        format!("--source 127.0.0.1-127.0.0.{count}")
    } else {
        format!("--source with {count} addresses of this machine")
    }
}

/// Whether `error`, of an attempt of `plan` to reach `target`, means that no local port was left.
pub(super) fn are_used_up(error: &io::Error, plan: &Plan, target: SocketAddr) -> bool {
    match error.kind() {
        // What bind(2) reports.
        ErrorKind::AddrInUse => true,
        // What connect(2) reports for a UDP socket that has no port yet.
        ErrorKind::WouldBlock => plan.udp,
        // What connect(2) reports for TCP, and also for want of an address: UDP has its own ports.
        ErrorKind::AddrNotAvailable => !plan.udp && has_address(plan, target),
        _ => false,
    }
}

/// Whether this machine has the address that `plan` reaches `target` from.
fn has_address(plan: &Plan, target: SocketAddr) -> bool {
    // Connecting a UDP socket looks for the way and the address, and sends nothing.
    let connected = connect_datagrams(target, source(plan, target));
    !connected.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

/// The first source of `plan` that is of the kind of `target`, IPv4 or IPv6.
fn source(plan: &Plan, target: SocketAddr) -> Option<SourceAddr> {
    let mut sources = plan.sources.iter().copied();
    sources.find(|source| source.reaches(target))
}

/// That the ports to `target` are used up, why, and what to do.
pub(super) fn used_up(plan: &Plan, target: SocketAddr) -> String {
    if plan.udp {
        return "the local UDP ports are used up: close other programs' UDP sockets, or add \
                --source addresses"
            .to_owned();
    }
    let waiting = time_wait().map_or_else(String::new, |count| {
        format!(" ({} in TIME_WAIT)", sockets(count))
    });
    format!(
        "the local ports to {target} are used up{waiting}: wait a minute, use --close rst, \
         reconnect less often, or add --source addresses"
    )
}

fn sockets(count: u64) -> String {
    format!("{} socket{}", thousands(count), plural(count))
}

/// How many sockets are in `TIME_WAIT`, of IPv4 and IPv6, in this network namespace.
fn time_wait() -> Option<u64> {
    time_wait_in(&fs::read_to_string("/proc/net/sockstat").ok()?)
}

fn time_wait_in(sockstat: &str) -> Option<u64> {
    let tcp = sockstat
        .lines()
        .find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = tcp.split_whitespace();
    words.find(|&word| word == "tw")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::bench::preflight::Health;

    fn plan(targets: &[&str], connections: usize) -> Plan {
        let mut plan = Plan::new();
        plan.targets = targets.iter().map(|text| text.parse().unwrap()).collect();
        plan.connections = connections;
        plan
    }

    #[test]
    fn sockets_in_time_wait_are_read_from_sockstat() {
        let sockstat = "sockets: used 312\nTCP: inuse 8 orphan 0 tw 14116 alloc 10 mem 1\n\
                        UDP: inuse 2 mem 0\n";
        assert_eq!(time_wait_in(sockstat), Some(14_116));
        for text in ["", "TCP: inuse 8", "TCP: inuse 8 tw", "TCP6: inuse 3"] {
            assert_eq!(time_wait_in(text), None, "{text}");
        }
        assert!(cfg!(not(target_os = "linux")) || time_wait().is_some());
    }

    #[test]
    fn ports_in_time_wait_are_noted_unless_the_kernel_reuses_them() {
        let (local, far) = (["127.0.0.1:7"], ["192.0.2.1:7"]);
        for (reuse, target, expected) in [
            (Some(2), local, Health::Fine),
            (Some(2), far, Health::Doubtful),
            (Some(1), far, Health::Fine),
            (Some(0), local, Health::Doubtful),
            (None, local, Health::Doubtful),
        ] {
            let ports = Ports {
                count: 28_232,
                time_wait: Some(28_000),
                reuse,
            };
            let check = ports.check(&plan(&target, 300));
            assert_eq!(check.verdict, expected, "{reuse:?} {target:?}");
            assert!(
                check.told.contains("28 000 sockets in TIME_WAIT"),
                "{check:?}"
            );
            let few = ports.check(&plan(&target, 100));
            assert!(few.verdict == Health::Fine && !few.told.contains("TIME_WAIT"));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn more_than_half_of_the_ports_are_noted_for_tcp() {
        let ports = Ports {
            count: 28_232,
            time_wait: Some(0),
            reuse: Some(2),
        };
        let half = plan(&["127.0.0.1:7"], 14_116);
        assert_eq!(ports.check(&half).verdict, Health::Fine);
        let mut more = plan(&["127.0.0.1:7"], 14_117);
        let check = ports.check(&more);
        assert_eq!(check.verdict, Health::Doubtful);
        assert!(
            check.told.ends_with("add --source 127.0.0.1-127.0.0.2"),
            "{check:?}"
        );
        more.udp = true;
        assert_eq!(ports.check(&more).verdict, Health::Fine);
    }

    #[test]
    fn a_udp_flow_needs_a_port_of_its_source() {
        let ports = Ports {
            count: 100,
            time_wait: Some(1_000),
            reuse: Some(0),
        };
        let mut udp = plan(&["127.0.0.1:7", "127.0.0.1:8"], 200);
        assert_eq!(ports.check(&udp).verdict, Health::Doubtful);
        udp.udp = true;
        assert_eq!(ports.check(&udp).verdict, Health::Broken);
        let source = |last| IpAddr::from([127, 0, 0, last]).into();
        udp.sources = vec![source(1), source(2)];
        assert_eq!(ports.check(&udp).verdict, Health::Fine);
    }

    #[test]
    fn errors_that_mean_that_no_port_is_left() {
        let tcp = plan(&["127.0.0.1:7"], 1);
        let mut udp = tcp.clone();
        udp.udp = true;
        let used_up = |kind: ErrorKind, plan: &Plan| {
            are_used_up(&io::Error::from(kind), plan, plan.targets[0])
        };
        assert!(used_up(ErrorKind::AddrNotAvailable, &tcp));
        assert!(!used_up(ErrorKind::WouldBlock, &tcp));
        assert!(used_up(ErrorKind::WouldBlock, &udp) && used_up(ErrorKind::AddrInUse, &udp));
        assert!(!used_up(ErrorKind::AddrNotAvailable, &udp));
        assert!(!used_up(ErrorKind::ConnectionRefused, &tcp));
        // A documentation address (RFC 5737) is no machine's.
        let mut elsewhere = tcp;
        elsewhere.sources = vec![IpAddr::from([192, 0, 2, 1]).into()];
        assert!(!used_up(ErrorKind::AddrNotAvailable, &elsewhere));
    }
}
