//! When this client did not run although it should have.

use std::collections::VecDeque;
use std::time::Duration;

use crate::load::time::elapsed;

/// How often the loop wakes up, whatever happens, so that it notices when it could not.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(20);

/// A wake-up that is late by less than this is ordinary: a time slice of another program, for one.
const LATE_MIN: u64 = 10_000_000;

/// How much longer one system call may hold up the loop, in nanoseconds. A thousand connections that are ready at once take
/// their time.
const CALL_MAX: u64 = 50_000;

/// The most pauses that are kept. Older ones only count towards the total.
const PAUSES_MAX: usize = 256;

/// The times in which this client did not run: it was stopped, suspended, or kept off the processor. Told by how late
/// its loop wakes up against its own [`HEARTBEAT`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses {
    /// When the loop has to have woken up. `None`: there is no heartbeat.
    next: Option<u64>,
    /// Beginnings and ends, in order.
    pauses: VecDeque<(u64, u64)>,
}

/// A wake-up by the heartbeat, which has to be set again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WakeUp {
    /// The pause that it ends, if it was late: its beginning and its end.
    pub(crate) pause: Option<(u64, u64)>,
}

impl Pauses {
    /// The heartbeat begins at `now`.
    pub(crate) fn begin(&mut self, now: u64) {
        self.next = Some(now.saturating_add(HEARTBEAT.as_nanos() as u64));
    }

    /// There is no heartbeat any more.
    pub(crate) const fn end(&mut self) {
        self.next = None;
    }

    /// The loop has woken up at `now`, after an iteration of this many system `calls`. If it had to, says which pause this ends,
    /// if it is late.
    #[inline]
    pub(crate) fn woke_up(&mut self, now: u64, calls: u64) -> Option<WakeUp> {
        match self.next {
            Some(next) if now >= next => Some(self.woke_up_after(next, now, calls)),
            _ => None,
        }
    }

    #[cold]
    fn woke_up_after(&mut self, due: u64, now: u64, calls: u64) -> WakeUp {
        let next = now.saturating_add(HEARTBEAT.as_nanos() as u64);
        self.next = Some(next);
        let late_min = LATE_MIN.saturating_add(calls.saturating_mul(CALL_MAX));
        let pause = (elapsed(due, now) >= late_min).then_some((due, now));
        if let Some(pause) = pause {
            if self.pauses.len() == PAUSES_MAX {
                self.pauses.pop_front();
            }
            self.pauses.push_back(pause);
        }
        WakeUp { pause }
    }

    /// How much of the time between `from` and `to` this client was paused.
    pub(crate) fn overlap(&self, from: u64, to: u64) -> u64 {
        let recent = self.pauses.iter().rev();
        let recent = recent.take_while(|(_, end)| *end > from);
        recent
            .map(|&(begin, end)| elapsed(begin.max(from), end.min(to)))
            .sum()
    }

    /// Whether it was paused for more than a tenth of the time between `from` and `to`.
    pub(crate) fn explain(&self, from: u64, to: u64) -> bool {
        self.overlap(from, to) > elapsed(from, to) / 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn paused(wake_ups: &[u64]) -> Pauses {
        let mut pauses = Pauses::default();
        pauses.begin(0);
        for &ms in wake_ups {
            pauses.woke_up(ms * MS, 0);
        }
        pauses
    }

    #[test]
    fn a_late_wake_up_is_a_pause_from_when_it_should_have_been() {
        let mut pauses = paused(&[]);
        assert_eq!(pauses.woke_up(5 * MS, 0), None, "an event came before");
        assert_eq!(pauses.woke_up(20 * MS, 0), Some(WakeUp { pause: None }));
        assert_eq!(
            pauses.woke_up(49 * MS, 0),
            Some(WakeUp { pause: None }),
            "9 ms late"
        );
        let pause = Some((69 * MS, 1_080 * MS));
        assert_eq!(pauses.woke_up(1_080 * MS, 0), Some(WakeUp { pause }));
        assert_eq!(pauses.woke_up(1_099 * MS, 0), None);
        assert_eq!(pauses.woke_up(1_100 * MS, 0), Some(WakeUp { pause: None }));
    }

    #[test]
    fn the_time_of_many_system_calls_is_not_a_pause() {
        let late = |calls| paused(&[]).woke_up(80 * MS, calls).unwrap().pause;
        assert!(late(999).is_some(), "60 ms");
        assert_eq!(late(1_001), None);
    }

    #[test]
    fn only_the_common_part_of_a_pause_and_a_wait_counts() {
        // From 20 to 1 020 ms, and from 1 040 to 3 040 ms.
        let pauses = paused(&[1_020, 3_040]);
        assert_eq!(pauses.overlap(0, 10_000 * MS), 3_000 * MS);
        assert_eq!(pauses.overlap(500 * MS, 900 * MS), 400 * MS);
        assert_eq!(pauses.overlap(1_000 * MS, 2_040 * MS), 1_020 * MS);
        assert_eq!(pauses.overlap(4_000 * MS, 5_000 * MS), 0);
        assert!(pauses.explain(900 * MS, 1_030 * MS));
        assert!(!pauses.explain(3_030 * MS, 4_000 * MS));
    }

    #[test]
    fn without_a_heartbeat_there_are_no_pauses() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.woke_up(1_000 * MS, 0), None);
        assert_eq!(pauses.overlap(0, u64::MAX), 0);
    }

    #[test]
    fn memory_is_bounded_however_often_the_client_is_paused() {
        let mut pauses = paused(&[]);
        (1..10_000).for_each(|n| {
            pauses.woke_up(n * 95 * MS, 0);
        });
        assert_eq!(pauses.pauses.len(), PAUSES_MAX);
    }
}
