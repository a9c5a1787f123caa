//! Connections that are to be opened, and when.

use std::collections::VecDeque;
use std::time::Duration;

use crate::load::plan::Plan;
use crate::load::schedule::arrivals::Arrivals;
use crate::load::schedule::backoff;
use crate::load::schedule::pacer::Pacer;

/// How many connections are being opened at once, unless a rate is given. More than a server's backlog holds would be
/// dropped by its kernel, and tried again by ours a second later.
const CONNECTING_MAX: usize = 128;

/// How long after a failure a connection is tried again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(10);
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A connection that is to be opened.
#[derive(Debug)]
pub(crate) struct PendingConnection {
    pub(crate) number: usize,
    /// The rest of its part of the schedule.
    pub(crate) pacer: Pacer,
    /// How often in a row it could not be opened, or was of no use.
    pub(crate) failures: u32,
}

impl PendingConnection {
    fn new(number: usize, plan: &Plan) -> Self {
        // Idle connections have no part in the schedule.
        let is_scheduled = plan.is_open() && number < plan.connections;
        let arrivals = || Arrivals::new(plan.arrival, number, plan.connections, plan.seed);
        let server = number % plan.targets.len().max(1);
        Self {
            number,
            pacer: Pacer::new(is_scheduled.then(arrivals), server as u32),
            failures: 0,
        }
    }
}

/// When the next connection may be opened.
#[derive(Debug)]
pub(crate) enum NextOpen {
    /// Now: this one.
    Now(PendingConnection),
    /// At this time.
    At(u64),
    /// When one that is being opened is decided, or a pause is over.
    Later,
}

/// All connections of a load that are to be opened.
#[derive(Debug)]
pub(crate) struct PendingQueue {
    waiting: VecDeque<PendingConnection>,
    /// Connections in a pause after a failure, by their numbers.
    paused: Vec<Option<PendingConnection>>,
    /// The time between two attempts, in nanoseconds, if there is a rate.
    distance: Option<u64>,
    /// When the next may be opened, if there is a rate.
    next: u64,
}

impl PendingQueue {
    pub(crate) fn new(plan: &Plan) -> Self {
        let all = plan.connections + plan.idle;
        Self {
            waiting: (0..all)
                .map(|number| PendingConnection::new(number, plan))
                .collect(),
            paused: std::iter::repeat_with(|| None).take(all).collect(),
            distance: plan.connect_rate.map(|rate| (1e9 / rate) as u64),
            next: 0,
        }
    }

    /// The next connection to open at `now`, while `connecting` are being opened.
    pub(crate) fn next(&mut self, connecting: usize, now: u64) -> NextOpen {
        if self.waiting.is_empty() {
            return NextOpen::Later;
        }
        match self.distance {
            Some(_) if self.next > now => return NextOpen::At(self.next),
            // Not faster afterwards, if it could not keep up.
            Some(distance) => {
                let next = self.next.saturating_add(distance);
                self.next = next.max(now.saturating_sub(distance.saturating_mul(8)));
            }
            None if connecting >= CONNECTING_MAX => return NextOpen::Later,
            None => {}
        }
        self.waiting
            .pop_front()
            .map_or(NextOpen::Later, NextOpen::Now)
    }

    /// Opens `pending` again. Returns after which pause, if there is one: [`resume`](Self::resume) ends it.
    pub(crate) fn push(&mut self, pending: PendingConnection) -> Option<Duration> {
        if pending.failures == 0 {
            self.waiting.push_back(pending);
            return None;
        }
        let pause = backoff::pause(pending.failures, PAUSE_MIN, PAUSE_MAX);
        let number = pending.number;
        self.paused[number] = Some(pending);
        Some(pause)
    }

    /// The pause of the connection of this number is over.
    pub(crate) fn resume(&mut self, number: usize) {
        self.waiting.extend(self.paused[number].take());
    }

    /// Whether any may be opened without a pause.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether any waits for the end of a pause.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused.iter().any(Option::is_some)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &PendingConnection> {
        self.waiting.iter().chain(self.paused.iter().flatten())
    }

    pub(crate) fn pacers_mut(&mut self) -> impl Iterator<Item = &mut Pacer> {
        let pending = self
            .waiting
            .iter_mut()
            .chain(self.paused.iter_mut().flatten());
        pending.map(|pending| &mut pending.pacer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(change: impl FnOnce(&mut Plan)) -> PendingQueue {
        let mut plan = Plan::new();
        plan.targets = vec!["127.0.0.1:9".parse().unwrap()];
        plan.connections = 300;
        change(&mut plan);
        PendingQueue::new(&plan)
    }

    fn open(queue: &mut PendingQueue, connecting: usize, now: u64) -> Option<usize> {
        match queue.next(connecting, now) {
            NextOpen::Now(pending) => Some(pending.number),
            NextOpen::At(_) | NextOpen::Later => None,
        }
    }

    #[test]
    fn without_rate_the_number_being_opened_is_bounded() {
        let mut queue = queue(|_| ());
        let opened = (0..300).filter_map(|connecting| open(&mut queue, connecting, 0));
        assert_eq!(opened.count(), CONNECTING_MAX);
        assert_eq!(
            open(&mut queue, CONNECTING_MAX - 1, 0),
            Some(CONNECTING_MAX)
        );
    }

    #[test]
    fn with_rate_attempts_keep_their_distance_and_do_not_catch_up() {
        let mut queue = queue(|plan| plan.connect_rate = Some(1_000.0));
        assert_eq!(open(&mut queue, 0, 0), Some(0));
        assert!(matches!(queue.next(1, 10), NextOpen::At(1_000_000)));
        assert_eq!(open(&mut queue, 1, 1_000_000), Some(1));
        let late = 1_000_000_000;
        let burst = (0..300).filter_map(|_| open(&mut queue, 0, late));
        assert!(burst.count() <= 10);
    }

    #[test]
    fn failed_connection_is_opened_again_after_growing_pauses() {
        let mut queue = queue(|plan| plan.connections = 1);
        for (failures, pause) in [(1, 10), (2, 20), (3, 40), (30, 1_000)] {
            let NextOpen::Now(mut pending) = queue.next(0, 0) else {
                panic!("one waits")
            };
            pending.failures = failures;
            assert_eq!(queue.push(pending), Some(Duration::from_millis(pause)));
            assert!(open(&mut queue, 0, 0).is_none() && queue.is_paused());
            queue.resume(0);
        }
    }
}
