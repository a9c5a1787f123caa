//! What a server is told before it starts: addresses, and every limit with its default and reason.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::address::Address;
use crate::connection::Watermarks;
use crate::reactor::BufferSizes;
use crate::service::group_address;

/// The documents' `recv(1024)`.
const RECV_SIZE: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// Sixty-four of those at once.
const READ_AHEAD: NonZeroUsize = NonZeroUsize::new(64 * 1024).expect("not zero");

/// More than 512 clients with small messages cost, which are all that one poll reports.
const ITERATION_BUDGET: usize = 2560 * 1024;

/// What a datagram takes of that: it is received, looked at and replied to in some 5 µs.
const DATAGRAM_COST: usize = 4 * 1024;

/// What a connection takes of that until it is served: it is accepted and registered in some 25 µs.
const ACCEPT_COST: usize = 16 * 1024;

/// The longest time that can be asked for: a century. Added to the clock, more could overflow it.
pub const TIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// More than any kernel hands over at once.
const READ_AHEAD_MAX: usize = 16 * 1024 * 1024;

/// More than any server lets in.
const ACCEPT_RATE_MAX: f64 = 1e9;

/// A client may not make the server keep more than this, whatever it was told.
const HIGH_WATER_MAX: usize = 1024 * 1024 * 1024;

/// A server's settings. Sizes are in bytes.
///
/// Every limit bounds what one client, or all of them, can make the server do; each has a counter in
/// [`Counters`](crate::probe::Counters) that says when it bit.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen for TCP clients.
    pub tcp: Vec<Address>,
    /// Where to receive datagrams.
    pub udp: Vec<Address>,
    /// How many connections the kernel keeps until they are accepted. 1024: enough for a burst of
    /// arrivals between two turns; the tutorial's 5 turns the seventh away.
    pub backlog: u32,
    /// Share the ports with other processes that ask for the same.
    pub reuse_port: bool,
    /// After how much silence the kernel probes whether a client is still there. 5 minutes, as redis.
    pub keepalive: Option<Duration>,
    /// The sizes of the kernel's buffers of each TCP connection, and the least sizes of those of each UDP socket.
    pub buffers: BufferSizes,
    /// The most bytes the service is handed at once: the tutorial's `recv(1024)`.
    pub recv_size: NonZeroUsize,
    /// The most bytes read by one system call. 64 KiB, as libuv: a stream costs a tenth of what it costs with
    /// 1 KiB, messages of 16 KiB end in a short read, and all clients share one such buffer.
    pub read_ahead: NonZeroUsize,
    /// How many bytes one client may move in a turn before others are served. 64 KiB, as redis.
    pub read_budget: usize,
    /// How much may be done for all clients together in one loop iteration, in bytes read and
    /// written. A client that is served counts for 4 KiB, which includes a small message, and one
    /// that is closed for 8 KiB (32 KiB with unsent bytes), because a system call takes time. Clients
    /// that have to wait for the next iteration are served after those that have become ready since
    /// and have little to say. 2,560 KiB: 640 clients with small messages, or 19 that have 64 KiB.
    pub iteration_budget: usize,
    /// How many unsent bytes pause and resume reading from a client. 64 KiB and 16 KiB, as asyncio.
    pub watermarks: Watermarks,
    /// The most clients served at once.
    pub max_conns: usize,
    /// The most clients of one host: of an IPv4 address, of an IPv6 /64, or of a link-local address and its
    /// interface. A client beyond that is closed at once. `None`: no limit, because all clients behind one
    /// router have one address.
    pub max_conns_per_ip: Option<NonZeroUsize>,
    /// What happens to a client that comes when there are [`max_conns`](Self::max_conns).
    pub over_limit: OverLimit,
    /// How many clients are accepted in a loop iteration before others are served. It is less if
    /// `iteration_budget` has not 16 KiB for each.
    pub accept_budget: usize,
    /// How many clients are accepted in a second, after a burst of a tenth of that; others wait in the kernel. Above 0.
    /// `None`: no limit.
    pub accept_rate: Option<f64>,
    /// How many bytes may be kept unsent for all clients together. Beyond that, those who are owed most are closed. `None`: no
    /// limit but that of each client.
    pub unsent_max: Option<usize>,
    /// How many datagrams are received in a loop iteration, from each socket, before others are served.
    /// TCP clients wait meanwhile, so it is less if `iteration_budget` has not 4 KiB for each datagram of
    /// all sockets.
    pub datagram_budget: usize,
    /// Clients that have not sent a byte this long after they have come are hung up on. `None`: never.
    pub first_byte_timeout: Option<Duration>,
    /// Clients that have sent and taken nothing for this long are hung up on. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Clients that have taken none of what they are owed for this long are closed. `None`: never.
    pub write_stall_timeout: Option<Duration>,
    /// How long a server that is told to stop waits for its clients. Zero: not at all.
    pub drain_timeout: Duration,
    /// What is appended to a datagram in reply: `| lee`, as in the tutorial. Empty: datagrams are
    /// echoed as they are.
    pub udp_suffix: Vec<u8>,
    /// Receive datagrams from other machines too. Off, because whoever forges a source address can
    /// aim the replies.
    pub udp_public: bool,
    /// See [`GuardOptions::answer_replies`](crate::service::GuardOptions::answer_replies).
    pub udp_answer_replies: bool,
    /// See [`GuardOptions::rate`](crate::service::GuardOptions::rate).
    pub udp_rate: Option<u32>,
    /// See [`GuardOptions::network_rate`](crate::service::GuardOptions::network_rate).
    pub udp_network_rate: Option<u32>,
    /// See [`GuardOptions::total_rate`](crate::service::GuardOptions::total_rate).
    pub udp_total_rate: Option<u32>,
    /// See [`GuardOptions::loop_limit`](crate::service::GuardOptions::loop_limit).
    pub udp_loop_limit: Option<u32>,
    /// With [`udp_public`](Self::udp_public), let replies be more than twice as long as requests, counted
    /// with the headers of IP and UDP. Without it, a datagram whose reply would be gets none.
    pub udp_allow_amplification: bool,
    /// How often a line of counters is logged. `None`: never.
    pub stats_interval: Option<Duration>,
}

