//! Where the state of each client lives, and how an event finds it.

use slab::Slab;

use super::Token;
use crate::service::ClientId;

/// How many slots are kept when hardly any is taken: those who come next need not wait for memory.
const KEPT: usize = 1024;

/// The generation of no key: tokens of this generation are fixed, see [`fixed_token`].
const FIXED: u32 = u32::MAX;

const _: () = assert!(
    usize::BITS >= 64,
    "a token packs a generation and an index into one usize"
);

/// Names one occupant of one slot, for ever.
///
/// # Slots are reused, keys are not
///
/// An event, a ready-list entry or a timer can outlive the client it was meant for, and the slot may
/// have a new occupant by then. The generation tells them apart: a stale key finds nothing. (After
/// 2^32 - 1 insertions generations repeat; a key would have to stay unused that long to be mistaken.)
// Packed as its token is: it is stored and compared in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    const fn new(generation: u32, index: u32) -> Self {
        Self((generation as u64) << 32 | index as u64)
    }

    /// The key that `token` stands for, unless it is a fixed one.
    #[inline]
    pub const fn from_token(token: Token) -> Option<Self> {
        let key = Self(token.0 as u64);
        if key.generation() == FIXED {
            None
        } else {
            Some(key)
        }
    }

    /// The token to register this slot's source with.
    pub const fn token(self) -> Token {
        Token(self.0 as usize)
    }

    /// What a service knows this client by.
    #[inline]
    pub const fn client(self) -> ClientId {
        ClientId::new(self.0)
    }

    /// The key of a client that a service has been told of.
    pub const fn of(client: ClientId) -> Self {
        Self(client.get())
    }

    const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    const fn index(self) -> usize {
        self.0 as u32 as usize
    }
}

/// A token that stands for no slot: for listeners, datagram sockets and whatever else a role has a
/// fixed number of.
pub const fn fixed_token(index: u32) -> Token {
    Key::new(FIXED, index).token()
}

/// The index of a token made by [`fixed_token`], or `None` for one that stands for a key.
pub const fn fixed_index(token: Token) -> Option<u32> {
    if Key::from_token(token).is_none() {
        Some(token.0 as u32)
    } else {
        None
    }
}

/// A slab with a limit, whose keys are never mistaken for those of a later occupant.
#[derive(Debug)]
pub struct Slots<T> {
    slab: Slab<Slot<T>>,
    limit: usize,
    generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    key: Key,
    value: T,
}

impl<T> Slots<T> {
    /// Room for `limit` occupants. Memory is taken as it is needed.
    pub const fn new(limit: usize) -> Self {
        Self {
            slab: Slab::new(),
            limit,
            generation: 0,
        }
    }

