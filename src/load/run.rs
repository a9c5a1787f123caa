//! A load from its beginning to its end: the phases, and the loop iteration.

use std::io;
use std::time::{Duration, Instant};

use super::connections::table::ConnectionTable;
use super::connections::timers::Timer;
use super::host::{Host, SystemHost};
use super::phase::Phase;
use super::plan::{Plan, Stop};
use super::result::outcome::Outcome;
use super::schedule::pauses::HEARTBEAT;
use super::shared::Shared;
use super::tick::Tick;
use super::time::{elapsed, nanoseconds};
use crate::probe::{Off, Probe};
use crate::reactor::{Event, Handler, Key, Next, Registry};

/// Called at the end of each interval. It must not block.
type Listener = Box<dyn FnMut(&Tick<'_>)>;

/// A load on its way.
pub struct Load<P = Off, H: Host = SystemHost> {
    pub(super) shared: Shared<H>,
    pub(super) table: ConnectionTable<P, H>,
    phase: Phase,
    /// When the measuring began, as far as that is known.
    measuring_from: u64,
    /// When the phase is over at the latest.
    phase_until: u64,
    /// For how long a run of a number of messages waits for a reply.
    patience: u64,
    turn_ended: Instant,
    failure: Option<io::Error>,
    listener: Listener,
    has_heartbeat: bool,
}

impl<P, H: Host> std::fmt::Debug for Load<P, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut load = f.debug_struct("Load");
        load.field("phase", &self.phase).finish_non_exhaustive()
    }
}

impl Load {
    /// A load of this plan, which begins once it is run. `listener` is called at the end of each interval. It must not block.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a plan that makes no sense ([`Plan::check`]).
    pub fn new(plan: Plan, listener: impl FnMut(&Tick<'_>) + 'static) -> io::Result<Self> {
        Self::with_probe(plan, listener, Off)
    }
}

impl<P: Probe> Load<P> {
    /// As [`new`](Load::new), for a load that tells `probe` of what it does.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn with_probe(
        plan: Plan,
        listener: impl FnMut(&Tick<'_>) + 'static,
        probe: P,
    ) -> io::Result<Self> {
        Self::on_host(plan, listener, probe, SystemHost::default())
    }
}

impl<P: Probe, H: Host> Load<P, H> {
    /// A load that runs on `host`.
    pub(crate) fn on_host(
        mut plan: Plan,
        listener: impl FnMut(&Tick<'_>) + 'static,
        probe: P,
        host: H,
    ) -> io::Result<Self> {
        plan.check()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        // The requested profile begins after the warm-up.
        let warmup = plan.warmup;
        plan.rate = plan.rate.map(|profile| profile.preceded_by(warmup));
        let start = host.now();
        Ok(Self {
            patience: nanoseconds(plan.patience()),
            table: ConnectionTable::new(&plan, start, host.entropy(), probe),
            shared: Shared::new(plan, start, host),
            phase: Phase::Start,
            measuring_from: u64::MAX,
            phase_until: u64::MAX,
            turn_ended: start,
            failure: None,
            listener: Box::new(listener),
            has_heartbeat: false,
        })
    }

    /// The observer of this load.
    pub const fn probe_mut(&mut self) -> &mut P {
        &mut self.table.probe
    }

    /// Ends the load now. Replies to messages in flight are still awaited, for the drain time of the plan.
    pub fn stop(&mut self) {
        self.interrupt();
        if self.phase != Phase::Draining {
            self.phase = Phase::Over;
        }
    }

    /// Ends the window now, unless it is over already or has not begun.
    fn interrupt(&mut self) {
        self.shared.recorder.outcome.interrupted = true;
        let now = self.shared.now();
        // The warm-up may have ended while the loop was not looking: messages of the window may have been sent.
        if self.phase == Phase::WarmingUp && now >= self.phase_until {
            self.measure(now);
        }
        if self.phase == Phase::Measuring {
            // Events at this very time are in the window.
            self.drain(now, (now + 1).min(self.phase_until));
        }
    }

    /// Ends it at once, whatever is in flight.
    pub fn abort(&mut self) {
        self.shared.recorder.outcome.aborted = true;
        self.interrupt();
        self.phase = Phase::Over;
    }

    /// The result, once the loop was left.
    ///
    /// # Errors
    ///
    /// Why no connection could be opened, if none could; `ConnectionRefused` too if all datagrams were refused.
    pub fn finish(mut self) -> io::Result<Outcome> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        let now = self.shared.now();
        self.table.finish(&mut self.shared, now);
        let outcome = self.shared.recorder.finish(now);
        debug_assert_eq!(
            outcome.messages.ended(),
            outcome.messages.offered,
            "every message offered ends in one state: {:?}",
            outcome.messages
        );
        debug_assert_eq!(outcome.internal_error, None);
        Ok(outcome)
    }

