//! The unsent tail: bytes that a peer is owed and its kernel buffer did not take.
//!
//! Not a general queue: it is filled only by what a write left over, so for a client that keeps up
//! it stays empty, and an empty buffer owns no memory.

use std::collections::VecDeque;

/// The smallest step by which a buffer grows, in bytes. One read-ahead of the default size is left
/// over at once when a kernel buffer fills, so smaller steps would only mean more reallocations.
const GROWTH_MIN: usize = 16 * 1024;

/// A first-in, first-out buffer of bytes: a ring, so taking bytes off its front moves nothing.
///
/// # Memory
///
/// Owns nothing when empty. Otherwise its capacity is at most
/// `1.25 * peak + 16 KiB`, where `peak` is the largest number of bytes held since it was last
/// empty: [`extend`](Self::extend) grows it by a quarter, not by doubling, because the number of
/// slow clients times this capacity is the server's memory bound.
///
/// Invariant: the ring, where there is one, is not empty.
#[expect(
    clippy::box_collection,
    reason = "8 bytes in every client that keeps up, instead of 32"
)]
#[derive(Debug, Default)]
pub struct Buffer(Option<Box<VecDeque<u8>>>);

impl Buffer {
    /// An empty buffer, which owns no memory.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Appends `bytes` behind everything held.
    pub fn extend(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let ring = self.0.get_or_insert_default();
        if bytes.len() > ring.capacity() - ring.len() {
            ring.reserve_exact(bytes.len().max(GROWTH_MIN).max(ring.len() / 4));
        }
        ring.extend(bytes);
    }

    /// Drops the first `count` bytes.
    ///
    /// # Panics
    ///
    /// When `count` exceeds [`len`](Self::len).
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "consumed more than is held");
        let Some(ring) = &mut self.0 else { return };
        ring.drain(..count);
        if ring.is_empty() {
            self.0 = None;
        }
    }

    /// The oldest bytes, as many as lie in one piece: empty only when the buffer is. After they are
    /// consumed, what follows is at the front.
    pub fn front(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |ring| ring.as_slices().0)
    }

    /// How many bytes are held.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |ring| ring.len())
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes of memory are owned for contents.
    pub fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |ring| ring.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_buffer_owns_no_memory() {
        let mut buffer = Buffer::new();
        buffer.extend(b"");
        assert_eq!(buffer.capacity(), 0);
        buffer.extend(b"tail");
        assert!(buffer.capacity() >= 4);
        buffer.consume(4);
        assert_eq!(
            (buffer.len(), buffer.capacity(), buffer.is_empty()),
            (0, 0, true)
        );
    }

    #[test]
    fn every_interleaving_of_small_extends_and_consumes_keeps_the_order() {
        for extend in 1..=7 {
            for consume in 1..=7 {
                let (mut buffer, mut next_in, mut next_out) = (Buffer::new(), 0u8, 0u8);
                for _ in 0..60 {
                    let chunk: Vec<u8> = (0..extend).map(|i| next_in.wrapping_add(i)).collect();
                    next_in = next_in.wrapping_add(extend);
                    buffer.extend(&chunk);
                    for _ in 0..consume.min(buffer.len() as u8) {
                        assert_eq!(buffer.front()[0], next_out);
                        buffer.consume(1);
                        next_out = next_out.wrapping_add(1);
                    }
                }
                while !buffer.is_empty() {
                    let run = buffer.front().to_vec();
                    for &byte in &run {
                        assert_eq!(byte, next_out);
                        next_out = next_out.wrapping_add(1);
                    }
                    buffer.consume(run.len());
                }
                assert_eq!(next_out, next_in);
            }
        }
    }

    #[test]
    fn capacity_stays_within_the_stated_bound() {
        let mut buffer = Buffer::new();
        let mut peak = 0;
        for step in 0..2_000 {
            buffer.extend(&[0; 1500]);
            peak = peak.max(buffer.len());
            assert!(
                buffer.capacity() <= peak + peak / 4 + GROWTH_MIN,
                "{} for {peak}",
                buffer.capacity()
            );
            buffer.consume(if step % 3 == 0 {
                1
            } else {
                buffer.len().min(1400)
            });
        }
    }

    #[test]
    fn pieces_larger_than_a_step_stay_within_the_bound_and_small_ones_take_few_steps() {
        let mut large = Buffer::new();
        for size in [100_000, 100_000, 1] {
            large.extend(&vec![0; size]);
            let bound = large.len() + large.len() / 4 + GROWTH_MIN;
            assert!(large.capacity() <= bound, "{} bytes", large.capacity());
        }
        let (mut small, mut steps) = (Buffer::new(), 0);
        for _ in 0..2_000 {
            let before = small.capacity();
            small.extend(&[0; 1500]);
            steps += usize::from(small.capacity() != before);
        }
        assert!(steps <= 30, "{steps} steps to {}", small.len());
    }

    #[test]
    #[should_panic(expected = "consumed more than is held")]
    fn consuming_more_than_is_held_panics() {
        let mut buffer = Buffer::new();
        buffer.extend(b"ab");
        buffer.consume(3);
    }
}
