//! A server that misbehaves on purpose, to prove clients with.

mod stream;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

pub use stream::FaultyStream;

use self::stream::Flaws;
use super::{Conduct, Config, Server};
use crate::probe::{Off, Probe};
use crate::reactor::{Outlet, Reactor, System, TcpStream};
use crate::service::{
    Brief, Delayed, Fate, Fates, Fault, FaultCounters, FaultTally, Faults, Held, Service, Stall,
};

/// Commits [`Faults`], and counts them.
///
/// # It blocks
///
/// A [`Stall`] is a sleep in the middle of the loop, which is what nothing else here may do: it is what a
/// client is to notice.
#[derive(Debug)]
pub struct Faulty {
    flaws: Arc<Flaws>,
    fates: Fates,
    /// Those to come, the first first.
    stalls: VecDeque<Stall>,
    /// When the first client or datagram came.
    begun: Option<Instant>,
    tally: Arc<FaultTally>,
}

/// A server that commits faults, whatever its service.
pub type FaultyServer<S, P = Off> = Server<Delayed<Brief<S>>, Faulty, P>;

impl<S: Service, P: Probe> FaultyServer<S, P> {
    /// As [`bind`](Server::bind), for a server that commits `faults`. A loop with a precise
    /// [`Timer`](crate::reactor::Timer) makes delays exact.
    ///
    /// # Errors
    ///
    /// The same, and `InvalidInput` for faults that can't be committed together.
    pub fn bind_with_faults(
        reactor: &Reactor,
        config: Config,
        service: S,
        faults: &Faults,
        probe: P,
    ) -> io::Result<Self> {
        faults
            .check()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let tally = Arc::new(FaultTally::default());
        let brief = Brief::new(service, faults.close, tally.clone());
        let clock: fn() -> Instant = Instant::now;
        // A sequence of its own, so that datagrams do not change what becomes of messages.
        let service = Delayed::new(brief, faults.delay, !faults.seed, clock, tally.clone());
        Self::bind_with(reactor, config, service, Faulty::new(faults, tally), probe)
    }
}

impl Faulty {
    /// Commits those of `faults` that concern sockets and the loop, and counts them in `tally`.
    pub fn new(faults: &Faults, tally: Arc<FaultTally>) -> Self {
        let mut stalls = faults.stalls.clone();
        stalls.sort_by_key(|stall| stall.at);
        Self {
            flaws: Arc::new(Flaws {
                corrupt: faults.corrupt,
                slice: faults.slice,
                reset: faults.reset,
                tally: tally.clone(),
            }),
            fates: Fates::new(faults.odds, faults.seed),
            stalls: stalls.into(),
            begun: None,
            tally,
        }
    }

    fn next_stall(&self) -> Option<Instant> {
        Some(self.begun? + self.stalls.front()?.at)
    }
}

impl Conduct for Faulty {
    type Net = System;
    type Stream = FaultyStream<TcpStream>;

    fn stream(&mut self, stream: TcpStream) -> Self::Stream {
        FaultyStream::new(stream, self.flaws.clone())
    }

    fn answer(
        &mut self,
        socket: usize,
        source: SocketAddr,
        bytes: &[u8],
        now: Instant,
        mut outlet: Outlet<'_>,
    ) {
        let sent = match self.fates.decide(socket, source, bytes, now) {
            Fate::Dropped => {
                self.tally.count(Fault::Dropped);
                false
            }
            Fate::Held => false,
            Fate::Sent => outlet.send(source, bytes),
            Fate::SentTwice => {
                let sent = outlet.send(source, bytes);
                if sent && outlet.send_again(source, bytes) {
                    self.tally.count(Fault::SentTwice);
                }
                sent
            }
        };
        // Only what has been sent can be followed.
        if sent
            && let Some(held) = self.fates.follow(socket, source)
            && outlet.send(held.source, &held.bytes)
        {
            self.tally.count(Fault::OutOfOrder);
        }
    }

    fn begin(&mut self, now: Instant) {
        self.begun.get_or_insert(now);
    }

    fn expire(&mut self, now: Instant) -> bool {
        if self.next_stall().is_none_or(|at| now < at) {
            return false;
        }
        let Some(Stall { length, .. }) = self.stalls.pop_front() else {
            return false;
        };
        log::info!("standing still for {length:?}");
        thread::sleep(length);
        self.tally.count(Fault::Stalled);
        true
    }

    fn overdue(&mut self, now: Instant) -> Option<Held> {
        self.fates.expire(now)
    }

    fn close(&mut self, socket: usize) -> Option<Held> {
        self.fates.close(socket)
    }

    fn next(&self) -> Option<Instant> {
        let times = [self.next_stall(), self.fates.next()];
        times.into_iter().flatten().min()
    }

    fn counters(&self) -> FaultCounters {
        self.tally.counters()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn stalls_are_counted_from_the_first_who_came_and_each_happens_once() {
        let ms = Duration::from_millis;
        let stall = |at| Stall {
            at: ms(at),
            length: ms(3),
        };
        let faults = Faults {
            stalls: vec![stall(50), stall(20)],
            ..Faults::default()
        };
        let start = Instant::now();
        let mut faulty = Faulty::new(&faults, Arc::default());
        assert_eq!(
            (faulty.next(), faulty.expire(start + ms(99))),
            (None, false)
        );
        faulty.begin(start + ms(100));
        faulty.begin(start + ms(101));
        assert_eq!(faulty.next(), Some(start + ms(120)));
        assert!(!faulty.expire(start + ms(119)));
        let before = Instant::now();
        assert!(faulty.expire(start + ms(120)));
        assert!(before.elapsed() >= ms(3), "it stood still");
        assert_eq!(faulty.next(), Some(start + ms(150)));
        assert!(!faulty.expire(start + ms(149)));
        assert!(faulty.expire(start + ms(160)));
        assert_eq!((faulty.next(), faulty.counters().stalls), (None, 2));
    }
}
