//! What a load is to be: where, how much, in which shape, and what counts as an answer.

use std::net::SocketAddr;
use std::time::Duration;

pub use crate::load::schedule::arrivals::Arrival;
use crate::load::schedule::rate::Profile;
use crate::load::schedule::sizes::Sizes;
use crate::reactor::{DialOptions, SourceAddr};
use crate::service::datagram_max;

/// The most messages that may be in flight on one connection or flow.
pub const PIPELINE_MAX: usize = 1 << 20;

/// The most connections, with those that are idle. No system holds so many.
const CONNECTIONS_MAX: usize = 1 << 24;

/// The largest message, in bytes.
pub const MESSAGE_MAX: usize = 1 << 30;

/// What a load is to be. Times of zero mean none.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether messages are datagrams. Otherwise they are parts of a TCP stream.
    pub udp: bool,
    /// The servers, at least one. Connections go to them in turn.
    pub targets: Vec<SocketAddr>,
    /// The other addresses of each server, in the same order, or nothing. UDP tries them in turn until a datagram comes from
    /// the server.
    pub other_addresses: Vec<Vec<SocketAddr>>,
    /// The addresses that connections come from, in turn. Empty: whichever the system takes.
    pub sources: Vec<SourceAddr>,
    /// How many connections, or flows of datagrams, carry the load.
    pub connections: usize,
    /// How many more are opened and stay silent.
    pub idle: usize,
    /// How many connections may be opened in a second. `None`: as fast as they are answered, so many at once.
    pub connect_rate: Option<f64>,
    /// How long a connection may take to be opened, and then how long its greeting may take.
    pub connect_timeout: Duration,
    /// How sockets are set up.
    pub dial: DialOptions,
    /// How connections are closed.
    pub close: Close,
    /// When a connection is closed and opened anew.
    pub churn: Option<Churn>,
    /// When the load ends.
    pub stop: Stop,
    /// How long the load runs before anything is recorded.
    pub warmup: Duration,
    /// When messages are due. `None`: a closed loop, in which a message follows an answer.
    pub rate: Option<Profile>,
    /// How messages are spread over a second, in an open loop.
    pub arrival: Arrival,
    /// How many messages may be in flight on one connection.
    pub pipeline: usize,
    /// How long a connection waits between an answer and its next message, in a closed loop.
    pub think: Duration,
    /// How long messages are.
    pub sizes: Sizes,
    /// What they say. `None`: bytes that differ from place to place and from connection to connection.
    pub message: Option<Vec<u8>>,
    /// What ends the greeting of a server, which it sends before the first message. `None`: it sends none.
    pub greeting: Option<Vec<u8>>,
    /// What is expected of an answer.
    pub reply: Reply,
    /// How much of it is verified.
    pub verify: Verify,
    /// How long an answer may take from when its message was sent. It is counted then; of a stream, it is still
    /// awaited.
    pub timeout: Duration,
    /// How late a message may be sent, counted from when it was due, before it is dropped and counted.
    pub deadline: Option<Duration>,
    /// How long answers are awaited, and messages that were due are still sent, after the load has ended.
    pub drain: Duration,
    /// How often figures are taken.
    pub interval: Duration,
    /// What random sizes, times and bytes are drawn from.
    pub seed: u64,
}

/// When a load ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// After this long.
    After(Duration),
    /// After so many messages.
    Messages(u64),
}

/// When a connection is closed and opened anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Churn {
    /// After so many messages.
    Messages(u64),
    /// After this long, once nothing is in flight.
    After(Duration),
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// In good order: our end waits in the kernel for a minute (`TIME_WAIT`).
    Fin,
    /// By a reset, which leaves nothing behind.
    Reset,
}

/// What is expected of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The message itself.
    Echo,
    /// The message, and this behind it.
    Suffix(Vec<u8>),
    /// So many bytes, whatever they are.
    Size(usize),
    /// Whatever there is up to this and with it.
    Until(Vec<u8>),
    /// Nothing: a message is done when it has been written.
    None,
}

/// How much of an answer is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Every byte.
    Full,
    /// That there are as many bytes as there should be.
    Length,
    /// Nothing: bytes too many are ignored as well.
    Off,
}

impl Plan {
    /// A closed loop of one connection for ten seconds, 64 bytes at a time. It goes nowhere yet.
    pub fn new() -> Self {
        Self {
            udp: false,
            targets: Vec::new(),
            other_addresses: Vec::new(),
            sources: Vec::new(),
            connections: 1,
            idle: 0,
            connect_rate: None,
            connect_timeout: Duration::from_secs(10),
            dial: DialOptions::default(),
            close: Close::Fin,
            churn: None,
            stop: Stop::After(Duration::from_secs(10)),
            warmup: Duration::from_secs(1),
            rate: None,
            arrival: Arrival::Constant,
            pipeline: 1,
            think: Duration::ZERO,
            sizes: Sizes::fixed(64),
            message: None,
            greeting: None,
            reply: Reply::Echo,
            verify: Verify::Full,
            timeout: Duration::from_secs(2),
            deadline: None,
            drain: Duration::from_secs(2),
            interval: Duration::from_secs(1),
            seed: 1,
        }
    }

