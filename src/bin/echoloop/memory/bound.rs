//! How much memory a server may take: its own, and that of the kernel's socket buffers. The README has the formula.

use std::fmt;

use echoloop::report::{bytes, thousands};
use echoloop::server::Config;

use super::limit::MemoryLimit;

const KIB: u64 = 1024;

/// A process without clients, datagrams and buffers.
const BASE: u64 = 500 * KIB;

/// Buffers that are allocated when large datagrams come.
const DATAGRAMS: u64 = 1024 * KIB;

/// The tables of the UDP abuse protection. They are allocated when a limit first applies: to a datagram from another
/// address than loopback, which this machine may have too, or to any if the limit was given.
const SOURCES: u64 = 1126 * KIB;

/// An idle client, measured with 10,000 of them.
const CLIENT: u64 = 120;

/// The entry of a host that [`Config::max_conns_per_ip`] counts.
const HOST: u64 = 80;

/// A client with pending output, beside that output.
const SLOW_CLIENT: u64 = 16 * KIB;

/// What the kernel keeps for a connection beside its buffers: 4 KiB for the socket, its inode and its file, and 8 KiB
/// because a buffer may be exceeded by a segment. Measured with 2,000 connections that never read and buffers of 4 to
/// 256 KiB, as `memory.kmem.usage_in_bytes` and `memory.kmem.tcp.usage_in_bytes` of a control group.
const CONNECTION: u64 = 12 * KIB;

/// The console: its screen, and for each client its messages and the longest reply.
const CONSOLE: u64 = 4608 * KIB;
const CONSOLE_CLIENT: u64 = 200 + 16 * 500;
const CONSOLE_SLOW_CLIENT: u64 = 64 * KIB;

/// What the kernel gives to sockets, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    /// The most that the buffers of one TCP connection hold, if that is known.
    pub(super) tcp_send: Option<u64>,
    pub(super) tcp_receive: Option<u64>,
    /// The most that the buffers of all TCP connections of this machine hold: `net.ipv4.tcp_mem`.
    pub(super) tcp_all: u64,
    /// The most that the buffers of one UDP socket hold.
    pub(super) udp: u64,
}

/// How much memory a server may take.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    connections: u64,
    /// This process.
    own: u64,
    /// The kernel, for the sockets of this process.
    kernel: u64,
}

impl Bound {
    /// The bound of a server with the settings `config`, the replies of which are longer than a message by `suffix`
    /// bytes. Delays that `--fault` injects hold back more.
    pub(super) fn new(config: &Config, suffix: usize, console: bool, kernel: &Kernel) -> Self {
        let connections = config.max_conns as u64;
        let (mut own, mut buffers) = (BASE + config.read_ahead.get() as u64, 0);
        if !config.udp.is_empty() {
            own += DATAGRAMS + SOURCES;
            let sockets: usize = config.udp.iter().map(|address| address.sockets()).sum();
            buffers = sockets as u64 * kernel.udp;
        }
        let mut client = CLIENT;
        if config.max_conns_per_ip.is_some() {
            client += HOST;
        }
        if console {
            own += CONSOLE;
            client += CONSOLE_CLIENT;
        }
        if config.tcp.is_empty() {
            return Self {
                connections: 0,
                own,
                kernel: buffers,
            };
        }
        own = own
            .saturating_add(connections.saturating_mul(client))
            .saturating_add(pending_output(config, suffix, console));
        let of_each = kernel.tcp_send.zip(kernel.tcp_receive);
        let of_each = of_each.map(|(send, receive)| connections.saturating_mul(send + receive));
        let all = of_each.map_or(kernel.tcp_all, |all| all.min(kernel.tcp_all));
        let sockets = connections
            .saturating_mul(CONNECTION)
            .saturating_add(buffers);
        Self {
            connections,
            own,
            kernel: all.saturating_add(sockets),
        }
    }

    /// Whether a server may take more than it is allowed to.
    pub(super) fn exceeds(&self, limit: &MemoryLimit) -> bool {
        self.all() > limit.bytes
    }

    const fn all(&self) -> u64 {
        self.own.saturating_add(self.kernel)
    }

    /// What to do about a server that may take too much.
    pub(super) fn warning(&self, limit: &MemoryLimit) -> String {
        format!(
            "memory: {self}, which is more than the limit of {limit}: lower --max-conns, --sndbuf, --rcvbuf or --unsent-max, or \
             raise the limit"
        )
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = thousands(self.connections);
        let [all, own, kernel] = [self.all(), self.own, self.kernel].map(|size| bytes(size as f64));
        write!(
            f,
            "up to {all} with {connections} connections ({own} in this process, {kernel} in the kernel for its \
             sockets)"
        )
    }
}

/// The most pending output that all clients have together.
fn pending_output(config: &Config, suffix: usize, console: bool) -> u64 {
    let clients = config.max_conns as u64;
    let read = config.read_ahead.get();
    let messages = read.div_ceil(config.recv_size.get());
    let added = messages.saturating_mul(suffix);
    let high = config.watermarks.high.max(read).saturating_add(added) as u64;
    let mut beside = SLOW_CLIENT;
    if console {
        beside += CONSOLE_SLOW_CLIENT;
    }
    let beside = clients.saturating_mul(beside);
    // A buffer that grows has room for a quarter more than it holds.
    let of_each = clients.saturating_mul(with_room(high));
    let of_all = config.unsent_max.map_or(u64::MAX, |most| {
        // What one client adds before the limit is checked again.
        with_room((most as u64).saturating_add(high))
    });
    of_each.min(of_all).saturating_add(beside)
}

