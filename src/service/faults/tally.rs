//! How many faults there were.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A fault that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The loop stood still.
    Stalled,
    /// An answer was not sent.
    Dropped,
    /// An answer was sent twice.
    SentTwice,
    /// An answer was sent behind a later one.
    OutOfOrder,
    /// A byte was corrupted.
    Corrupted,
    /// A conversation was ended.
    Closed,
    /// A connection was reset.
    Reset,
    /// An answer was held back.
    Delayed,
}

/// Counts faults where they are committed: by services, clients' streams and the loop, who share it.
#[derive(Debug, Default)]
pub struct FaultTally([AtomicU64; 8]);

/// The faults a server has committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounters {
    /// [`Fault::Stalled`].
    pub stalls: u64,
    /// [`Fault::Dropped`].
    pub dropped: u64,
    /// [`Fault::SentTwice`].
    pub sent_twice: u64,
    /// [`Fault::OutOfOrder`].
    pub out_of_order: u64,
    /// [`Fault::Corrupted`].
    pub corrupted: u64,
    /// [`Fault::Closed`].
    pub closed: u64,
    /// [`Fault::Reset`].
    pub reset: u64,
    /// [`Fault::Delayed`].
    pub delayed: u64,
}

impl FaultTally {
    /// One more.
    pub fn count(&self, fault: Fault) {
        self.0[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were so far.
    pub fn counters(&self) -> FaultCounters {
        let of = |fault: Fault| self.0[fault as usize].load(Ordering::Relaxed);
        FaultCounters {
            stalls: of(Fault::Stalled),
            dropped: of(Fault::Dropped),
            sent_twice: of(Fault::SentTwice),
            out_of_order: of(Fault::OutOfOrder),
            corrupted: of(Fault::Corrupted),
            closed: of(Fault::Closed),
            reset: of(Fault::Reset),
            delayed: of(Fault::Delayed),
        }
    }
}

/// What happened, such as `1 stall, 100 answers dropped`, or nothing.
impl fmt::Display for FaultCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count, one, many| if count == 1 { one } else { many };
        let mut separator = "";
        for (count, what) in [
            (self.stalls, plural(self.stalls, "stall", "stalls")),
            (
                self.dropped,
                plural(self.dropped, "answer dropped", "answers dropped"),
            ),
            (self.sent_twice, "sent twice"),
            (self.out_of_order, "out of order"),
            (self.corrupted, "corrupted"),
            (self.closed, "closed"),
            (self.reset, "reset"),
            (self.delayed, "delayed"),
        ] {
            if count > 0 {
                write!(f, "{separator}{count} {what}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_counted_and_told_by_its_name() {
        let tally = FaultTally::default();
        assert_eq!(tally.counters().to_string(), "");
        let faults = [
            (Fault::Stalled, "1 stall"),
            (Fault::Dropped, "2 answers dropped"),
            (Fault::SentTwice, "3 sent twice"),
            (Fault::OutOfOrder, "4 out of order"),
            (Fault::Corrupted, "5 corrupted"),
            (Fault::Closed, "6 closed"),
            (Fault::Reset, "7 reset"),
            (Fault::Delayed, "8 delayed"),
        ];
        for (index, &(fault, told)) in faults.iter().enumerate() {
            for _ in 0..=index {
                tally.count(fault);
            }
            let line = tally.counters().to_string();
            assert_eq!(line.split(", ").last(), Some(told));
            assert_eq!(line.split(", ").count(), index + 1);
        }
    }
}
