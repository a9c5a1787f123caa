//! Clients over modelled kernels, with the time in the test's hands.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::super::Clients;
use super::kernel::Kernel;
use crate::connection::{Readiness, Stream, Watermarks};
use crate::probe::{Closed, Off};
use crate::reactor::Key;
use crate::server::Config;
use crate::service::Service;

pub(super) const IDLE: Duration = Duration::from_secs(2);
pub(super) const STALL: Duration = Duration::from_secs(1);
pub(super) const MOMENT: Duration = Duration::from_millis(1);

/// The server's end of a modelled connection. The test keeps the other.
#[derive(Debug)]
pub(super) struct Socket(Rc<RefCell<Kernel>>);

impl Read for Socket {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(room)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Socket {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.borrow_mut().shutdown_write()
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.0.borrow_mut().take_error()
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.0.borrow_mut().resets_on_close = true;
        Ok(())
    }
}

/// Clients, the kernels behind them, and the time.
pub(super) struct Room<S> {
    pub(super) clients: Clients<Socket>,
    pub(super) peers: Vec<(Key, Rc<RefCell<Kernel>>)>,
    pub(super) now: Instant,
    pub(super) service: S,
    /// When the service wants to be called.
    wake: Option<Instant>,
    /// What a look at the clock tells: the time of the turn, and how long that has taken already.
    pub(super) clock: Rc<Cell<Instant>>,
    pub(super) lag: Duration,
}

impl<S: Service> Room<S> {
    pub(super) fn new(service: S) -> Self {
        Self::with(service, |_| ())
    }

    /// A server with other settings.
    pub(super) fn with(service: S, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new();
        config.read_ahead = 64.try_into().unwrap();
        config.recv_size = 16.try_into().unwrap();
        config.read_budget = 128;
        config.watermarks = Watermarks { high: 256, low: 64 };
        config.idle_timeout = Some(IDLE);
        config.write_stall_timeout = Some(STALL);
        config.max_conns = 50;
        change(&mut config);
        let now = Instant::now();
        Self {
            clients: Clients::new(&config, &service, now, Off),
            peers: Vec::new(),
            now,
            service,
            wake: None,
            clock: Rc::new(Cell::new(now)),
            lag: Duration::ZERO,
        }
    }

    /// A client connects. Returns its number.
    pub(super) fn connect(&mut self) -> usize {
        let client = self.try_connect(Ipv4Addr::LOCALHOST.into());
        client.expect("there is room")
    }

    /// A client tries to connect. Returns its number if it is let in.
    pub(super) fn try_connect(&mut self, from: IpAddr) -> Option<usize> {
        let kernel = Rc::new(RefCell::new(Kernel::new(200, 100)));
        let mut key = None;
        let register = |_: &mut Socket, given| {
            key = Some(given);
            Ok(())
        };
        let address = (from, 1).into();
        self.clients.admit(
            Socket(kernel.clone()),
            address,
            &mut self.service,
            self.now,
            register,
        );
        self.peers.push((key?, kernel));
        Some(self.peers.len() - 1)
    }

    pub(super) fn peer(&self, number: usize) -> RefMut<'_, Kernel> {
        self.peers[number].1.borrow_mut()
    }

    /// The events that wait for one client are delivered.
    pub(super) fn events_for(&mut self, number: usize) {
        let (key, kernel) = &self.peers[number];
        let mut seen = Readiness::of(false, false);
        if kernel.borrow_mut().deliver(&mut seen) {
            self.clients.ready(*key, seen);
        }
    }

    pub(super) fn turn(&mut self) {
        let stamp = self.clients.stamp(self.now);
        self.clients.expire(&mut self.service, self.now, stamp);
        self.clock.set(self.now + self.lag);
        self.service.wake(self.now);
        self.clients.carry_out(&mut self.service);
        self.clients.serve(&mut self.service, self.now, stamp);
        self.wake = self.service.wake(self.now);
        self.clients.carry_out(&mut self.service);
    }

    /// The server is told to stop.
    pub(super) fn stop(&mut self) {
        self.service.stopping();
        self.service.wake(self.now);
        self.clients.carry_out(&mut self.service);
        self.clients.drain(self.now);
    }

    /// Until when the loop would sleep.
    fn next(&self) -> Option<Instant> {
        let deadlines = [self.clients.next_deadline(), self.wake];
        deadlines.into_iter().flatten().min()
    }

    /// Whether the loop would not sleep now.
    pub(super) fn has_more_to_do(&self) -> bool {
        self.clients.is_runnable() || self.next().is_some_and(|next| next <= self.now)
    }

    /// How many clients have been half-closed.
    pub(super) fn count_shut(&self) -> usize {
        let shut = |(_, kernel): &&(Key, Rc<RefCell<Kernel>>)| kernel.borrow().is_shut();
        self.peers.iter().filter(shut).count()
    }

    /// All events are delivered and all work is done, as long as there is any.
    pub(super) fn settle(&mut self) {
        loop {
            for number in 0..self.peers.len() {
                self.events_for(number);
            }
            self.turn();
            if !self.clients.is_runnable() {
                return;
            }
        }
    }

    /// Time passes, deadline by deadline, as the loop would sleep.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.next().filter(|&next| next <= until) {
            assert!(
                next >= self.now || self.clients.is_runnable(),
                "a deadline was passed over"
            );
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    pub(super) fn closed(&self) -> Closed {
        self.clients.counters().closed
    }
}
