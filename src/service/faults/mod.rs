//! Faults committed on purpose, to prove clients with: which, how much, and how many there were.
//!
//! What is left to chance is drawn from a seed, so a run can be had again. Pure, as every service is: the
//! faults of sockets, and of the loop itself, are in [`server`](crate::server).

mod brief;
mod delayed;
mod fates;
mod random;
mod tally;

use std::num::NonZeroUsize;
use std::time::Duration;

pub use brief::Brief;
pub use delayed::{DELAYED_MAX, Delayed};
pub use fates::{Fate, Fates, HELD_MAX, HELD_TIME, Held};
pub use random::Random;
pub use tally::{Fault, FaultCounters, FaultTally};

/// The faults a server is to commit. None, unless it is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// What everything random is drawn from.
    pub seed: u64,
    /// The whole loop stands still.
    pub stalls: Vec<Stall>,
    /// Each answer to a TCP client's message is held back.
    pub delay: Option<Delay>,
    /// One bit of the byte at this offset of what each TCP client is sent is flipped.
    pub corrupt: Option<u64>,
    /// Each write to a TCP socket hands over at most so many bytes.
    pub slice: Option<NonZeroUsize>,
    /// Each TCP client is hung up on once it has been sent so many bytes.
    pub close: Option<u64>,
    /// Each TCP connection is reset once so many bytes have been sent.
    pub reset: Option<u64>,
    /// What may become of the answer to a datagram.
    pub odds: Odds,
}

/// A time for which nothing moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When it begins, counted from the first client or datagram: so a load meets it at the same place
    /// whenever it is started.
    pub at: Duration,
    /// How long it lasts.
    pub length: Duration,
}

/// How long an answer is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Always for this time.
    Constant(Duration),
    /// For a time of this mean, exponentially distributed.
    Exponential(Duration),
}

/// How likely each fate of the answer to a datagram is, from 0 to 1. Together at most 1: an answer has one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odds {
    /// It is not sent.
    pub drop: f64,
    /// It is sent twice.
    pub duplicate: f64,
    /// It is sent behind the next answer to the same source.
    pub reorder: f64,
}

impl Delay {
    /// How long the next answer is held back.
    pub fn draw(self, random: &mut Random) -> Duration {
        match self {
            Self::Constant(time) => time,
            Self::Exponential(mean) => random.exponential(mean),
        }
    }
}

impl Odds {
    /// How likely it is that an answer is not simply sent.
    pub fn sum(&self) -> f64 {
        self.drop + self.duplicate + self.reorder
    }
}

impl Faults {
    /// Whether the faults can be committed together.
    ///
    /// # Errors
    ///
    /// What can't, and what could.
    pub fn check(&self) -> Result<(), String> {
        let Odds {
            drop,
            duplicate,
            reorder,
        } = self.odds;
        if [drop, duplicate, reorder]
            .iter()
            .any(|odds| !(0.0..=1.0).contains(odds))
        {
            return Err("the odds of a datagram's fate lie between 0 and 1".to_owned());
        }
        // Sums of tenths are not exact.
        if self.odds.sum() > 1.0 + 1e-9 {
            return Err(
                "udp-drop, udp-dup and udp-reorder come to more than 100%: an answer has one fate, so \
                 give at most 100% in all"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_has_more_than_one_fate() {
        let check = |drop, duplicate, reorder| {
            let odds = Odds {
                drop,
                duplicate,
                reorder,
            };
            Faults {
                odds,
                ..Faults::default()
            }
            .check()
        };
        assert_eq!(check(0.0, 0.0, 0.0), Ok(()));
        assert_eq!(check(0.1, 0.2, 0.7), Ok(()));
        assert!(check(0.5, 0.5, 0.1).unwrap_err().contains("more than 100%"));
        for odds in [-0.1, 1.1, f64::NAN] {
            assert!(check(odds, 0.0, 0.0).is_err(), "{odds}");
        }
    }
}
