//! The arguments of `echoloop serve`.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use echoloop::connection::Watermarks;
use echoloop::reactor::BufferSizes;
use echoloop::server::{Config, OverLimit};

use super::reply::Reply;
use super::{FaultArgs, Lang, StudyArgs};
use crate::units::{Timeout, count, count32, nonzero_size, rate_or_none, size, time, timeout};

/// The documents' ports.
const TCP_DEFAULT: &str = "127.0.0.1:25555";
const UDP_DEFAULT: &str = "127.0.0.1:25556";

/// The groups of options in the help.
const ANSWERS: &str = "Answers";
const LIMITS: &str = "Limits";
const TIMES: &str = "Times";
const GUARD: &str = "Datagrams from elsewhere";
const FAULTS: &str = "Faults";

/// The arguments of `echoloop serve`.
#[derive(Args, Debug)]
#[command(
    next_help_heading = "Addresses",
    after_help = "Prints a line for each address it listens on and \
serves until SIGINT or SIGTERM; then lets its clients finish and prints a line of totals. A second signal \
stops it at once. SIGUSR1 logs the counters.

Sizes take k, M and G (powers of 1024), counts k, M and G (powers of 1000). Times take ns, us, ms, s, m and h; a \
bare number is seconds.

Faults:
  stall:1s@5s     nothing moves for 1s, 5s after the first client or datagram
  delay:2ms       the answers to TCP clients are held back for 2ms
  delay:exp:2ms   the same, for random times of this mean
  corrupt:N       one bit of byte N of what a TCP client is sent is flipped
  slice:N         at most N bytes leave for a TCP client at once
  close:N         a TCP client is hung up on behind N bytes
  reset:N         a TCP connection is reset behind N bytes
  udp-drop:1%     so many answers to datagrams are not sent
  udp-dup:0.5%    so many are sent twice
  udp-reorder:2%  so many are sent behind the next to the same client

Examples:
  echoloop serve                               loopback, TCP 25555 and UDP 25556
  echoloop serve --tcp :25555 --no-udp         every interface, TCP only
  echoloop serve --tcp 127.0.0.1:0             a port the system chooses
  echoloop serve --reply 'suffix:| lee' --udp-suffix ''
  echoloop serve --console                     answer each client yourself
  echoloop serve --fault delay:exp:2ms --fault udp-drop:1% --seed 7

Exit codes: 0 drained, 1 failed or clients were cut off by the drain timeout, 2 usage, 130 and 143 \
stopped by a second signal, 129 stopped by SIGHUP."
)]
pub(crate) struct ServeArgs {
    /// Where to listen for TCP clients; repeatable. ":PORT" is every interface, port 0 any free one
    #[arg(long, value_name = "HOST:PORT", default_value = TCP_DEFAULT)]
    tcp: Vec<Listen>,
    /// Serve no TCP clients
    #[arg(long, conflicts_with = "tcp")]
    no_tcp: bool,
    /// Where to receive datagrams; repeatable
    #[arg(long, value_name = "HOST:PORT", default_value = UDP_DEFAULT)]
    udp: Vec<Listen>,
    /// Receive no datagrams
    #[arg(long, conflicts_with = "udp")]
    no_udp: bool,
    /// Connections the kernel keeps until they are accepted
    #[arg(long, value_name = "N", default_value = "1024", value_parser = count32)]
    backlog: u32,
    /// Share the ports with other processes started with this option
    #[arg(long)]
    reuse_port: bool,

    /// What TCP clients get: echo, discard, or suffix:TEXT for each message with TEXT behind it
    #[arg(long, value_name = "REPLY", default_value = "echo", help_heading = ANSWERS)]
    pub(crate) reply: Reply,
    /// Let a person at this terminal answer TCP clients, message by message
    #[arg(long, conflicts_with_all = ["reply", "read_ahead", "no_tcp", "watch", "trace"], help_heading = ANSWERS)]
    pub(crate) console: bool,
    #[command(flatten, next_help_heading = ANSWERS)]
    pub(crate) lang: Lang,
    /// What is appended to a datagram in reply; '' for pure echoes
    #[arg(long, value_name = "TEXT", default_value = "| lee", help_heading = ANSWERS)]
    udp_suffix: String,