    /// The plan, as it is carried out.
    pub const fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// Whether messages are sent.
    pub fn is_running(&self) -> bool {
        self.phase.is_running()
    }

    /// Whether it is being measured.
    pub fn is_measuring(&self) -> bool {
        self.phase == Phase::Measuring
    }

    /// Goes on to the next phase if it is time to.
    fn go_on(&mut self, now: u64) {
        match self.phase {
            Phase::Start => {
                self.phase = Phase::Connecting;
                let opening = nanoseconds(self.shared.plan.opening_time());
                self.phase_until = now.saturating_add(opening);
            }
            // Those that could not be opened are tried again while the others are at work.
            Phase::Connecting if self.table.opener.is_tried() || now >= self.phase_until => {
                if self.shared.recorder.outcome.connections.established == 0 {
                    self.failure = Some(self.table.opener.take_error());
                    self.phase = Phase::Over;
                } else {
                    self.begin(now);
                }
            }
            Phase::WarmingUp if now >= self.phase_until => self.measure(now),
            Phase::WarmingUp | Phase::Measuring if self.table.is_port_closed(&self.shared) => {
                self.failure = Some(io::ErrorKind::ConnectionRefused.into());
                self.phase = Phase::Over;
            }
            Phase::Measuring if now >= self.phase_until => self.drain(now, self.phase_until),
            Phase::Measuring if self.is_complete() => {
                let ended = self
                    .shared
                    .recorder
                    .progress
                    .after_last(self.measuring_from, self.shared.now());
                self.drain(now, ended);
            }
            Phase::Measuring if self.stuck_at().is_some_and(|at| at <= now) => {
                self.stop_waiting(now);
            }
            Phase::Draining
                if now >= self.phase_until || self.table.is_settled(&self.shared, now) =>
            {
                self.phase = Phase::Over;
            }
            _ => {}
        }
    }

    /// Whether all of a number of messages were sent, and all have left flight.
    const fn is_complete(&self) -> bool {
        self.shared.schedule.is_used_up() && self.shared.recorder.in_flight() == 0
    }

    /// When a run of a number of messages has waited for too long: no reply has come, although messages were sent or
    /// connections tried, for longer than a reply may take and is waited for.
    fn stuck_at(&self) -> Option<u64> {
        let Shared {
            recorder, schedule, ..
        } = &self.shared;
        if self.phase != Phase::Measuring || schedule.left.is_none() {
            return None;
        }
        recorder.progress.patience_ends(self.patience)
    }

    /// No reply will come any more. If messages are left to be sent, the run is given up.
    fn stop_waiting(&mut self, now: u64) {
        let end = self.shared.now() + 1;
        let progress = &self.shared.recorder.progress;
        let ended = if self.shared.schedule.is_used_up() {
            progress.after_last(self.measuring_from, end)
        } else {
            let last = progress.last().max(self.measuring_from);
            self.shared.recorder.outcome.gave_up = Some(Duration::from_nanos(elapsed(last, now)));
            end
        };
        self.drain(now, ended);
        self.phase = Phase::Over;
    }

    /// The connections are there: messages are due from now on.
    fn begin(&mut self, now: u64) {
        let warmup = nanoseconds(self.shared.plan.warmup);
        let from = now + warmup;
        self.shared.schedule.origin = now;
        self.measuring_from = from;
        self.shared.schedule.until = match self.shared.plan.stop {
            Stop::After(time) => from + nanoseconds(time),
            Stop::Messages(count) => {
                self.shared.schedule.left = Some(count);
                u64::MAX
            }
        };
        let until = self.shared.schedule.until;
        self.shared.recorder.begin(from, until, now);
        (self.phase, self.phase_until) = (Phase::WarmingUp, from);
        let interval_end = self.shared.instant(now) + self.shared.plan.interval;
        self.table.timers.arm(interval_end, Timer::Interval);
        self.table.slots.queue_all();
        if warmup == 0 {
            self.measure(now);
        }
    }

    fn measure(&mut self, now: u64) {
        (self.phase, self.phase_until) = (Phase::Measuring, self.shared.schedule.until);
        self.table
            .begin_measuring(&mut self.shared, self.measuring_from, now);
    }