    /// All addresses of all servers.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let others = self.other_addresses.iter().flatten();
        self.targets.iter().chain(others).copied()
    }

    /// Whether the load is offered on a schedule of its own, whatever the answers do.
    pub const fn is_open(&self) -> bool {
        self.rate.is_some()
    }

    /// How long a run of a number of messages goes on without a reply: for as long as one may take and is waited for,
    /// and until the next message of a slow load has had its chance.
    pub(crate) fn patience(&self) -> Duration {
        let rate = self.rate.as_ref().map_or(f64::INFINITY, Profile::lowest);
        let between = Duration::try_from_secs_f64(2.0 / rate).unwrap_or(Duration::MAX);
        let patience = self.timeout.saturating_add(self.drain);
        patience.saturating_add(self.think).saturating_add(between)
    }

    /// How long opening the connections may take.
    pub(crate) fn opening_time(&self) -> Duration {
        let all = (self.connections + self.idle) as f64;
        let paced = self.connect_rate.map_or(0.0, |rate| all / rate);
        let paced = Duration::try_from_secs_f64(paced).unwrap_or(Duration::MAX);
        let greeting = self.greeting.as_ref().map(|_| self.connect_timeout);
        let each = self
            .connect_timeout
            .saturating_add(greeting.unwrap_or_default());
        each.saturating_add(paced)
    }

    /// Whether the plan makes sense.
    ///
    /// # Errors
    ///
    /// The first thing that does not, and what would.
    pub fn check(&self) -> Result<(), String> {
        let refused = |problem: &str| Err(problem.to_owned());
        if self.targets.is_empty() {
            return refused("nowhere to go: give a server, such as 127.0.0.1:25555");
        }
        if self.connections == 0 {
            return refused("0 connections carry no load: give at least 1");
        }
        let all = self.connections.saturating_add(self.idle);
        if all > CONNECTIONS_MAX {
            return Err(format!(
                "{all} connections, the idle ones among them, are too many: give {CONNECTIONS_MAX} at most"
            ));
        }
        match self.stop {
            Stop::After(time) if time.is_zero() => {
                return refused("a duration of 0 measures nothing: give some time, such as 10s");
            }
            Stop::Messages(0) => {
                return refused("0 messages measure nothing: give at least 1");
            }
            _ => {}
        }
        if self.pipeline == 0 || self.pipeline > PIPELINE_MAX {
            return Err(format!(
                "a pipeline of {} is none: give 1 to {PIPELINE_MAX}",
                self.pipeline
            ));
        }
        if self.is_open() && !self.think.is_zero() {
            return refused(
                "--think is for a closed loop: with --rate, the schedule says when a message is due",
            );
        }
        if matches!(self.churn, Some(Churn::Messages(0))) {
            return refused("churn after 0 messages would send none: give at least 1");
        }
        if self.interval.is_zero() || self.timeout.is_zero() {
            return refused("--interval and --timeout of no time make no sense: give some");
        }
        if self.udp {
            self.check_datagrams()?;
        }
        self.dial.buffers.check()?;
        self.check_message()
    }

    fn check_datagrams(&self) -> Result<(), String> {
        let largest = self
            .message
            .as_ref()
            .map_or_else(|| self.sizes.largest(), |message| message.len());
        let longest = self.addresses().map(|address| datagram_max(address.ip()));
        let longest = longest.min().unwrap_or(usize::MAX);
        if largest > longest {
            return Err(format!(
                "{largest} bytes do not fit into a datagram: give {longest} at most"
            ));
        }
        if self.churn.is_some() || self.idle > 0 {
            return Err(
                "--churn and --idle are for TCP: a flow of datagrams has no connection".to_owned(),
            );
        }
        if matches!(self.reply, Reply::Until(_)) {
            return Err("--reply until: is for TCP: an answer over UDP is one datagram".to_owned());
        }
        if self.greeting.is_some() {
            return Err("--greeting is for TCP: a UDP server replies to datagrams only".to_owned());
        }
        Ok(())
    }

    fn check_message(&self) -> Result<(), String> {
        let smallest = self.sizes.smallest();
        let largest = self.message.as_ref().map_or(0, Vec::len);
        let largest = largest.max(self.sizes.largest());
        if largest > MESSAGE_MAX {
            return Err(format!(
                "a message of {largest} bytes is too large: give {MESSAGE_MAX} at most"
            ));
        }
        if self.greeting.as_ref().is_some_and(Vec::is_empty) {
            return Err("--greeting until: needs the text that ends the greeting".to_owned());
        }
        match (&self.message, &self.reply) {
            (Some(message), _) if message.is_empty() && !self.udp => {
                Err("an empty message is none over TCP: give at least 1 byte".to_owned())
            }
            (None, _) if smallest == 0 && !self.udp => {
                Err("a message of 0 bytes is none over TCP: give at least 1 byte".to_owned())
            }
            (_, Reply::Until(text)) if text.is_empty() => {
                Err("--reply until: needs a text that ends an answer".to_owned())
            }
            (_, Reply::Size(0)) if !self.udp => {
                Err("an answer of 0 bytes can't be seen over TCP: say --reply none".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::BUFFER_MAX;

    #[test]
    fn sizes_beyond_a_limit_are_refused_with_the_limit() {
        let refused = |change: &dyn Fn(&mut Plan)| {
            let mut plan = Plan::new();
            plan.targets = vec![([127, 0, 0, 1], 1).into()];
            assert_eq!(plan.check(), Ok(()));
            change(&mut plan);
            plan.check().unwrap_err()
        };
        // Zeros that are never written to take no memory.
        let message = refused(&|plan| plan.message = Some(vec![0; MESSAGE_MAX + 1]));
        assert!(message.contains("give 1073741824 at most"), "{message}");
        let buffer = refused(&|plan| plan.dial.buffers.send = Some(4 << 30));
        assert!(
            buffer.starts_with("--sndbuf 4294967296 is") && buffer.contains("2147483647"),
            "{buffer}"
        );
        let buffer = refused(&|plan| plan.dial.buffers.receive = Some(BUFFER_MAX + 1));
        assert!(buffer.starts_with("--rcvbuf 2147483648 is"), "{buffer}");
    }
}
