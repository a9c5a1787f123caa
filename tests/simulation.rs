//! Long random lives of a connection, from seeds.
//!
//! A failure names its seed; `ECHOLOOP_SEED=N cargo test --test simulation` plays that one again.

#![allow(clippy::unwrap_used)]

mod support;

use support::world::{Sizes, World};

const SEEDS: u64 = 1_000;
const STEPS: usize = 2_000;

/// Splitmix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A size from 1 to `limit`, small ones as likely as large ones.
    fn size(&mut self, limit: usize) -> usize {
        let bits = self.below(limit.ilog2() as usize + 1) as u32;
        1 + self.below(limit.min(2usize.pow(bits + 1)))
    }
}

/// One life: sizes, and how likely each kind of step is, are drawn from the seed too.
fn live(seed: u64) -> (usize, u64) {
    let mut random = Random(seed);
    let high = random.size(4096) + 1;
    let sizes = Sizes {
        recv_size: random.size(1024),
        read_ahead: random.size(4096),
        budget: random.size(8192),
        high,
        low: random.below(high),
        inbox: random.size(8192),
        outbox: random.size(4096),
    };
    let mut world = World::new(sizes);
    let weights: [usize; 8] = std::array::from_fn(|_| random.below(8));
    let (ends, finishes, resets) = (
        random.below(3) == 0,
        random.below(3) == 0,
        random.below(8) == 0,
    );
    let rare = |random: &mut Random| random.below(STEPS * 2) == 0;
    for _ in 0..STEPS {
        let total: usize = weights.iter().sum::<usize>() + 1;
        let mut draw = random.below(total);
        let step = weights.iter().position(|&weight| {
            let hit = draw < weight;
            draw = draw.saturating_sub(weight);
            hit
        });
        match step {
            Some(0) => world.kernel().peer_sends(random.size(4096)),
            Some(1) => world.kernel().peer_receives(random.size(4096)),
            Some(2) => world.event(),
            Some(3) => world.turn(),
            Some(4) => world.spurious_event(),
            Some(5) => world.kernel().interrupt(),
            Some(6) => world.kernel().run_short(),
            Some(7) => world.deadline(),
            _ => {
                world.event();
                world.turn();
            }
        }
        if ends && rare(&mut random) {
            world.kernel().peer_ends();
        }
        if finishes && rare(&mut random) {
            world.finish();
        }
        if resets && rare(&mut random) {
            world.kernel().peer_resets();
        }
    }
    world.heal();
    let received = &world.kernel().received;
    let hash = received.iter().fold(0u64, |hash, &byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    (received.len(), hash)
}

#[test]
fn random_lives_lose_nothing_and_end() {
    if let Ok(seed) = std::env::var("ECHOLOOP_SEED") {
        live(seed.parse().expect("ECHOLOOP_SEED is a number"));
        return;
    }
    let mut bytes = 0;
    for seed in 0..SEEDS {
        match std::panic::catch_unwind(|| live(seed)) {
            Ok((received, _)) => bytes += received,
            Err(_) => panic!("seed {seed} failed: replay it with ECHOLOOP_SEED={seed}"),
        }
    }
    println!("{SEEDS} seeds of {STEPS} steps, {bytes} bytes echoed, 0 lost");
    assert!(
        bytes > 1_000_000,
        "the lives were too short to mean anything: {bytes} bytes"
    );
}

#[test]
fn a_seed_always_lives_the_same_life() {
    for seed in 0..20 {
        assert_eq!(live(seed), live(seed), "seed {seed}");
    }
}
