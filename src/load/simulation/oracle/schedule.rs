//! Due times of the messages of one connection, computed independently.

use crate::load::simulation::settings::{Pace, Settings};
use crate::service::Random;

/// The due times of one connection, in nanoseconds since the load began to send.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Rates at the beginning and the end of stretches, and their lengths in seconds.
    stretches: Vec<(f64, f64, f64)>,
    connections: f64,
    /// The number of the next message, as a part of this connection's share.
    next: f64,
    random: Option<Random>,
}

impl Schedule {
    /// That of connection `number`, or `None` in a closed loop.
    pub(super) fn of(settings: &Settings, number: usize) -> Option<Self> {
        let Pace::Open { stretches, poisson } = &settings.pace else {
            return None;
        };
        let seconds = |time: u64| match time {
            u64::MAX => f64::INFINITY,
            time => time as f64 / 1e9,
        };
        let first = stretches[0].0;
        let warmup = (settings.warmup > 0).then(|| (first, first, seconds(settings.warmup)));
        let rest = stretches
            .iter()
            .map(|&(from, to, time)| (from, to, seconds(time)));
        let mut schedule = Self {
            stretches: warmup.into_iter().chain(rest).collect(),
            connections: settings.connections as f64,
            next: number as f64 / settings.connections as f64,
            random: None,
        };
        if *poisson {
            let scatter = |number: u64| Random::new(number).bits();
            let seed = scatter(settings.seed ^ scatter(number as u64 + 1));
            schedule.random = Some(Random::new(seed));
            schedule.next = 0.0;
            schedule.advance();
        }
        Some(schedule)
    }

    pub(super) fn advance(&mut self) {
        self.next += match &mut self.random {
            None => 1.0,
            Some(random) => -(1.0 - random.unit()).ln(),
        };
    }

    /// When the next message is due; `None` if it never is.
    pub(super) fn due(&self) -> Option<u64> {
        let mut left = self.next * self.connections;
        let mut start = 0.0;
        for &(from, to, length) in &self.stretches {
            let count = if length.is_finite() {
                (from + to) / 2.0 * length
            } else {
                f64::INFINITY
            };
            if left < count {
                let seconds = start + seconds(from, to, length, left);
                return Some((seconds * 1e9).round() as u64);
            }
            left -= count;
            start += length;
        }
        None
    }
}

/// After how many seconds of a stretch `count` messages were due, found by halving.
fn seconds(from: f64, to: f64, length: f64, count: f64) -> f64 {
    if from == to {
        return count / from;
    }
    let due_by = |time: f64| from * time + (to - from) / length * time * time / 2.0;
    let (mut low, mut high) = (0.0, length);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if due_by(middle) < count {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
