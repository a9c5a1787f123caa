//! What all connections of a load have in common.

use std::time::{Duration, Instant};

use super::answers::Expected;
use super::pattern::Pattern;
use super::plan::Plan;
use super::random::{Random, mix};
use super::recorder::Recorder;
use crate::probe::Probe;

/// The most bytes that one read brings.
const ROOM: usize = 64 * 1024;

/// What all connections of a load have in common. Times are in nanoseconds since `start`.
#[derive(Debug)]
pub(super) struct Shared<P> {
    /// Told of everything that is done.
    pub(super) probe: P,
    /// The time of the probe when ours began.
    pub(super) epoch: u64,
    pub(super) plan: Plan,
    pub(super) expected: Expected,
    pub(super) recorder: Recorder,
    pub(super) random: Random,
    /// What was read last.
    pub(super) room: Box<[u8]>,
    pub(super) start: Instant,
    /// When the schedule begins.
    pub(super) origin: u64,
    /// Messages are sent that are due from the origin to here. Empty as long as connections are being opened.
    pub(super) due_until: u64,
    /// How many more messages may be sent, if they are counted.
    pub(super) left: Option<u64>,
}

impl<P: Probe> Shared<P> {
    pub(super) fn new(plan: Plan, start: Instant, probe: P) -> Self {
        let pattern = match &plan.message {
            Some(message) if !message.is_empty() => Pattern::repeated(message),
            _ => Pattern::random(mix(plan.seed)),
        };
        Self {
            epoch: probe
                .now()
                .saturating_sub(start.elapsed().as_nanos() as u64),
            probe,
            expected: Expected::new(pattern, plan.reply.clone(), plan.verify),
            recorder: Recorder::new(&plan),
            random: Random::new(mix(plan.seed ^ 0x51_5e)),
            room: vec![0; ROOM].into_boxed_slice(),
            start,
            origin: u64::MAX,
            due_until: 0,
            left: None,
            plan,
        }
    }

    /// The time, in nanoseconds since the load began.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Messages of a closed loop that were not sent after all are still to be sent, if a number of them is to be.
    pub(super) fn send_again(&mut self, count: u64) {
        if let (Some(left), false) = (&mut self.left, self.plan.is_open()) {
            *left += count;
        }
    }

    /// The time that `stamp` is.
    pub(super) fn instant(&self, stamp: u64) -> Instant {
        self.start + Duration::from_nanos(stamp)
    }

    /// How long the next message is.
    #[inline]
    pub(super) fn draw_size(&mut self) -> usize {
        match &self.plan.message {
            Some(message) => message.len(),
            None => self.plan.sizes.draw(&mut self.random),
        }
    }

    /// A place in the pattern for a connection to begin at. With a message of its own, every connection begins where
    /// that does.
    pub(super) fn salt(&self, connection: usize) -> u64 {
        match &self.plan.message {
            Some(_) => 0,
            None => mix(self.plan.seed ^ (connection as u64 + 1)) % self.expected.pattern.period(),
        }
    }
}
