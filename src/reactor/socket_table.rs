//! The kernel's table of the sockets of this network namespace (proc_pid_net(5)).

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};

#[cfg(unix)]
use std::os::fd::AsRawFd;

/// One socket of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketRow {
    /// The local port.
    pub port: u16,
    /// The state, as `/proc/net/tcp` numbers them: 7 is a UDP socket that is not connected, 10 a TCP
    /// socket that listens.
    pub state: u8,
    /// The inode, which no other socket has. Sockets that share a port (`SO_REUSEPORT`) differ in it.
    pub inode: u64,
    /// The number of datagrams that the socket has dropped, modulo 2^32. 0 for TCP.
    pub drops: u32,
}

/// The UDP sockets of this network namespace, or the TCP sockets.
///
/// The table is read row by row: it has one for every connection of this machine.
///
/// # Errors
///
/// Those of opening the table, if there is neither one for IPv4 nor one for IPv6.
pub fn socket_rows(udp: bool) -> io::Result<impl Iterator<Item = SocketRow>> {
    // Not /proc/net, which `ProcSubset=pid` of systemd hides.
    let names = if udp {
        ["udp", "udp6"]
    } else {
        ["tcp", "tcp6"]
    };
    let [v4, v6] = names.map(|name| File::open(format!("/proc/self/net/{name}")));
    let tables = match (v4, v6) {
        (Err(error), Err(_)) => return Err(error),
        (v4, v6) => v4.into_iter().chain(v6),
    };
    let lines = tables.flat_map(|table| BufReader::new(table).lines().skip(1));
    let rows = lines.map_while(Result::ok);
    Ok(rows.filter_map(move |line| row(&line, udp)))
}

/// Reads a line of the table: `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid
/// timeout inode ref pointer drops`.
fn row(line: &str, udp: bool) -> Option<SocketRow> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let state = u8::from_str_radix(fields.nth(1)?, 16).ok()?;
    let inode = fields.nth(5)?.parse().ok()?;
    // Printed with a sign by some kernels.
    let drops = match udp {
        true => fields.nth(2)?.parse::<i64>().ok()? as u32,
        false => 0,
    };
    Some(SocketRow {
        port,
        state,
        inode,
        drops,
    })
}

/// The inode of `socket`, where the system has such a table.
#[cfg(unix)]
pub fn socket_inode(socket: &impl AsRawFd) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;

    let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
    fs::metadata(path).ok().map(|socket| socket.ino())
}

/// The inode of `socket`, where the system has such a table: it has none.
#[cfg(not(unix))]
pub fn socket_inode<T>(_: &T) -> Option<u64> {
    None
}

/// How many datagrams each of the UDP sockets with these `inodes` has dropped, modulo 2^32, for want of
/// room in its receive buffer above all. `None` if the system has no such table.
pub fn dropped_datagrams(inodes: &HashSet<u64>) -> Option<HashMap<u64, u32>> {
    let rows = socket_rows(true).ok()?;
    let rows = rows.filter(|row| inodes.contains(&row.inode));
    Some(rows.map(|row| (row.inode, row.drops)).collect())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn row_of_the_table_is_port_state_inode_and_drops() {
        let udp = "   12: 0100007F:C001 0100007F:63D4 07 00000000:00000000 00:00000000 00000000     0        0 123 2 0000000000000000 7";
        let expected = SocketRow {
            port: 0xC001,
            state: 7,
            inode: 123,
            drops: 7,
        };
        assert_eq!(row(udp, true), Some(expected));
        let tcp = "    0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 98 1 0000000000000000 100 0 0 10 0";
        let expected = SocketRow {
            port: 8080,
            state: 10,
            inode: 98,
            drops: 0,
        };
        assert_eq!(row(tcp, false), Some(expected));
        let negative = udp.replace("0000 7", "0000 -1");
        assert_eq!(row(&negative, true).unwrap().drops, u32::MAX);
        assert_eq!(row("  sl  local_address", true), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn sockets_are_found_by_their_inodes() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let inode = socket_inode(&tcp).unwrap();
        let mut rows = socket_rows(false).unwrap();
        let row = rows.find(|row| row.inode == inode).unwrap();
        assert_eq!((row.port, row.state), (port, 10));
    }

    /// Two sockets on one port: only one of them is sent more than its buffer holds.
    #[test]
    #[cfg(target_os = "linux")]
    fn drops_are_those_of_the_socket_and_not_of_its_port() {
        use socket2::{Domain, Socket, Type};

        let bind = |port: u16| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            socket.bind(&address.into()).unwrap();
            UdpSocket::from(socket)
        };
        let one = bind(0);
        let address = one.local_addr().unwrap();
        let other = bind(address.port());
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        // A sender always reaches the same of the two.
        for _ in 0..2_000 {
            sender.send_to(&[0; 1000], address).unwrap();
        }
        let inodes = [&one, &other].map(|socket| socket_inode(socket).unwrap());
        let dropped = dropped_datagrams(&HashSet::from(inodes)).unwrap();
        let mut dropped = inodes.map(|inode| dropped[&inode]);
        dropped.sort_unstable();
        assert_eq!(dropped[0], 0);
        assert!(dropped[1] > 0);
    }
}
