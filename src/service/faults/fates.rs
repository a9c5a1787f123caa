//! What becomes of each answer to a datagram.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Odds, Random};

/// How many answers are held back at once. More are sent as they come.
pub const HELD_MAX: usize = 4096;

/// How long an answer that nothing follows is held back.
pub const HELD_TIME: Duration = Duration::from_millis(20);

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Sent,
    /// It is not sent.
    Dropped,
    /// It is sent twice.
    SentTwice,
    /// It has been kept, to be sent behind the next one to its source.
    Held,
}

/// Decides what becomes of answers, and keeps those that are to be late.
///
/// Each answer takes one draw, so what becomes of the hundredth does not depend on what became of those
/// before. One source has at most one answer held back.
#[derive(Debug)]
pub struct Fates {
    odds: Odds,
    random: Random,
    /// In the order in which they were held back, which is that in which their time runs out.
    held: BTreeMap<u64, Held>,
    /// The number of what is held back for a source, by the socket it was to leave from.
    by_source: HashMap<(usize, SocketAddr), u64>,
    /// The number of the last that was held back.
    number: u64,
}

/// An answer held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The socket it leaves from.
    pub socket: usize,
    /// Whom it is for.
    pub source: SocketAddr,
    /// What it says.
    pub bytes: Box<[u8]>,
    /// Until when it waits for another.
    until: Instant,
}

impl Fates {
    /// Draws from `seed`, by `odds`.
    pub fn new(odds: Odds, seed: u64) -> Self {
        Self {
            odds,
            random: Random::new(seed),
            held: BTreeMap::new(),
            by_source: HashMap::new(),
            number: 0,
        }
    }