    /// The most bytes of a message: what one recv hands to the service
    #[arg(long, value_name = "SIZE", default_value = "1k", value_parser = nonzero_size, help_heading = ANSWERS)]
    recv_size: NonZeroUsize,
    /// The most bytes one system call reads; 1k with the default recv-size is a literal recv(1024),
    /// as it is with --console
    #[arg(long, value_name = "SIZE", default_value = "64k", value_parser = nonzero_size, help_heading = ANSWERS)]
    read_ahead: NonZeroUsize,

    /// The most clients at once [default: 10000, or what the limit of open files leaves]
    #[arg(long, value_name = "N", value_parser = count, help_heading = LIMITS)]
    pub(crate) max_conns: Option<usize>,
    /// The most clients of one IPv4 address, one IPv6 /64, or one link-local address; 0: no limit
    #[arg(long, value_name = "N", default_value = "0", value_parser = count, help_heading = LIMITS)]
    max_conns_per_ip: usize,
    /// What happens to a client beyond max-conns: it is closed at once, or waits until one leaves,
    /// or the one that was silent for longest is closed for it
    #[arg(long, value_enum, value_name = "WHAT", default_value = "reject", help_heading = LIMITS)]
    over_limit: OverLimitArg,
    /// Unsent bytes at which reading from a client pauses
    #[arg(long, value_name = "SIZE", default_value = "64k", value_parser = size, help_heading = LIMITS)]
    high_water: usize,
    /// Unsent bytes at which it resumes [default: 16k, or a quarter of high-water if that is less]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = LIMITS)]
    low_water: Option<usize>,
    /// Bytes one client may move in a turn before others are served
    #[arg(long, value_name = "SIZE", default_value = "64k", value_parser = size, help_heading = LIMITS)]
    read_budget: usize,
    /// Bytes all clients together may move in a loop iteration before the next poll; each client
    /// that is served counts for another 4 KiB
    #[arg(long, value_name = "SIZE", default_value = "2560k", value_parser = size, help_heading = LIMITS)]
    iteration_budget: usize,
    /// Clients accepted in a loop iteration before others are served, at most one for each 16 KiB of
    /// iteration-budget
    #[arg(long, value_name = "N", default_value = "64", value_parser = count, help_heading = LIMITS)]
    accept_budget: usize,
    /// Clients accepted in a second, while others wait; 0: no limit
    #[arg(long, value_name = "N", default_value = "0", value_parser = rate_or_none, help_heading = LIMITS)]
    accept_rate: f64,
    /// Unsent bytes of all clients together at which those with the most are closed; 0: no limit
    /// [default: a quarter of the memory limit of the cgroup or of the machine, 64M to 4G]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = LIMITS)]
    unsent_max: Option<usize>,
    /// The size of the kernel's send buffer of each TCP connection; the kernel doubles it, and caps
    /// it at net.core.wmem_max [default: the system's]
    #[arg(long, value_name = "SIZE", value_parser = nonzero_size, help_heading = LIMITS)]
    sndbuf: Option<NonZeroUsize>,
    /// The size of the kernel's receive buffer of each TCP connection; the kernel doubles it, and
    /// caps it at net.core.rmem_max [default: the system's]
    #[arg(long, value_name = "SIZE", value_parser = nonzero_size, help_heading = LIMITS)]
    rcvbuf: Option<NonZeroUsize>,
    /// Datagrams received from each socket in a loop iteration, during which TCP clients wait; all
    /// sockets together receive at most one for each 4 KiB of iteration-budget, and each socket one
    #[arg(long, value_name = "N", default_value = "64", value_parser = count, help_heading = LIMITS)]
    datagram_budget: usize,

