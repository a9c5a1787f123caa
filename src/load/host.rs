//! What the load generator runs on: clock, sockets, and what the kernel counts.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::result::run_queue::run_queue_wait;
use crate::reactor::{
    Attempt, ConnectedDatagrams, Dial, DialOptions, Heartbeat, Registry, SourceAddr, UdpSocket,
    dial_datagrams, dropped_datagrams,
};

/// What a load runs on: this machine ([`SystemHost`]), or the model of one in a simulation.
pub trait Host {
    /// A TCP connection that is being opened.
    type Attempt: Attempt;

    /// A UDP socket that is connected to one server.
    type Datagrams: ConnectedDatagrams;

    /// The time.
    fn now(&self) -> Instant;

    /// Begins to connect to `to`, from the address `from` if that is given.
    ///
    /// # Errors
    ///
    /// Errors that connect(2) reports at once, such as `NetworkUnreachable` or `AddrNotAvailable`.
    fn connect(
        &mut self,
        to: SocketAddr,
        from: Option<SourceAddr>,
        options: &DialOptions,
    ) -> io::Result<Self::Attempt>;

    /// Opens a UDP socket that is connected to `to`.
    ///
    /// # Errors
    ///
    /// Those of binding and connecting.
    fn open_datagrams(
        &mut self,
        to: SocketAddr,
        from: Option<SourceAddr>,
        options: &DialOptions,
    ) -> io::Result<Self::Datagrams>;

    /// Makes a timer that wakes the loop of `registry`.
    ///
    /// # Errors
    ///
    /// When there can be none.
    fn open_heartbeat(&mut self, registry: &Registry) -> io::Result<()>;

    /// Has that timer wake the loop once, `after` this time.
    ///
    /// # Errors
    ///
    /// Those of the system call; `NotFound` if there is no timer.
    fn set_heartbeat(&mut self, after: Duration) -> io::Result<()>;

    /// How long the thread of the loop has been runnable without running so far, if that is known.
    fn run_queue_wait(&self) -> Option<Duration>;

    /// How many datagrams the kernel has dropped so far at each of the sockets with these `inodes`, modulo
    /// 2^32. `None` if that is not known.
    fn dropped_datagrams(&self, inodes: &HashSet<u64>) -> Option<HashMap<u64, u32>>;

    /// A number that differs from run to run.
    fn entropy(&self) -> u64;
}

/// This machine.
#[derive(Debug, Default)]
pub struct SystemHost {
    heartbeat: Option<Heartbeat>,
}

impl Host for SystemHost {
    type Attempt = Dial;
    type Datagrams = UdpSocket;

    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        from: Option<SourceAddr>,
        options: &DialOptions,
    ) -> io::Result<Dial> {
        Dial::start(to, from, options)
    }

    fn open_datagrams(
        &mut self,
        to: SocketAddr,
        from: Option<SourceAddr>,
        options: &DialOptions,
    ) -> io::Result<UdpSocket> {
        dial_datagrams(to, from, options)
    }

    fn open_heartbeat(&mut self, registry: &Registry) -> io::Result<()> {
        self.heartbeat = Some(Heartbeat::new(registry)?);
        Ok(())
    }

    fn set_heartbeat(&mut self, after: Duration) -> io::Result<()> {
        match &self.heartbeat {
            Some(heartbeat) => heartbeat.set(after),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn run_queue_wait(&self) -> Option<Duration> {
        run_queue_wait()
    }

    fn dropped_datagrams(&self, inodes: &HashSet<u64>) -> Option<HashMap<u64, u32>> {
        dropped_datagrams(inodes)
    }

    fn entropy(&self) -> u64 {
        // Two programs that begin at once have different ids, two runs of one id different times.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanoseconds = now.map_or(0, |now| now.as_nanos() as u64);
        nanoseconds ^ u64::from(std::process::id()) << 32
    }
}
