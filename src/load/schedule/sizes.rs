//! How long messages are.

use crate::load::schedule::random::Random;

/// A choice of message sizes, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Ranges with their weights. Invariant: not empty, each range in order, weights not all 0.
    ranges: Vec<(usize, usize, u32)>,
    total: u64,
}

impl Sizes {
    /// Always the same.
    pub fn fixed(size: usize) -> Self {
        Self::range(size, size)
    }

    /// Anything from `least` to `most`, each size as often.
    ///
    /// # Panics
    ///
    /// When `least` is more than `most`.
    pub fn range(least: usize, most: usize) -> Self {
        assert!(least <= most, "a range in order");
        Self {
            ranges: vec![(least, most, 1)],
            total: 1,
        }
    }

    /// One of `sizes`, each as often as its weight says in comparison with the others.
    ///
    /// # Panics
    ///
    /// When all weights are 0.
    pub fn weighted(sizes: &[(usize, u32)]) -> Self {
        let ranges = sizes.iter().map(|&(size, weight)| (size, size, weight));
        let total = sizes.iter().map(|&(_, weight)| u64::from(weight)).sum();
        assert!(total > 0, "some weight");
        Self {
            ranges: ranges.collect(),
            total,
        }
    }

    /// The smallest size there may be.
    pub fn smallest(&self) -> usize {
        self.used().map(|range| range.0).min().unwrap_or(0)
    }

    /// The largest size there may be.
    pub fn largest(&self) -> usize {
        self.used().map(|range| range.1).max().unwrap_or(0)
    }

    /// The size of the next message.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        if let [(least, most, _)] = self.ranges[..] {
            if least == most {
                return least;
            }
            return least + random.below((most - least) as u64 + 1) as usize;
        }
        let mut left = random.below(self.total);
        for &(size, _, weight) in &self.ranges {
            if left < u64::from(weight) {
                return size;
            }
            left -= u64::from(weight);
        }
        self.largest()
    }

    fn used(&self) -> impl Iterator<Item = &(usize, usize, u32)> {
        self.ranges.iter().filter(|range| range.2 > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sizes: &Sizes) -> Vec<usize> {
        let mut random = Random::new(3);
        (0..100_000).map(|_| sizes.draw(&mut random)).collect()
    }

    #[test]
    fn sizes_are_drawn_as_often_as_they_weigh() {
        let sizes = Sizes::weighted(&[(64, 70), (1024, 30), (9, 0)]);
        let drawn = drawn(&sizes);
        let small = drawn.iter().filter(|&&size| size == 64).count();
        assert!((69_000..71_000).contains(&small), "{small}");
        assert_eq!(
            drawn.iter().filter(|&&size| size == 1024).count(),
            100_000 - small
        );
        assert_eq!((sizes.smallest(), sizes.largest()), (64, 1024));
    }

    #[test]
    fn a_range_includes_both_its_ends_and_nothing_beyond() {
        let sizes = Sizes::range(3, 6);
        let drawn = drawn(&sizes);
        for size in 3..=6 {
            let count = drawn.iter().filter(|&&other| other == size).count();
            assert!((24_000..26_000).contains(&count), "{size}: {count}");
        }
        assert!(drawn.iter().all(|size| (3..=6).contains(size)));
        assert!(self::drawn(&Sizes::fixed(7)).iter().all(|&size| size == 7));
    }
}