    /// Close clients that have not sent a byte this long after they connected; 0: never
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = timeout, help_heading = TIMES)]
    first_byte_timeout: Timeout,
    /// Close clients that have no pending output and have sent nothing for this long; 0: never
    /// [default: 10m; with --console never]
    #[arg(long, value_name = "TIME", value_parser = timeout, help_heading = TIMES)]
    idle_timeout: Option<Timeout>,
    /// Close clients that have taken none of their pending output for this long; 0: never
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = timeout, help_heading = TIMES)]
    write_stall_timeout: Timeout,
    /// How long to wait for clients when told to stop; 0: not at all
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time, help_heading = TIMES)]
    drain_timeout: Duration,
    /// Log a line of counters this often; 0: never
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = timeout, help_heading = TIMES)]
    stats_interval: Timeout,

    /// Receive datagrams from other machines too, where forged ones may come from
    #[arg(long, help_heading = GUARD)]
    udp_public: bool,
    /// Answer even datagrams that already end in the suffix, as two tutorial servers would for ever
    #[arg(long, help_heading = GUARD)]
    udp_answer_replies: bool,
    /// Replies a second to one host: an IPv4 address, an IPv6 /64, or a link-local address; 0: no
    /// limit but those of its network and of all sources [default: 1000, no limit for loopback]
    #[arg(long, value_name = "N", value_parser = count32, help_heading = GUARD)]
    udp_rate: Option<u32>,
    /// Replies a second to one network, an IPv4 /24 or an IPv6 /48; 0: no limit [default: 5 times
    /// --udp-rate, 5000 if that is 0, no limit for loopback]
    #[arg(long, value_name = "N", value_parser = count32, help_heading = GUARD)]
    udp_network_rate: Option<u32>,
    /// Replies a second to all sources together; 0: no limit [default: 20 times --udp-rate, 20000
    /// if that is 0, no limit for loopback]
    #[arg(long, value_name = "N", value_parser = count32, help_heading = GUARD)]
    udp_total_rate: Option<u32>,
    /// Replies to the same datagram of one source, each within half a second, before that datagram
    /// is blocked for 60 s; 0: no limit [default: 1000, no limit for loopback]
    #[arg(long, value_name = "N", value_parser = count32, help_heading = GUARD)]
    udp_loop_limit: Option<u32>,
    /// With --udp-public, send replies of more than twice the size of the request (with IP and UDP
    /// headers), which a long suffix can cause; otherwise such datagrams get no reply
    #[arg(long, requires = "udp_public", help_heading = GUARD)]
    udp_allow_amplification: bool,

    #[command(flatten, next_help_heading = FAULTS)]
    pub(crate) faults: FaultArgs,
    #[command(flatten)]
    pub(crate) study: StudyArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OverLimitArg {
    Reject,
    Wait,
    EvictIdle,
}

