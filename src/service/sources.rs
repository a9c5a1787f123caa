//! A fixed-size table of the sources seen last, for what the guard remembers of each.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Instant;

/// How many sources are remembered: 1,024 sets of [`WAYS`].
///
/// Fixed, because the sources of datagrams are whatever a sender writes into the header: a table
/// that grew with them would be memory for anyone to take.
const SETS: usize = 1024;

/// How many sources share a set. The one heard from least recently makes room for a new one, so a
/// source that keeps sending (the one that matters) stays remembered unless four others of its set
/// speak between two of its datagrams.
const WAYS: usize = 4;

/// What is remembered of each of the sources seen last.
///
/// Owns no memory until the first source is entered. Which set a source falls into depends on a
/// random seed, so a sender can't choose to share one with a victim.
#[derive(Debug)]
pub(super) struct Sources<K, V> {
    entries: Vec<Option<Entry<K, V>>>,
    seed: RandomState,
}

/// What is remembered of one source.
#[derive(Clone, Debug)]
pub(super) struct Entry<K, V> {
    source: K,
    seen: Instant,
    /// Not forgotten before this, however long unheard, as long as another of its set can be.
    pub(super) keep_until: Instant,
    pub(super) value: V,
}

impl<K: Copy + Eq + Hash, V: Clone> Sources<K, V> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            seed: RandomState::new(),
        }
    }

    /// What is remembered of `source`, entered as `fresh` if that is nothing.
    pub(super) fn entry(
        &mut self,
        source: K,
        now: Instant,
        fresh: impl FnOnce() -> V,
    ) -> &mut Entry<K, V> {
        if self.entries.is_empty() {
            self.entries.resize(SETS * WAYS, None);
        }
        let set = self.seed.hash_one(source) as usize % SETS * WAYS;
        let set = &mut self.entries[set..set + WAYS];
        let known = set
            .iter()
            .position(|entry| entry.as_ref().is_some_and(|entry| entry.source == source));
        let way = known.unwrap_or_else(|| {
            let least = (0..WAYS).min_by_key(|&way| {
                set[way]
                    .as_ref()
                    .map(|entry| (entry.keep_until > now, entry.seen))
            });
            least.expect("a set has ways")
        });
        if known.is_none() {
            set[way] = Some(Entry {
                source,
                seen: now,
                keep_until: now,
                value: fresh(),
            });
        }
        let entry = set[way].as_mut().expect("known, or entered just now");
        entry.seen = now;
        entry
    }

    /// Hashes `bytes` with the table's seed, so that a sender can't construct a collision.
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        self.seed.hash_one(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_source_is_remembered_and_a_new_one_is_fresh() {
        let (mut sources, now) = (Sources::new(), Instant::now());
        sources.entry(7, now, || 0).value += 1;
        sources.entry(7, now, || 0).value += 1;
        assert_eq!(sources.entry(7, now, || 0).value, 2);
        assert_eq!(sources.entry(8, now, || 0).value, 0);
    }

    #[test]
    fn the_table_never_grows_and_a_source_that_keeps_sending_stays() {
        let (mut sources, mut now) = (Sources::new(), Instant::now());
        sources.entry(0u32, now, || 0).value = 1;
        for other in 1..100_000 {
            now += Duration::from_nanos(1);
            sources.entry(other, now, || 0);
            assert_eq!(
                sources.entry(0, now, || 0).value,
                1,
                "forgotten after {other} others"
            );
        }
        assert_eq!(sources.entries.len(), SETS * WAYS);
    }

    #[test]
    fn a_kept_source_outlasts_any_number_of_others() {
        let (mut sources, now) = (Sources::new(), Instant::now());
        let entry = sources.entry(0u32, now, || 1);
        entry.keep_until = now + Duration::from_secs(60);
        for other in 1..100_000 {
            sources.entry(other, now + Duration::from_secs(1), || 0);
        }
        assert_eq!(
            sources.entry(0, now + Duration::from_secs(2), || 0).value,
            1
        );
    }
}