    /// Decides on the answer `bytes` to `source`, and keeps it if that is its fate.
    pub fn decide(
        &mut self,
        socket: usize,
        source: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Fate {
        let Odds {
            drop,
            duplicate,
            reorder,
        } = self.odds;
        let drawn = self.random.unit();
        if drawn < drop {
            Fate::Dropped
        } else if drawn < drop + duplicate {
            Fate::SentTwice
        } else if drawn < drop + duplicate + reorder && self.hold(socket, source, bytes, now) {
            Fate::Held
        } else {
            Fate::Sent
        }
    }

    /// Another answer to `source` has been sent from `socket`: takes what was to be sent behind it.
    pub fn follow(&mut self, socket: usize, source: SocketAddr) -> Option<Held> {
        let number = self.by_source.remove(&(socket, source))?;
        self.held.remove(&number)
    }

    /// Takes an answer that has waited long enough for another at `now`: it is sent after all.
    pub fn expire(&mut self, now: Instant) -> Option<Held> {
        if self.next()? > now {
            return None;
        }
        let (_, held) = self.held.pop_first()?;
        self.by_source.remove(&(held.socket, held.source));
        Some(held)
    }

    /// Takes an answer that was to leave from `socket`, which will be closed.
    pub fn close(&mut self, socket: usize) -> Option<Held> {
        let held = self.held.values().find(|held| held.socket == socket)?;
        let source = held.source;
        self.follow(socket, source)
    }

    /// When the first answer has waited long enough.
    pub fn next(&self) -> Option<Instant> {
        self.held.values().next().map(|held| held.until)
    }

    /// Keeps an answer, unless one is kept for its source already, or too many are.
    fn hold(&mut self, socket: usize, source: SocketAddr, bytes: &[u8], now: Instant) -> bool {
        if self.held.len() >= HELD_MAX || self.by_source.contains_key(&(socket, source)) {
            return false;
        }
        self.number += 1;
        self.by_source.insert((socket, source), self.number);
        let held = Held {
            socket,
            source,
            bytes: bytes.into(),
            until: now + HELD_TIME,
        };
        self.held.insert(self.number, held);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REORDER: Odds = Odds {
        drop: 0.0,
        duplicate: 0.0,
        reorder: 1.0,
    };

    fn source(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn fates_come_as_often_as_their_odds_and_the_same_from_the_same_seed() {
        let odds = Odds {
            drop: 0.1,
            duplicate: 0.2,
            reorder: 0.3,
        };
        let now = Instant::now();
        let live = |seed| {
            let mut fates = Fates::new(odds, seed);
            (0..10_000)
                .map(|_| {
                    let fate = fates.decide(0, source(7), b"x", now);
                    fates.follow(0, source(7));
                    fate
                })
                .collect::<Vec<_>>()
        };
        let lived = live(1);
        for (fate, expected) in [
            (Fate::Dropped, 1_000),
            (Fate::SentTwice, 2_000),
            (Fate::Held, 3_000),
            (Fate::Sent, 4_000),
        ] {
            let count = lived.iter().filter(|&&lived| lived == fate).count();
            assert!(count.abs_diff(expected) < 200, "{fate:?}: {count}");
        }
        assert_eq!(lived, live(1));
        assert_ne!(lived, live(2));
    }

    /// One draw each: what one answer meets is no reason for what the next does.
    #[test]
    fn the_fate_of_an_answer_does_not_depend_on_what_is_held() {
        let odds = Odds {
            drop: 0.3,
            duplicate: 0.0,
            reorder: 0.7,
        };
        let now = Instant::now();
        let live = |sources: u16| {
            let mut fates = Fates::new(odds, 5);
            (0..1_000)
                .map(|number| fates.decide(0, source(number % sources), b"x", now) == Fate::Dropped)
                .collect::<Vec<_>>()
        };
        assert_eq!(live(1), live(1_000));
    }

    #[test]
    fn one_answer_is_held_for_a_source_and_follows_the_next() {
        let (mut fates, now) = (Fates::new(REORDER, 1), Instant::now());
        assert_eq!(fates.decide(0, source(1), b"first", now), Fate::Held);
        assert_eq!(fates.decide(0, source(2), b"other", now), Fate::Held);
        assert_eq!(fates.decide(1, source(1), b"elsewhere", now), Fate::Held);
        assert_eq!(fates.decide(0, source(1), b"second", now), Fate::Sent);
        let held = fates.follow(0, source(1)).unwrap();
        assert_eq!((held.source, &*held.bytes), (source(1), &b"first"[..]));
        assert_eq!(fates.follow(0, source(1)), None, "once");
        assert_eq!(fates.decide(0, source(1), b"third", now), Fate::Held);
    }

    #[test]
    fn what_nothing_follows_is_let_go_when_its_time_is_over_and_not_before() {
        let (mut fates, start) = (Fates::new(REORDER, 1), Instant::now());
        let ms = |ms| start + Duration::from_millis(ms);
        assert_eq!(fates.next(), None);
        for (port, at) in [(1, 0), (2, 5), (3, 9)] {
            assert_eq!(fates.decide(0, source(port), b"x", ms(at)), Fate::Held);
        }
        fates.follow(0, source(2)).unwrap();
        assert_eq!(fates.next(), Some(ms(20)));
        assert_eq!(fates.expire(ms(19)), None);
        assert_eq!(fates.expire(ms(20)).unwrap().source, source(1));
        assert_eq!(fates.next(), Some(ms(29)));
        assert_eq!(fates.expire(ms(28)), None);
        assert_eq!(fates.expire(ms(99)).unwrap().source, source(3));
        assert_eq!((fates.expire(ms(99)), fates.next()), (None, None));
        assert_eq!(fates.follow(0, source(1)), None, "it has been let go");
        assert!(fates.by_source.is_empty());
    }

    #[test]
    fn so_many_are_held_and_no_more_and_a_socket_that_closes_lets_go_of_its_own() {
        let (mut fates, now) = (Fates::new(REORDER, 1), Instant::now());
        for port in 0..HELD_MAX as u16 {
            let socket = usize::from(port % 2);
            assert_eq!(fates.decide(socket, source(port), b"x", now), Fate::Held);
        }
        assert_eq!(fates.decide(0, source(9_999), b"x", now), Fate::Sent);
        let let_go = std::iter::from_fn(|| fates.close(0)).count();
        assert_eq!(let_go, HELD_MAX / 2);
        assert_eq!(fates.held.len(), HELD_MAX / 2);
        assert_eq!(fates.decide(1, source(9_999), b"x", now), Fate::Held);
    }
}
