//! What all connections of a load share.

use std::time::{Duration, Instant};

use super::host::Host;
use super::plan::Plan;
use super::result::messages::State;
use super::result::recorder::Recorder;
use super::schedule::message::SentMessage;
use super::schedule::pacer::{Due, Pacer};
use super::schedule::random::{Random, mix};
use super::schedule::shared_schedule::Schedule;
use super::verify::pattern::Pattern;
use super::verify::reply_verifier::Expected;
use super::verify::terminator::Terminator;

/// The size of the receive buffer: the most bytes that one read returns.
const RECEIVE_BUFFER: usize = 64 * 1024;

/// What all connections of a load share. Times are in nanoseconds since `start`.
#[derive(Debug)]
pub(crate) struct Shared<H> {
    pub(crate) host: H,
    pub(crate) plan: Plan,
    pub(crate) schedule: Schedule,
    pub(crate) expected: Expected,
    /// What ends the greeting of a server, if there is one.
    pub(crate) greeting: Option<Terminator>,
    pub(crate) recorder: Recorder,
    random: Random,
    /// What was read last.
    pub(crate) buffer: Box<[u8]>,
    pub(crate) start: Instant,
}

impl<H: Host> Shared<H> {
    pub(crate) fn new(plan: Plan, start: Instant, host: H) -> Self {
        let pattern = match &plan.message {
            Some(message) if !message.is_empty() => Pattern::repeated(message),
            _ => Pattern::random(mix(plan.seed)),
        };
        Self {
            host,
            schedule: Schedule::new(plan.rate.clone(), plan.think, plan.deadline),
            expected: Expected::new(pattern, plan.reply.clone(), plan.verify),
            greeting: plan.greeting.as_deref().map(Terminator::new),
            recorder: Recorder::new(&plan),
            random: Random::new(mix(plan.seed ^ 0x51_5e)),
            buffer: vec![0; RECEIVE_BUFFER].into_boxed_slice(),
            start,
            plan,
        }
    }

    /// The time, in nanoseconds since the load began.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.stamp(self.host.now())
    }

    /// `time` in nanoseconds since the load began.
    #[inline]
    pub(crate) fn stamp(&self, time: Instant) -> u64 {
        time.saturating_duration_since(self.start).as_nanos() as u64
    }

    /// The time that `stamp` is.
    pub(crate) fn instant(&self, stamp: u64) -> Instant {
        self.start + Duration::from_nanos(stamp)
    }

    /// The next message of a connection that is free at `now`. Messages that are too late are dropped and counted.
    #[inline]
    pub(crate) fn next_due(&mut self, pacer: &mut Pacer, now: u64) -> Due {
        if self.schedule.deadline.is_some() {
            self.drop_late(pacer, now);
        }
        pacer.next(&self.schedule, now)
    }

    #[cold]
    fn drop_late(&mut self, pacer: &mut Pacer, now: u64) {
        while let Some(due) = pacer.too_late(&self.schedule, now) {
            self.skip(pacer, due, State::Shed);
        }
    }

    /// The message of `size` bytes that was due at `due` is sent at `now`.
    #[inline]
    pub(crate) fn send(
        &mut self,
        pacer: &mut Pacer,
        due: u64,
        size: usize,
        now: u64,
    ) -> SentMessage {
        let ideal = pacer.send(due, now);
        let message = self.recorder.sent(pacer.server(), due, ideal, now, size);
        if message.measured {
            self.schedule.take_one();
        }
        message
    }

    /// Messages that were due and have not been sent by `now`, the end of the run, never will be. With `--deadline`, late ones are
    /// counted as dropped.
    pub(crate) fn give_up_unsent(&mut self, pacer: &mut Pacer, now: u64) {
        self.drop_late(pacer, now);
        while let Some(due) = pacer.next_unsent(&self.schedule, now) {
            self.skip(pacer, due, State::NeverSent);
        }
    }

    #[cold]
    fn skip(&mut self, pacer: &mut Pacer, due: u64, state: State) {
        if self.recorder.not_sent(pacer.server(), due, state) {
            self.schedule.take_one();
        }
        pacer.skip();
    }

    /// The size of the next message.
    #[inline]
    pub(crate) fn draw_size(&mut self) -> usize {
        match &self.plan.message {
            Some(message) => message.len(),
            None => self.plan.sizes.draw(&mut self.random),
        }
    }

    /// A place in the pattern for a connection to begin at. With a message of its own, every connection begins where
    /// that does.
    pub(crate) fn salt(&self, connection: usize) -> u64 {
        match &self.plan.message {
            Some(_) => 0,
            None => mix(self.plan.seed ^ (connection as u64 + 1)) % self.expected.pattern.period(),
        }
    }
}
