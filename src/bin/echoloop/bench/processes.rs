//! The processes of this machine: what they have used, and which of them serve a port.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};

#[cfg(doc)]
use echoloop::reactor::SocketRow;
use echoloop::reactor::socket_rows;

/// The most processes that are looked at, so that a crowded machine does not delay a run for long.
const PROCESSES_MAX: usize = 10_000;

/// The states of a TCP socket that listens, and of a UDP socket that is not connected ([`SocketRow::state`]).
const LISTENS: u8 = 10;
const UNCONNECTED: u8 = 7;

/// The processor time that each process has used so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes(HashMap<u32, Process>);

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) name: String,
    /// When it was started: process ids are used again.
    started: u64,
    /// User and system time, in clock ticks.
    pub(super) ticks: u64,
}

impl Processes {
    pub(super) fn look() -> Self {
        let processes = ids().take(PROCESSES_MAX).filter_map(|id| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            Some((id, Process::parse(&stat)?))
        });
        Self(processes.collect())
    }

    /// The process that has used most since `earlier`, other than `except`, and how many clock ticks
    /// that was.
    pub(super) fn busiest_since(&self, earlier: &Self, except: &[u32]) -> Option<(u32, Process)> {
        let others = self.0.iter().filter(|(id, _)| !except.contains(id));
        let used = others.map(|(&id, now)| {
            let before = earlier.0.get(&id);
            let before = before.filter(|before| before.started == now.started);
            let ticks = now.ticks - before.map_or(0, |before| before.ticks.min(now.ticks));
            (
                id,
                Process {
                    ticks,
                    ..now.clone()
                },
            )
        });
        used.max_by_key(|(id, process)| (process.ticks, *id))
    }
}

impl Process {
    /// Reads `/proc/PID/stat`. The name is in brackets, and may contain some.
    fn parse(stat: &str) -> Option<Self> {
        let (begin, rest) = stat.rsplit_once(')')?;
        let name = begin.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // Fields 14, 15 and 22 of proc_pid_stat(5); the first one behind the name is field 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            name,
            started: field(22)?,
            ticks: field(14)? + field(15)?,
        })
    }
}

/// The servers of a load, as processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Servers {
    /// On other machines.
    Remote,
    /// On this machine.
    Local(Vec<u32>),
    /// On this machine, and not known: they belong to another user, or are in another container.
    Unknown,
}

/// Finds the processes that serve `targets`.
pub(super) fn servers(targets: &[SocketAddr], udp: bool) -> Servers {
    let local: Vec<&SocketAddr> = targets
        .iter()
        .filter(|target| is_local(target.ip()))
        .collect();
    if local.is_empty() {
        return Servers::Remote;
    }
    let ports: HashSet<u16> = local.iter().map(|target| target.port()).collect();
    let inodes = inodes(&ports, udp);
    let found: Vec<u32> = ids()
        .take(PROCESSES_MAX)
        .filter(|&id| has_socket(id, &inodes))
        .collect();
    if found.is_empty() {
        return Servers::Unknown;
    }
    Servers::Local(found)
}

/// Whether this machine has the address.
pub(super) fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// The inodes of the sockets that serve one of the ports.
fn inodes(ports: &HashSet<u16>, udp: bool) -> HashSet<u64> {
    let state = if udp { UNCONNECTED } else { LISTENS };
    let rows = socket_rows(udp).into_iter().flatten();
    let rows = rows.filter(|row| row.state == state && ports.contains(&row.port));
    rows.map(|row| row.inode).collect()
}

/// Whether the process has one of the sockets open. `false` if it is not ours to look at.
fn has_socket(id: u32, inodes: &HashSet<u64>) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{id}/fd")) else {
        return false;
    };
    let mut links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| {
        let inode = link.to_str().and_then(|link| {
            let inode = link.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        });
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

/// The ids of all processes that can be seen.
fn ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn stat(name: &str, ticks: u64, started: u64) -> String {
        format!(
            "7 ({name}) S 1 7 7 0 -1 4194304 9 0 0 0 {ticks} 5 0 0 20 0 1 0 {started} 3133440 381"
        )
    }

    #[test]
    fn stat_is_read_although_a_name_has_brackets_and_blanks() {
        let process = Process::parse(&stat("a) S (b", 37, 99)).unwrap();
        assert_eq!(process.name, "a) S (b");
        assert_eq!((process.ticks, process.started), (42, 99));
        assert_eq!(Process::parse("7 (cut) S 1"), None);
    }

    #[test]
    fn busiest_process_is_the_one_that_has_used_most_meanwhile() {
        let look = |all: &[(u32, u64, u64)]| {
            let process =
                |&(id, ticks, started)| (id, Process::parse(&stat("x", ticks, started)).unwrap());
            Processes(all.iter().map(process).collect())
        };
        let before = look(&[(1, 1_000, 1), (2, 10, 1), (3, 500, 1)]);
        // Process 3 has ended, and another one has its id.
        let now = look(&[(1, 1_010, 1), (2, 60, 1), (3, 40, 2)]);
        let busiest = |except: &[u32]| {
            let (id, process) = now.busiest_since(&before, except).unwrap();
            (id, process.ticks)
        };
        assert_eq!(busiest(&[]), (2, 50));
        assert_eq!(busiest(&[2]), (3, 45));
        assert_eq!(busiest(&[2, 3]), (1, 10));
    }

    #[test]
    fn server_is_found_by_its_port() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let this = Servers::Local(vec![std::process::id()]);
        assert_eq!(servers(&[tcp.local_addr().unwrap()], false), this);
        assert_eq!(servers(&[udp.local_addr().unwrap()], true), this);
        assert_eq!(
            servers(&[udp.local_addr().unwrap()], false),
            Servers::Unknown
        );
        let elsewhere = "192.0.2.1:80".parse().unwrap();
        assert_eq!(servers(&[elsewhere], false), Servers::Remote);
    }
}