const fn with_room(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4)
}

#[cfg(test)]
mod tests {
    use echoloop::server::Address;

    use super::*;

    const MIB: u64 = 1024 * KIB;
    const GIB: u64 = 1024 * MIB;

    const KERNEL: Kernel = Kernel {
        tcp_send: Some(4 * MIB),
        tcp_receive: Some(32 * MIB),
        tcp_all: 2 * GIB,
        udp: 2 * MIB,
    };

    fn config() -> Config {
        Config::new().with_tcp("127.0.0.1:0".parse().unwrap())
    }

    fn limit(bytes: u64) -> MemoryLimit {
        MemoryLimit { bytes, file: None }
    }

    #[test]
    fn own_part_is_the_formula_of_the_readme() {
        // 120 bytes for each client, 1.25 * 64 KiB + 16 KiB for each that never reads.
        let clients = 10_000 * (120 + 96 * KIB);
        let bound = Bound::new(&config(), 0, false, &KERNEL);
        assert_eq!(bound.own, 500 * KIB + 64 * KIB + clients);
        let mut config = config().with_udp("127.0.0.1:0".parse().unwrap());
        config.max_conns = 0;
        // Its own addresses can reach it, and a limit that is given holds for loopback.
        for public in [false, true] {
            config.udp_public = public;
            let bound = Bound::new(&config, 0, false, &KERNEL);
            assert_eq!(bound.own, (500 + 64 + 1024 + 1126) * KIB);
        }
        config.udp.clear();
        let bound = Bound::new(&config, 0, false, &KERNEL);
        assert_eq!(bound.own, (500 + 64) * KIB);
    }

    #[test]
    fn unsent_max_bounds_the_pending_output_of_all_clients() {
        let mut config = config();
        config.unsent_max = Some(256 << 20);
        let bound = Bound::new(&config, 0, false, &KERNEL);
        let pending = 5 * (256 * MIB + 64 * KIB) / 4 + 10_000 * 16 * KIB;
        assert_eq!(bound.own, 564 * KIB + 10_000 * 120 + pending);
        // No more than the clients can have anyway.
        let unlimited = Bound::new(
            &Config {
                unsent_max: None,
                ..config.clone()
            },
            0,
            false,
            &KERNEL,
        );
        config.unsent_max = Some(4 << 30);
        assert_eq!(Bound::new(&config, 0, false, &KERNEL).own, unlimited.own);
    }

    #[test]
    fn suffix_is_counted_for_each_message_of_one_read() {
        let (echo, suffix) = [0, 100]
            .map(|suffix| Bound::new(&config(), suffix, false, &KERNEL))
            .into();
        // 64 KiB are 64 messages.
        assert_eq!(suffix.own - echo.own, 10_000 * 64 * 125);
    }

    #[test]
    fn kernel_part_is_the_less_of_all_buffers_and_tcp_mem() {
        let of = |kernel| Bound::new(&config(), 0, false, &kernel).kernel;
        let sockets = 10_000 * 12 * KIB;
        assert_eq!(of(KERNEL), 2 * GIB + sockets);
        let (tcp_send, tcp_receive) = (Some(32 * KIB), Some(64 * KIB));
        let small = Kernel {
            tcp_send,
            tcp_receive,
            ..KERNEL
        };
        assert_eq!(of(small), 10_000 * 96 * KIB + sockets);
        let unknown = Kernel {
            tcp_receive: None,
            ..small
        };
        assert_eq!(of(unknown), 2 * GIB + sockets);
    }

    #[test]
    fn udp_sockets_are_counted_in_the_kernel_part() {
        let mut config = Config::new();
        config.udp = vec![
            Address::Everywhere(7),
            Address::At("127.0.0.1:7".parse().unwrap()),
        ];
        let bound = Bound::new(&config, 0, false, &KERNEL);
        assert_eq!((bound.connections, bound.kernel), (0, 6 * MIB));
        assert!(bound.own < 3 * MIB, "{bound}");
    }

    #[test]
    fn warning_names_both_parts_the_limit_and_the_options() {
        let bound = Bound::new(&config(), 0, false, &KERNEL);
        assert!(!bound.exceeds(&limit(4 * GIB)));
        assert!(bound.exceeds(&limit(GIB)));
        let warning = bound.warning(&limit(GIB));
        for part in [
            "3.03 GiB",
            "939 MiB",
            "2.11 GiB",
            "10 000 connections",
            "1.00 GiB",
        ] {
            assert!(warning.contains(part), "{part}: {warning}");
        }
        for option in ["--max-conns", "--sndbuf", "--rcvbuf", "--unsent-max"] {
            assert!(warning.contains(option), "{option}: {warning}");
        }
    }

    #[test]
    fn largest_settings_do_not_overflow() {
        let mut config = config();
        config.max_conns = usize::MAX;
        config.max_conns_per_ip = config.max_conns.try_into().ok();
        config.unsent_max = Some(usize::MAX);
        config.recv_size = 1.try_into().unwrap();
        let kernel = Kernel {
            tcp_all: u64::MAX,
            ..KERNEL
        };
        let bound = Bound::new(&config, usize::MAX, true, &kernel);
        assert!(bound.exceeds(&limit(u64::MAX - 1)), "{bound}");
    }
}