    /// The schedule ends. Messages that were due are still sent, and replies awaited.
    fn drain(&mut self, now: u64, ended: u64) {
        if self.shared.recorder.interval.length(now) * 2 >= self.shared.plan.interval {
            self.tell_interval(now);
        }
        self.shared.schedule.until = ended;
        let queued = self.shared.host.run_queue_wait();
        self.shared.recorder.end_measuring(ended, queued, now);
        let outcome = &mut self.shared.recorder.outcome;
        outcome.connections.at_end = self.table.connected as u64;
        for server in self.table.refused(&self.shared.plan) {
            outcome.connections.refused_at_end += 1;
            outcome.servers[server as usize].refused_at_end += 1;
        }
        let drain = self.shared.plan.drain;
        (self.phase, self.phase_until) = (Phase::Draining, now + nanoseconds(drain));
        self.table.slots.queue_all();
    }

    /// The figures of the interval at hand, if it has ended.
    fn tell(&mut self, now: u64) {
        let told = matches!(self.phase, Phase::WarmingUp | Phase::Measuring);
        if std::mem::take(&mut self.table.interval_ended) && told {
            self.tell_interval(now);
        }
    }

    fn tell_interval(&mut self, now: u64) {
        let (interval, response) = self.shared.recorder.end_interval(now);
        let tick = Tick {
            interval: &interval,
            response: &response,
            connections: self.table.connected,
            warming_up: self.phase != Phase::Measuring,
            left: self.shared.schedule.time_left(now),
        };
        (self.listener)(&tick);
    }
}

impl<P: Probe, H: Host> Handler for Load<P, H> {
    #[inline]
    fn ready(&mut self, event: &Event) {
        let key = Key::from_token(event.token());
        self.table.probe.marked(key.map(Key::client));
        if let Some(key) = key {
            self.shared.recorder.work.events += 1;
            self.table.slots.ready(key, event);
        }
    }

    fn turn(&mut self, registry: &Registry, began: Instant) -> Next {
        // After a stop, nothing more is sent.
        if self.phase == Phase::Over {
            return Next::Stop;
        }
        self.table.probe.turn_began();
        let next = self.take_turn(registry, began);
        self.table.probe.turn_ended();
        next
    }
}

impl<P: Probe, H: Host> Load<P, H> {
    #[inline(always)]
    fn take_turn(&mut self, registry: &Registry, began: Instant) -> Next {
        let waiting = began.saturating_duration_since(self.turn_ended);
        let now = self.shared.stamp(began);
        self.beat(registry, now);
        self.table.expire(&mut self.shared, now);
        self.table.serve(&mut self.shared, now);
        self.table.expire_overdue(&mut self.shared);
        // After serving: connections that ended or were established make room for other attempts.
        self.table.open(&mut self.shared, registry, now);
        self.table.watch_again(&mut self.shared, registry);
        self.table
            .try_next_addresses(&mut self.shared, registry, now);
        self.go_on(now);
        self.tell(now);
        self.turn_ended = self.shared.host.now();
        let busy = self.turn_ended.saturating_duration_since(began);
        self.shared.recorder.spent(waiting, busy, now);
        if self.phase == Phase::Over {
            return Next::Stop;
        }
        if self.table.slots.has_ready() {
            return Next::until(Some(began), began);
        }
        let phase_until = (self.phase_until != u64::MAX).then_some(self.phase_until);
        let quiet = (self.phase == Phase::Draining)
            .then(|| self.table.quiet_at(&self.shared, now))
            .flatten();
        let next = phase_until
            .into_iter()
            .chain(quiet)
            .chain(self.stuck_at())
            .min();
        let next = next.map(|next| self.shared.instant(next));
        let next = self.table.timers.next().into_iter().chain(next).min();
        Next::until(next, began)
    }
}

impl<P: Probe, H: Host> Load<P, H> {
    /// Has the heartbeat wake the loop again, if it has to, and notes how late it did.
    #[inline]
    fn beat(&mut self, registry: &Registry, now: u64) {
        let is_due = self.shared.recorder.woke_up(now);
        if self.phase == Phase::Start {
            self.has_heartbeat = self.shared.host.open_heartbeat(registry).is_ok();
            if self.has_heartbeat {
                self.shared.recorder.pauses.begin(now);
            }
        } else if !is_due {
            return;
        }
        // Without a timer, a loop without events would look like a pause.
        if self.has_heartbeat && self.shared.host.set_heartbeat(HEARTBEAT).is_err() {
            self.has_heartbeat = false;
            self.shared.recorder.pauses.end();
        }
    }
}
