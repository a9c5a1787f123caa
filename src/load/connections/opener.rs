//! Opens the sockets of a load.

use std::io;
use std::net::SocketAddr;

use crate::load::connections::close::{count_attempt, count_failed_attempt};
use crate::load::connections::pending::{NextOpen, PendingConnection, PendingQueue};
use crate::load::connections::sources::Sources;
use crate::load::connections::timers::{Timer, Timers};
use crate::load::host::Host;
use crate::load::plan::Plan;
use crate::load::schedule::random::mix;
use crate::load::shared::Shared;

/// Opens sockets: when they may be, from the source addresses of the plan in turn, and again if that fails.
#[derive(Debug)]
pub(crate) struct Opener {
    pub(crate) pending: PendingQueue,
    /// How many connections are being opened.
    pub(crate) connecting: usize,
    sources: Sources,
    run: u32,
    /// A timer says when the next connection may be opened.
    timer_armed: bool,
    /// Why the last that could not be opened, or was of no use, was not.
    pub(crate) last_error: Option<io::Error>,
}

impl Opener {
    /// `entropy` differs from run to run.
    pub(crate) fn new(plan: &Plan, entropy: u64) -> Self {
        Self {
            pending: PendingQueue::new(plan),
            connecting: 0,
            sources: Sources::new(&plan.sources),
            run: mix(plan.seed ^ mix(entropy)) as u32,
            timer_armed: false,
            last_error: None,
        }
    }

    /// What tells the datagrams of this run from those of an earlier one.
    pub(crate) const fn run(&self) -> u32 {
        self.run
    }

    /// The next connection or flow to open at `now`.
    pub(crate) fn next<H: Host>(
        &mut self,
        shared: &Shared<H>,
        timers: &mut Timers,
        now: u64,
    ) -> Option<PendingConnection> {
        match self.pending.next(self.connecting, now) {
            NextOpen::Now(pending) => Some(pending),
            NextOpen::Later => None,
            NextOpen::At(at) => {
                if !std::mem::replace(&mut self.timer_armed, true) {
                    timers.arm(shared.instant(at), Timer::Open);
                }
                None
            }
        }
    }

    /// The timer of [`next`](Self::next) is due.
    pub(crate) const fn timer_expired(&mut self) {
        self.timer_armed = false;
    }

    /// Opens `pending` at `now`: again, after a pause if it has failed before.
    pub(crate) fn open_again<H: Host>(
        &mut self,
        pending: PendingConnection,
        shared: &Shared<H>,
        timers: &mut Timers,
        now: u64,
    ) {
        let number = pending.number;
        if let Some(pause) = self.pending.push(pending) {
            timers.arm(shared.instant(now) + pause, Timer::Retry(number));
        }
    }

    /// `pending` could not be opened.
    pub(crate) fn failed<H: Host>(
        &mut self,
        mut pending: PendingConnection,
        error: io::Error,
        shared: &mut Shared<H>,
        timers: &mut Timers,
        now: u64,
    ) {
        count_failed_attempt(pending.pacer.server(), &error, shared);
        self.last_error = Some(error);
        pending.failures += 1;
        self.open_again(pending, shared, timers, now);
    }

    /// Begins to connect, from the next source that has a port left.
    ///
    /// # Errors
    ///
    /// Why that can't be done.
    pub(crate) fn connect<H: Host>(
        &mut self,
        pending: &PendingConnection,
        shared: &mut Shared<H>,
    ) -> io::Result<H::Attempt> {
        count_attempt(pending.pacer.server(), shared);
        let target = target(&shared.plan, pending.number);
        let mut attempts = self.sources.attempts(target);
        loop {
            attempts -= 1;
            let source = self.sources.next(target);
            match shared.host.connect(target, source, &shared.plan.dial) {
                Err(error) if lacks_ports(&error) && attempts > 0 => {}
                result => return result,
            }
        }
    }

    /// Opens the socket of the flow of this number.
    ///
    /// # Errors
    ///
    /// Why that can't be done.
    pub(crate) fn open_datagrams<H: Host>(
        &mut self,
        number: usize,
        shared: &mut Shared<H>,
    ) -> io::Result<H::Datagrams> {
        let target = target(&shared.plan, number);
        let source = self.sources.next(target);
        shared
            .host
            .open_datagrams(target, source, &shared.plan.dial)
    }

    /// Takes [`last_error`](Self::last_error).
    pub(crate) fn take_error(&mut self) -> io::Error {
        let none = || io::ErrorKind::TimedOut.into();
        self.last_error.take().unwrap_or_else(none)
    }

    /// Whether every connection is open, or has been tried at least once.
    pub(crate) fn is_tried(&self) -> bool {
        self.connecting == 0 && !self.pending.is_waiting()
    }
}

/// The server that a connection goes to.
fn target(plan: &Plan, number: usize) -> SocketAddr {
    plan.targets[number % plan.targets.len()]
}

/// Whether this source has no port left to that server. Another one may: `connect(2)` reports the
/// first error, and `bind(2)` the second where that is what chooses the port.
fn lacks_ports(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
    )
}