/// An address to listen on, as typed: an empty host means every interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl ServeArgs {
    pub(crate) fn tcp(&self) -> Vec<Listen> {
        if self.no_tcp {
            Vec::new()
        } else {
            self.tcp.clone()
        }
    }

    pub(crate) fn udp(&self) -> Vec<Listen> {
        if self.no_udp {
            Vec::new()
        } else {
            self.udp.clone()
        }
    }

    /// Whether pending output has the limit that follows from the memory limit.
    pub(crate) const fn is_unsent_max_default(&self) -> bool {
        self.unsent_max.is_none()
    }

    /// The settings that follow from the arguments alone. Addresses are still to be resolved.
    pub(crate) fn config(&self) -> Config {
        let low = self
            .low_water
            .unwrap_or_else(|| (self.high_water / 4).min(16 * 1024));
        let mut config = Config::new();
        config.backlog = self.backlog;
        config.reuse_port = self.reuse_port;
        config.buffers = BufferSizes {
            send: self.sndbuf.map(NonZeroUsize::get),
            receive: self.rcvbuf.map(NonZeroUsize::get),
        };
        config.recv_size = self.recv_size;
        config.read_ahead = self.read_ahead;
        config.read_budget = self.read_budget;
        config.iteration_budget = self.iteration_budget;
        config.watermarks = Watermarks {
            high: self.high_water,
            low,
        };
        config.max_conns = self.max_conns.unwrap_or(config.max_conns);
        config.over_limit = match self.over_limit {
            OverLimitArg::Reject => OverLimit::Reject,
            OverLimitArg::Wait => OverLimit::Wait,
            OverLimitArg::EvictIdle => OverLimit::EvictIdle,
        };
        config.max_conns_per_ip = NonZeroUsize::new(self.max_conns_per_ip);
        config.accept_budget = self.accept_budget;
        config.accept_rate = (self.accept_rate > 0.0).then_some(self.accept_rate);
        config.unsent_max = self.unsent_max.filter(|&most| most > 0);
        config.datagram_budget = self.datagram_budget;
        config.idle_timeout = match self.idle_timeout {
            Some(Timeout(timeout)) => timeout,
            None if self.console => None,
            None => config.idle_timeout,
        };
        config.first_byte_timeout = self.first_byte_timeout.0;
        config.write_stall_timeout = self.write_stall_timeout.0;
        config.drain_timeout = self.drain_timeout;
        config.udp_suffix = self.udp_suffix.clone().into_bytes();
        config.udp_public = self.udp_public;
        config.udp_answer_replies = self.udp_answer_replies;
        config.udp_rate = self.udp_rate;
        config.udp_network_rate = self.udp_network_rate;
        config.udp_total_rate = self.udp_total_rate;
        config.udp_loop_limit = self.udp_loop_limit;
        config.udp_allow_amplification = self.udp_allow_amplification;
        config.stats_interval = self.stats_interval.0;
        config
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(
                "write HOST:PORT, such as 127.0.0.1:25555, or :PORT for every interface".to_owned(),
            );
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        // Only a host that is left out means every interface.
        if bare == Some("") || (bare.is_none() && host.contains([':', '[', ']'])) {
            return Err("write an IPv6 address in brackets: [::1]:25555".to_owned());
        }
        let host = bare.unwrap_or(host);
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits);
        let port = port.ok_or("write a port between 0 (any free one) and 65535")?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn serve(options: &[&str]) -> ServeArgs {
        let cli = Cli::try_parse_from(["echoloop", "serve"].iter().chain(options)).unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("{cli:?}")
        };
        *args
    }

    /// The defaults are written twice, for `--help` and for the library; they must not part.
    #[test]
    fn the_defaults_are_the_librarys() {
        let args = serve(&[]);
        assert_eq!(
            format!("{:?}", args.config()),
            format!("{:?}", Config::new())
        );
        assert_eq!(
            args.tcp(),
            [Listen {
                host: "127.0.0.1".to_owned(),
                port: 25555
            }]
        );
        assert_eq!(
            args.udp(),
            [Listen {
                host: "127.0.0.1".to_owned(),
                port: 25556
            }]
        );
    }

    #[test]
    fn addresses_are_hosts_and_ports() {
        for (text, host, port) in [
            ("127.0.0.1:25555", "127.0.0.1", 25555),
            (":25555", "", 25555),
            ("[::1]:0", "::1", 0),
            ("localhost:7", "localhost", 7),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Listen {
                    host: host.to_owned(),
                    port
                }),
                "{text}"
            );
        }
        for text in [
            "25555",
            "",
            "::1:80",
            "host:",
            "host:65536",
            "host:-1",
            "host:http",
            "host:+0",
            "[]:80",
            "[::1:80",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn low_water_follows_a_high_water_that_is_given_alone() {
        let marks = serve(&["--high-water", "4k"]).config().watermarks;
        assert_eq!((marks.high, marks.low), (4096, 1024));
    }
}