    /// Puts `value` into a free slot, or gives it back when there is none.
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        // The slab's own capacity is no limit: it grows.
        if self.free() == 0 {
            return Err(value);
        }
        self.generation = if self.generation + 1 == FIXED {
            0
        } else {
            self.generation + 1
        };
        let entry = self.slab.vacant_entry();
        let index = u32::try_from(entry.key()).expect("2^32 sockets can't exist");
        let key = Key::new(self.generation, index);
        entry.insert(Slot { key, value });
        Ok(key)
    }

    /// The occupant that `key` names, if it is still there.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slab.get_mut(key.index())?;
        (slot.key == key).then_some(&mut slot.value)
    }

    /// Frees the slot of the occupant that `key` names, if it is still there. The memory of a crowd that has left is given
    /// back, up to the last slot that is taken.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        let value = self.slab.remove(key.index()).value;
        let (len, capacity) = (self.slab.len(), self.slab.capacity());
        // Looking for what can go takes time in proportion to what there is: it is done when those who are left have
        // halved, which is seldom.
        if capacity > KEPT && len < capacity / 4 && (len == 0 || len.is_power_of_two()) {
            self.slab.shrink_to_fit();
        }
        Some(value)
    }

    /// The keys of all occupants.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.slab.iter().map(|(_, slot)| slot.key)
    }

    /// All occupants, with their keys.
    pub fn entries(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab.iter().map(|(_, slot)| (slot.key, &slot.value))
    }

    /// All occupants.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.slab.iter().map(|(_, slot)| &slot.value)
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slab.iter_mut().map(|(_, slot)| &mut slot.value)
    }

    /// How many slots are taken.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// How many more occupants there is room for.
    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.slab.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pitfall 24: a batch holds an event for a client that has gone, and its slot has a new one.
    #[test]
    fn pitfall_24_a_stale_key_never_reaches_the_next_occupant() {
        let mut slots = Slots::new(1);
        let first = slots.insert("first").unwrap();
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second").unwrap();
        assert_eq!(first.index(), second.index(), "the slot was reused");
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
    }

    #[test]
    fn the_limit_holds_whatever_the_slab_could_hold() {
        let mut slots = Slots::new(2);
        let keys = [slots.insert(1).unwrap(), slots.insert(2).unwrap()];
        assert_eq!((slots.insert(3), slots.free()), (Err(3), 0));
        slots.remove(keys[0]);
        assert_eq!(slots.free(), 1);
        assert!(slots.insert(3).is_ok());
        assert_eq!(Slots::<()>::new(0).insert(()), Err(()));
    }

    #[test]
    fn tokens_and_keys_convert_back_and_forth_and_fixed_tokens_are_apart() {
        let mut slots = Slots::new(3);
        for value in 0..3 {
            let key = slots.insert(value).unwrap();
            assert_eq!(Key::from_token(key.token()), Some(key));
            assert_eq!(fixed_index(key.token()), None);
        }
        assert_eq!(Key::from_token(fixed_token(7)), None);
        assert_eq!(fixed_index(fixed_token(7)), Some(7));
    }

    #[test]
    fn the_memory_of_a_crowd_is_given_back_and_stale_keys_stay_stale() {
        let mut slots = Slots::new(usize::MAX);
        let keys: Vec<Key> = (0..20_000).map(|n| slots.insert(n).unwrap()).collect();
        for &key in &keys[1..] {
            slots.remove(key).unwrap();
        }
        assert!(slots.slab.capacity() <= KEPT, "{}", slots.slab.capacity());
        assert_eq!(
            slots.get_mut(keys[0]),
            Some(&mut 0),
            "who has stayed is there"
        );
        assert!(keys[1..].iter().all(|&key| slots.get_mut(key).is_none()));
        let later: Vec<Key> = (0..20_000).map(|n| slots.insert(n).unwrap()).collect();
        assert!(keys[1..].iter().all(|&key| slots.get_mut(key).is_none()));
        assert!(later.iter().all(|&key| slots.remove(key).is_some()));
        assert_eq!(slots.len(), 1);
        slots.insert(1).unwrap();
        assert_eq!(slots.len(), 2);
    }

    /// Giving back takes time in proportion to what there is, so it is seldom done, and never of little.
    #[test]
    fn memory_is_kept_until_three_quarters_have_left() {
        let filled = |count| {
            let mut slots = Slots::new(usize::MAX);
            let keys: Vec<Key> = (0..count).map(|n| slots.insert(n).unwrap()).collect();
            assert!(!slots.is_empty() && slots.keys().eq(keys.iter().copied()));
            assert!(slots.values().eq(slots.entries().map(|(_, value)| value)));
            assert_eq!(slots.entries().count(), count);
            (slots, keys)
        };
        let (mut slots, keys) = filled(16_384);
        for &key in keys[4_097..].iter().rev() {
            slots.remove(key).unwrap();
            assert!(slots.slab.capacity() >= 16_384, "at {}", slots.len());
        }
        for &key in keys[2_049..4_097].iter().rev() {
            slots.remove(key).unwrap();
        }
        assert!(slots.slab.capacity() >= 16_384, "not for each that leaves");
        slots.remove(keys[2_048]).unwrap();
        assert!(slots.slab.capacity() < 16_384, "but when they have halved");

        let (mut slots, keys) = filled(KEPT);
        let capacity = slots.slab.capacity();
        for &key in &keys {
            slots.remove(key).unwrap();
        }
        assert_eq!(slots.slab.capacity(), capacity, "it is little");
        assert!(slots.is_empty());
    }

    #[test]
    fn generations_wrap_around_the_fixed_one() {
        let mut slots = Slots::new(9);
        slots.generation = FIXED - 2;
        let last = slots.insert(()).unwrap();
        assert_eq!(last.generation(), FIXED - 1);
        assert_eq!(slots.insert(()).unwrap().generation(), 0);
    }
}
