//! What messages say: bytes of which each place has its own.

use crate::load::schedule::random::Random;

/// After how many bytes the pattern repeats. A prime, so that no size of message or buffer divides it, and a
/// piece that is lost or repeated shows.
const PERIOD: usize = 65_521;

/// The most bytes of a pattern that lie in one piece, wherever they begin.
pub(crate) const PIECE: usize = 64 * 1024;

/// An endless stream of bytes, of which every place can be looked up: what every connection says, each from a
/// place of its own.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// Invariant: `period + PIECE` bytes at least, each the same as the one a period before.
    bytes: Box<[u8]>,
    period: usize,
}

impl Pattern {
    /// Random bytes, the same for the same seed.
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let words = (0..PERIOD.div_ceil(8)).flat_map(|_| random.bits().to_le_bytes());
        let period: Vec<u8> = words.take(PERIOD).collect();
        Self::repeated(&period)
    }

    /// `message`, over and over.
    ///
    /// # Panics
    ///
    /// When it is empty.
    pub(crate) fn repeated(message: &[u8]) -> Self {
        assert!(!message.is_empty(), "something to repeat");
        let bytes = message.iter().copied().cycle();
        Self {
            bytes: bytes.take(message.len() + PIECE).collect(),
            period: message.len(),
        }
    }

    /// The bytes from `place` on: `most` of them, but not more than a piece.
    #[inline]
    pub(crate) fn at(&self, place: u64, most: usize) -> &[u8] {
        let start = (place % self.period as u64) as usize;
        &self.bytes[start..start + most.min(PIECE)]
    }

    /// Where in a period `bytes` come from, if they do. The first place, if there are several.
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<u64> {
        let starts = 0..self.period;
        let mut places = starts.filter(|&start| self.bytes[start..].starts_with(bytes));
        places.next().map(|place| place as u64)
    }

    /// After how many bytes it repeats.
    pub(crate) const fn period(&self) -> u64 {
        self.period as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_found_again_by_a_few_bytes_of_it() {
        let pattern = Pattern::random(1);
        for place in (0..PERIOD as u64).step_by(997) {
            let bytes = pattern.at(place, 16);
            assert_eq!(pattern.find(bytes), Some(place));
            assert_eq!(pattern.at(place + 3 * PERIOD as u64, 16), bytes);
        }
        assert_eq!(pattern.find(&[0; 16]), None);
        assert_ne!(pattern.at(0, 64), Pattern::random(2).at(0, 64));
    }

    #[test]
    fn a_short_message_is_repeated_without_a_seam() {
        let pattern = Pattern::repeated(b"abc");
        assert_eq!(pattern.at(1, 7), b"bcabcab");
        assert_eq!(pattern.at(u64::MAX - 1, 1).len(), 1);
        assert_eq!(pattern.at(2, PIECE + 9).len(), PIECE);
    }
}
