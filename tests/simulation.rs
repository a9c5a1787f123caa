//! Long random lives of a connection, from seeds.
//!
//! A failure names its seed; `ECHOLOOP_SEED=N cargo test --test simulation` plays that one again.

#![allow(clippy::unwrap_used)]

mod support;

use support::seeds::{Random, live_all};
use support::world::{Sizes, World};

const SEEDS: u64 = 1_000;
const STEPS: usize = 2_000;

/// One life: sizes, and how likely each kind of step is, are drawn from the seed too.
fn live(seed: u64) -> (u64, u64) {
    let mut random = Random::new(seed);
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
    (received.len() as u64, hash)
}

#[test]
fn random_lives_lose_nothing_and_end() {
    if let Some(bytes) = live_all(SEEDS, |seed| live(seed).0) {
        println!("proof: {bytes} bytes verified");
        assert!(
            bytes > 1_000_000,
            "too little happened to mean anything: {bytes} bytes"
        );
    }
}

#[test]
fn a_seed_always_lives_the_same_life() {
    for seed in 0..20 {
        assert_eq!(live(seed), live(seed), "seed {seed}");
    }
}
