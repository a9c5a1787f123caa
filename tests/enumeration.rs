//! Every sequence of events up to a depth, each played to its end.

#![allow(clippy::unwrap_used)]

mod support;

use support::world::{Sizes, World};

/// How many steps every sequence has before it is healed: 12^6 sequences.
const DEPTH: usize = 6;

/// Small enough that every limit is hit within a few steps.
const TINY: Sizes = Sizes {
    recv_size: 2,
    read_ahead: 3,
    budget: 4,
    high: 4,
    low: 1,
    inbox: 5,
    outbox: 2,
};

const STEPS: [fn(&mut World); 12] = [
    |world| world.kernel().peer_sends(1),
    |world| world.kernel().peer_sends(5),
    |world| world.kernel().peer_ends(),
    |world| world.kernel().peer_resets(),
    |world| world.kernel().peer_receives(1),
    |world| world.kernel().peer_receives(usize::MAX),
    World::event,
    World::spurious_event,
    World::turn,
    |world| world.kernel().interrupt(),
    |world| world.kernel().run_short(),
    World::finish,
];

#[test]
fn every_sequence_of_steps_ends_with_nothing_lost_stuck_or_repeated() {
    let sequences = STEPS.len().pow(DEPTH as u32);
    for sequence in 0..sequences {
        let mut world = World::new(TINY);
        let mut rest = sequence;
        for _ in 0..DEPTH {
            STEPS[rest % STEPS.len()](&mut world);
            rest /= STEPS.len();
        }
        world.heal();
    }
    println!("{sequences} sequences of {DEPTH} steps, 0 violations");
}

/// Deeper, where it matters: with every event delivered and served at once, so that each step of the
/// sequence is one of the peer's or the server's.
#[test]
fn every_sequence_of_acts_ends_with_nothing_lost_stuck_or_repeated() {
    const ACTS_DEPTH: usize = 7;
    let acts = [0, 1, 2, 4, 5, 10, 11].map(|step| STEPS[step]);
    let sequences = acts.len().pow(ACTS_DEPTH as u32);
    for sequence in 0..sequences {
        let mut world = World::new(TINY);
        let mut rest = sequence;
        for _ in 0..ACTS_DEPTH {
            acts[rest % acts.len()](&mut world);
            rest /= acts.len();
            world.event();
            world.turn();
        }
        world.heal();
    }
    println!("{sequences} sequences of {ACTS_DEPTH} acts, 0 violations");
}