/// What happens to a client that comes when `max_conns` are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// It is accepted and closed at once, so that it knows.
    Reject,
    /// It waits in the kernel until a client leaves.
    Wait,
    /// It is let in, and the client that has been quiet for longest is closed: for a second at least, and it is owed nothing.
    /// If there is none, it is accepted and closed at once.
    EvictIdle,
}

impl Config {
    /// The settings of a server that listens nowhere yet.
    pub fn new() -> Self {
        Self {
            tcp: Vec::new(),
            udp: Vec::new(),
            backlog: 1024,
            reuse_port: false,
            keepalive: Some(Duration::from_secs(300)),
            buffers: BufferSizes::default(),
            recv_size: RECV_SIZE,
            read_ahead: READ_AHEAD,
            read_budget: 64 * 1024,
            iteration_budget: ITERATION_BUDGET,
            watermarks: Watermarks {
                high: 64 * 1024,
                low: 16 * 1024,
            },
            max_conns: 10_000,
            max_conns_per_ip: None,
            over_limit: OverLimit::Reject,
            accept_budget: 64,
            accept_rate: None,
            unsent_max: None,
            datagram_budget: 64,
            first_byte_timeout: None,
            idle_timeout: Some(Duration::from_secs(600)),
            write_stall_timeout: Some(Duration::from_secs(30)),
            drain_timeout: Duration::from_secs(10),
            udp_suffix: b"| lee".to_vec(),
            udp_public: false,
            udp_answer_replies: false,
            udp_rate: None,
            udp_network_rate: None,
            udp_total_rate: None,
            udp_loop_limit: None,
            udp_allow_amplification: false,
            stats_interval: None,
        }
    }

    /// These settings, listening for TCP clients at `address` as well.
    #[must_use]
    pub fn with_tcp(mut self, address: SocketAddr) -> Self {
        self.tcp.push(address.into());
        self
    }

    /// These settings, receiving datagrams at `address` as well.
    #[must_use]
    pub fn with_udp(mut self, address: SocketAddr) -> Self {
        self.udp.push(address.into());
        self
    }

    /// How many connections may be accepted in a turn when there is room for `free` more clients.
    pub(super) fn accept_budget_with(&self, free: usize) -> usize {
        match self.over_limit {
            OverLimit::Reject | OverLimit::EvictIdle => self.accept_budget,
            OverLimit::Wait => self.accept_budget.min(free),
        }
    }

    /// How many datagrams each socket receives in a loop iteration.
    pub(super) fn datagrams_of_each_socket(&self) -> usize {
        let sockets: usize = self.udp.iter().map(|address| address.sockets()).sum();
        let most = self.iteration_budget / DATAGRAM_COST / sockets.max(1);
        self.datagram_budget.min(most).max(1)
    }

