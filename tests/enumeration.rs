//! Every sequence of events up to a depth, each played to its end.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use echoloop::reactor::Backlog;
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
    println!("proof: {sequences} sequences enumerated");
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
    println!("proof: {sequences} sequences enumerated");
}

/// A listener whose kernel has connections waiting, and the deadlines that a server keeps for it.
struct Entrance {
    backlog: Backlog,
    waiting: usize,
    told: bool,
    /// What the next calls end with, before anybody is let in.
    errors: VecDeque<i32>,
    deadlines: Vec<Instant>,
    now: Instant,
    let_in: usize,
    lost: usize,
}

impl Entrance {
    const BUDGET: usize = 2;

    fn new() -> Self {
        Self {
            backlog: Backlog::new(),
            waiting: 0,
            told: true,
            errors: VecDeque::new(),
            deadlines: Vec::new(),
            now: Instant::now(),
            let_in: 0,
            lost: 0,
        }
    }

    fn knock(&mut self) {
        self.waiting += 1;
        self.told = false;
    }

    /// The edge that waits is delivered. There is none for those who were there already.
    fn event(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.backlog.mark();
        }
    }

    fn turn(&mut self) {
        if !self.backlog.is_runnable() {
            return;
        }
        let (waiting, errors, let_in, lost) = (
            &mut self.waiting,
            &mut self.errors,
            &mut self.let_in,
            &mut self.lost,
        );
        let mut calls = 0;
        let accept = || {
            calls += 1;
            if *waiting == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match errors.pop_front() {
                None => {
                    *waiting -= 1;
                    Ok(())
                }
                Some(errno) => {
                    if errno == ECONNABORTED {
                        *waiting -= 1;
                        *lost += 1;
                    }
                    Err(io::Error::from_raw_os_error(errno))
                }
            }
        };
        let accepted = self
            .backlog
            .accept(self.now, Self::BUDGET, accept, |()| *let_in += 1);
        assert!(calls <= Self::BUDGET, "over budget");
        self.deadlines
            .extend(accepted.paused.map(|(until, _)| until));
    }

    /// Time passes, and deadlines come.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        self.deadlines.retain(|&at| at > now);
        self.backlog.resume_at(now);
    }

    /// Whoever waits is known of: an event, the next turn or a deadline will bring them in.
    fn check(&self) {
        let known = !self.told || self.backlog.is_runnable() || !self.deadlines.is_empty();
        assert!(self.waiting == 0 || known, "{} forgotten", self.waiting);
    }

    fn heal(&mut self, knocked: usize) {
        self.errors.clear();
        for _ in 0..100 {
            self.event();
            self.turn();
            self.pass(Duration::from_secs(1));
        }
        assert_eq!(self.waiting, 0, "never let in");
        assert_eq!(self.let_in + self.lost, knocked);
    }
}

const EINTR: i32 = 4;
const EMFILE: i32 = 24;
const ECONNABORTED: i32 = 103;
const ENOBUFS: i32 = 105;

#[test]
fn every_sequence_at_a_listener_ends_with_everybody_let_in() {
    const STEPS: [fn(&mut Entrance); 9] = [
        Entrance::knock,
        Entrance::event,
        Entrance::turn,
        |entrance| entrance.errors.push_back(EINTR),
        |entrance| entrance.errors.push_back(EMFILE),
        |entrance| entrance.errors.push_back(ECONNABORTED),
        |entrance| entrance.errors.push_back(ENOBUFS),
        |entrance| entrance.backlog.resume(),
        |entrance| entrance.pass(Duration::from_millis(150)),
    ];
    const DEPTH: usize = 7;
    let sequences = STEPS.len().pow(DEPTH as u32);
    for sequence in 0..sequences {
        let mut entrance = Entrance::new();
        let (mut rest, mut knocked) = (sequence, 0);
        for _ in 0..DEPTH {
            let step = rest % STEPS.len();
            knocked += usize::from(step == 0);
            STEPS[step](&mut entrance);
            entrance.check();
            rest /= STEPS.len();
        }
        entrance.heal(knocked);
    }
    println!("proof: {sequences} sequences enumerated");
}
