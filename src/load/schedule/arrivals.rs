//! When the messages of one connection are due.

use std::time::Duration;

use crate::load::schedule::random::{Random, exponential, mix};
use crate::load::schedule::rate::Profile;

/// How messages are spread over a second, in an open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// At equal distances, the connections one after the other.
    Constant,
    /// At random, as from many independent senders: a Poisson process.
    Poisson,
}

/// The due times of one of `connections` connections, which share a [`Profile`] evenly.
///
/// With [`Arrival::Constant`], message `j` of connection `c` is message `j * connections + c` of the whole
/// load, so the connections take turns and none of them sends in bursts. With [`Arrival::Poisson`], each is a
/// Poisson process of its own, and so is their sum.
///
/// A connection that can't send when it should falls behind; its messages stay due at the times they always were.
/// Nothing is queued for that: the times are computed when they are needed.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    connections: f64,
    /// The message that is due next, in this connection's share of the load.
    next: f64,
    random: Option<Random>,
}

impl Arrivals {
    pub(crate) fn new(arrival: Arrival, connection: usize, connections: usize, seed: u64) -> Self {
        let connections = connections as f64;
        match arrival {
            Arrival::Constant => Self {
                connections,
                next: connection as f64 / connections,
                random: None,
            },
            Arrival::Poisson => {
                let mut random = Random::new(mix(seed ^ mix(connection as u64 + 1)));
                Self {
                    connections,
                    next: exponential(&mut random),
                    random: Some(random),
                }
            }
        }
    }

    /// When the next message is due, since the load began.
    pub(crate) fn due(&self, profile: &Profile) -> Duration {
        let seconds = profile.due(self.next * self.connections);
        // A rate that falls to nothing has messages that are never due.
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// The next message is the first that is due at `seconds` or later.
    pub(crate) fn skip_to(&mut self, seconds: f64, profile: &Profile) {
        if self.random.is_none() {
            // Of this connection's messages, so many are due before that.
            let before = profile.count(seconds) / self.connections - self.next;
            self.next += before.ceil().max(0.0);
        }
        while profile.due(self.next * self.connections) < seconds {
            self.advance();
        }
    }

    /// The next message is the one behind it.
    pub(crate) fn advance(&mut self) {
        self.next += match &mut self.random {
            None => 1.0,
            Some(random) => exponential(random),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(arrival: Arrival, connections: usize, profile: &Profile, until: f64) -> Vec<f64> {
        let mut times = Vec::new();
        for connection in 0..connections {
            let mut arrivals = Arrivals::new(arrival, connection, connections, 7);
            while arrivals.due(profile).as_secs_f64() < until {
                times.push(arrivals.due(profile).as_secs_f64());
                arrivals.advance();
            }
        }
        times.sort_by(f64::total_cmp);
        times
    }

    #[test]
    fn constant_arrivals_of_many_connections_are_those_of_one() {
        let profile = Profile::constant(1000.0);
        let times = all(Arrival::Constant, 7, &profile, 2.0);
        assert_eq!(times.len(), 2000);
        for (k, time) in times.iter().enumerate() {
            assert!((time - k as f64 / 1000.0).abs() < 1e-9, "{k}: {time}");
        }
    }

    #[test]
    fn a_million_messages_later_nothing_has_drifted() {
        let profile = Profile::constant(20_000.0);
        let mut arrivals = Arrivals::new(Arrival::Constant, 3, 100, 7);
        for _ in 0..1_000_000 {
            arrivals.advance();
        }
        let expected = (1_000_000.0 * 100.0 + 3.0) / 20_000.0;
        assert!((arrivals.due(&profile).as_secs_f64() - expected).abs() < 1e-6);
    }

    /// The number of arrivals in a stretch of time varies as much as its mean, and gaps are exponential.
    #[test]
    fn poisson_arrivals_of_many_connections_are_a_poisson_process() {
        let times = all(Arrival::Poisson, 10, &Profile::constant(1000.0), 100.0);
        assert!(
            (times.len() as f64 - 100_000.0).abs() < 1_500.0,
            "{}",
            times.len()
        );
        let mut counts = vec![0f64; 10_000];
        for time in &times {
            counts[(time * 100.0) as usize] += 1.0;
        }
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let squares: f64 = counts.iter().map(|count| (count - mean).powi(2)).sum();
        let variance = squares / counts.len() as f64;
        assert!(
            (variance / mean - 1.0).abs() < 0.06,
            "{variance} for {mean}"
        );
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        let long = gaps.filter(|gap| *gap > 0.002).count() as f64 / times.len() as f64;
        assert!((long - (-2.0f64).exp()).abs() < 0.01, "{long}");
    }

    #[test]
    fn skipping_leads_to_the_first_message_that_is_due_then() {
        for arrival in [Arrival::Constant, Arrival::Poisson] {
            let profile = Profile::ramp(10.0, 500.0, Duration::from_secs(7));
            for seconds in [0.0, 0.3, 2.0, 7.0, 11.1] {
                let mut skipping = Arrivals::new(arrival, 3, 7, 1);
                let mut stepping = skipping.clone();
                skipping.skip_to(seconds, &profile);
                while stepping.due(&profile).as_secs_f64() < seconds {
                    stepping.advance();
                }
                let due = |arrivals: &Arrivals| arrivals.due(&profile);
                assert_eq!(due(&skipping), due(&stepping), "{arrival:?}, {seconds}");
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_times_and_another_seed_others() {
        let profile = Profile::constant(10.0);
        let due = |seed| Arrivals::new(Arrival::Poisson, 0, 4, seed).due(&profile);
        assert_eq!(due(1), due(1));
        assert_ne!(due(1), due(2));
    }
}