    /// How many connections are accepted in a loop iteration.
    pub(super) fn accepts_of_an_iteration(&self) -> usize {
        let most = self.iteration_budget / ACCEPT_COST;
        self.accept_budget.min(most).max(1)
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    ///
    /// The first value that does not, and what would.
    pub fn check(&self) -> Result<(), String> {
        if self.tcp.is_empty() && self.udp.is_empty() {
            return Err("nothing to listen on: give a TCP or a UDP address".to_owned());
        }
        for (name, value) in [
            ("read-budget", self.read_budget),
            ("iteration-budget", self.iteration_budget),
            ("high-water", self.watermarks.high),
            ("max-conns", self.max_conns),
            ("accept-budget", self.accept_budget),
            ("datagram-budget", self.datagram_budget),
            ("backlog", self.backlog as usize),
        ] {
            if value == 0 {
                return Err(format!(
                    "{name} 0 would let nothing through: give at least 1"
                ));
            }
        }
        if let Some(rate) = self.accept_rate
            && !(rate * TIME_MAX.as_secs_f64() >= 1.0 && rate <= ACCEPT_RATE_MAX)
        {
            return Err(format!(
                "accept-rate {rate} lets in nobody or everybody: give 1 a century at least, or leave it out"
            ));
        }
        for (name, time) in [
            ("first-byte-timeout", self.first_byte_timeout),
            ("idle-timeout", self.idle_timeout),
            ("write-stall-timeout", self.write_stall_timeout),
            ("keepalive", self.keepalive),
            ("stats-interval", self.stats_interval),
        ] {
            if time.is_some_and(|time| time.is_zero()) {
                return Err(format!(
                    "{name} of no time would always be over: leave it out for never"
                ));
            }
        }
        let times = [
            self.first_byte_timeout,
            self.idle_timeout,
            self.write_stall_timeout,
            self.stats_interval,
        ];
        for time in times.into_iter().flatten().chain([self.drain_timeout]) {
            if time > TIME_MAX {
                return Err(format!("{time:?} is too long: give a century at most"));
            }
        }
        for (name, value, most) in [
            ("read-ahead", self.read_ahead.get(), READ_AHEAD_MAX),
            ("high-water", self.watermarks.high, HIGH_WATER_MAX),
        ] {
            if value > most {
                return Err(format!(
                    "{name} {value} is more than {most}, which is the most there may be"
                ));
            }
        }
        self.buffers.check()?;
        let Watermarks { high, low } = self.watermarks;
        if low >= high {
            return Err(format!(
                "low-water {low} is not below high-water {high}: reading would never settle"
            ));
        }
        for address in self.tcp.iter().chain(&self.udp) {
            if let Some(kind) = address.ip().and_then(group_address) {
                return Err(format!("{address} is {kind}: give that of an interface"));
            }
        }
        let public = self.udp.iter().find(|address| !address.is_loopback());
        if let (Some(address), false) = (public, self.udp_public) {
            return Err(format!(
                "udp://{address} can be reached from other machines, which makes it a reflector for \
                 forged datagrams: use 127.0.0.1, or say --udp-public as well"
            ));
        }
        Ok(())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new().with_tcp("127.0.0.1:0".parse().unwrap())
    }

    #[test]
    fn the_defaults_make_sense_once_there_is_an_address() {
        assert_eq!(config().check(), Ok(()));
        assert!(
            Config::new()
                .check()
                .unwrap_err()
                .contains("nothing to listen on")
        );
    }

    #[test]
    fn values_that_would_stall_the_server_are_refused_by_name() {
        let refused = |change: fn(&mut Config)| {
            let mut config = config();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(refused(|c| c.max_conns = 0).starts_with("max-conns 0"));
        assert!(
            refused(|c| c.read_ahead = usize::MAX.try_into().unwrap()).starts_with("read-ahead 18")
        );
        assert!(refused(|c| c.watermarks.high = usize::MAX).starts_with("high-water 18"));
        assert!(refused(|c| c.accept_rate = Some(0.0)).starts_with("accept-rate 0 "));
        assert!(refused(|c| c.accept_rate = Some(f64::NAN)).starts_with("accept-rate NaN"));
        assert!(
            refused(|c| c.buffers.send = Some(usize::MAX))
                .starts_with("--sndbuf 18446744073709551615 is")
        );
        assert!(refused(|c| c.watermarks.low = c.watermarks.high).starts_with("low-water 65536"));
    }

    #[test]
    fn times_that_would_never_or_always_be_over_are_refused() {
        let refused = |change: fn(&mut Config)| {
            let mut config = config();
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|c| c.first_byte_timeout = Some(Duration::ZERO)));
        assert!(refused(|c| c.idle_timeout = Some(Duration::ZERO)));
        assert!(refused(|c| c.idle_timeout = Some(Duration::MAX)));
        assert!(refused(|c| c.write_stall_timeout = Some(Duration::MAX)));
        assert!(refused(|c| c.stats_interval = Some(Duration::ZERO)));
        assert!(refused(|c| c.drain_timeout = Duration::MAX));
        assert!(!refused(|c| c.drain_timeout = Duration::ZERO));
    }

    #[test]
    fn multicast_and_broadcast_addresses_are_refused() {
        for text in ["224.0.0.251:7", "255.255.255.255:7", "[ff02::1%1]:7"] {
            let address: SocketAddr = text.parse().unwrap();
            for config in [config().with_tcp(address), config().with_udp(address)] {
                let error = config.check().unwrap_err();
                assert!(error.starts_with(&format!("{address} is ")), "{error}");
            }
        }
    }

    #[test]
    fn datagrams_from_other_machines_need_a_second_word() {
        for (address, public) in [
            (Address::Everywhere(25556), true),
            (Address::At("0.0.0.0:25556".parse().unwrap()), true),
            (Address::At("[2001:db8::1]:25556".parse().unwrap()), true),
            (
                Address::At("[::ffff:127.0.0.1]:25556".parse().unwrap()),
                false,
            ),
            (Address::At("127.8.8.8:25556".parse().unwrap()), false),
            (Address::At("[::1]:25556".parse().unwrap()), false),
        ] {
            let mut config = config();
            config.udp.push(address);
            assert_eq!(config.check().is_err(), public, "{address}");
            config.udp_public = true;
            assert_eq!(config.check(), Ok(()), "{address}");
        }
    }
}
