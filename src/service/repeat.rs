//! Whether one source sends the same payload over and over: the sign of two echo servers answering each
//! other.

/// For how long a payload that came too often is blocked, in ns.
const BLOCKED_FOR: u64 = 60_000_000_000;

/// A payload that has not come again for this long, in ns, is no loop that matters.
const LOOP_PERIOD: u64 = 500_000_000;

/// How many payloads are remembered: 4,096 sets of [`WAYS`]. Fixed, because a sender chooses both the
/// source and the payload.
const SETS: usize = 4096;

/// How many payloads share a set.
const WAYS: usize = 4;

/// How often the payloads that came last were replied to.
///
/// # What is forgotten
///
/// A new payload takes the place of another one of its set: first of one that did not come again within
/// [`LOOP_PERIOD`], then of the one that was replied to least often, and of a blocked one only if all are
/// blocked. Of several alike it is the one whose last reply, or whose block, is oldest.
///
/// So a payload that was replied to twice is not forgotten for those that come once. One that was replied
/// to once is, if four others of its set come before it does again. The hash that chooses the set is
/// seeded, so a sender can't aim at one: that takes some 16,000 payloads. Forgetting gives no source more
/// replies than its rate, which [`RateTable`](super::rate_table::RateTable) limits.
#[derive(Debug)]
pub(super) struct Repeats {
    /// Empty until the first payload is entered.
    entries: Vec<Entry>,
}

/// A payload of a source.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// A hash of both. 0: none.
    key: u64,
    /// When it was replied to last, or blocked, in ns.
    at: u64,
    /// How often it was replied to, each time within [`LOOP_PERIOD`].
    count: u32,
    is_blocked: bool,
}

/// Where a payload is counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

impl Repeats {
    pub(super) const fn new() -> Self {
        let entries = Vec::new();
        Self { entries }
    }

    /// Where the payload with the hash `key` is [counted](Self::count) if it is replied to at `now`. `None`:
    /// it may not be, because it was `limit` times, or is still blocked for that.
    pub(super) fn place(&mut self, key: u64, limit: u32, now: u64) -> Option<Place> {
        if self.entries.is_empty() {
            self.entries.resize(SETS * WAYS, Entry::default());
        }
        let start = key as usize % SETS * WAYS;
        let set = &mut self.entries[start..start + WAYS];
        let known = set.iter().position(|entry| entry.key == key);
        let Some(way) = known else {
            let ways = 0..WAYS;
            let least = ways.min_by_key(|&way| set[way].worth(now));
            return least.map(|way| Place(start + way));
        };
        let entry = &mut set[way];
        if entry.is_blocked(now) {
            return None;
        }
        if entry.is_blocked || !entry.is_live(now) {
            (entry.count, entry.is_blocked) = (0, false);
        }
        if entry.count >= limit {
            (entry.at, entry.is_blocked) = (now, true);
            return None;
        }
        Some(Place(start + way))
    }

    /// Counts a reply to the payload with the hash `key`, which has this `place`.
    pub(super) fn count(&mut self, place: Place, key: u64, now: u64) {
        let entry = &mut self.entries[place.0];
        if entry.key != key {
            *entry = Entry {
                key,
                ..Entry::default()
            };
        }
        (entry.at, entry.count) = (now, entry.count + 1);
    }
}

impl Entry {
    const fn is_blocked(&self, now: u64) -> bool {
        self.is_blocked && now.saturating_sub(self.at) < BLOCKED_FOR
    }

    const fn is_live(&self, now: u64) -> bool {
        now.saturating_sub(self.at) <= LOOP_PERIOD
    }

    /// The order in which payloads are forgotten: the least is first.
    const fn worth(&self, now: u64) -> (bool, u32, u64) {
        let count = if self.is_live(now) { self.count } else { 0 };
        (self.is_blocked(now), count, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn replied(repeats: &mut Repeats, key: u64, limit: u32, now: u64) -> bool {
        let place = repeats.place(key, limit, now);
        if let Some(place) = place {
            repeats.count(place, key, now);
        }
        place.is_some()
    }

    #[test]
    fn payload_is_blocked_after_its_limit_and_others_are_not() {
        let mut repeats = Repeats::new();
        let mut get = |key, now| replied(&mut repeats, key, 3, now);
        assert_eq!([0, 1, 2, 3].map(|_| get(7, 0)), [true, true, true, false]);
        assert!(get(8, 0));
        assert!(!get(7, 60 * SECOND - 1), "blocked for a minute");
        assert!(get(7, 60 * SECOND));
    }

    #[test]
    fn payload_that_takes_its_time_is_not_blocked() {
        let mut repeats = Repeats::new();
        assert!((0..100).all(|number| replied(&mut repeats, 7, 3, number * (LOOP_PERIOD + 1))));
    }

    #[test]
    fn payloads_that_come_once_do_not_hide_one_that_repeats() {
        let mut repeats = Repeats::new();
        let same_set = |number: u64| number * SETS as u64 + 7;
        let mut replies = 0;
        for round in 0..100 {
            replies += u32::from(replied(&mut repeats, same_set(0), 10, round));
            let others = if round == 0 { 0 } else { 20 };
            for other in 0..others {
                replied(&mut repeats, same_set(1 + 20 * round + other), 10, round);
            }
        }
        assert_eq!(replies, 10);
        assert_eq!(repeats.entries.len(), SETS * WAYS);
    }

    #[test]
    fn blocked_payload_outlasts_any_number_of_others() {
        let mut repeats = Repeats::new();
        let same_set = |number: u64| number * SETS as u64 + 7;
        while replied(&mut repeats, same_set(0), 3, 0) {}
        for other in 1..10_000 {
            replied(&mut repeats, same_set(other), 3, SECOND);
        }
        assert!(!replied(&mut repeats, same_set(0), 3, SECOND));
    }

    #[test]
    fn first_of_four_blocked_payloads_is_forgotten_for_a_fifth() {
        let mut repeats = Repeats::new();
        let same_set = |number: u64| number * SETS as u64 + 7;
        for number in 0..4 {
            while replied(&mut repeats, same_set(number), 3, number) {}
        }
        assert!(replied(&mut repeats, same_set(4), 3, SECOND));
        assert!((1..4).all(|number| !replied(&mut repeats, same_set(number), 3, SECOND)));
        assert!(replied(&mut repeats, same_set(0), 3, SECOND));
    }
}
