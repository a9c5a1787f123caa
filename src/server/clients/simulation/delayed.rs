//! An echo that comes later, with the time in the test's hands.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::room::{IDLE, Room};
use super::seeds::{Random, live_all};
use crate::service::{Delay, Delayed, Echo, FaultTally};

const DELAY: Duration = Duration::from_millis(10);

struct Late {
    room: Room<Delayed<Echo, Box<dyn Fn() -> Instant>>>,
    tally: Arc<FaultTally>,
}

impl Late {
    fn new(delay: Delay, seed: u64) -> Self {
        let clock = Rc::new(Cell::new(Instant::now()));
        let tally = Arc::new(FaultTally::default());
        let told = clock.clone();
        let tell: Box<dyn Fn() -> Instant> = Box::new(move || told.get());
        let service = Delayed::new(Echo, Some(delay), seed, tell, tally.clone());
        let mut room = Room::new(service);
        room.clock = clock;
        Self { room, tally }
    }

    fn back(&self, client: usize) -> usize {
        self.room.peer(client).peer_receives(usize::MAX);
        self.room.peer(client).sent_back().count()
    }
}

#[test]
fn an_echo_comes_when_it_is_due_and_not_before() {
    let mut late = Late::new(Delay::Constant(DELAY), 1);
    let client = late.room.connect();
    late.room.peer(client).peer_sends(20);
    // It is read a while after the turn began.
    let lag = DELAY / 4;
    late.room.lag = lag;
    late.room.settle();
    late.room.pass(DELAY + lag - Duration::from_nanos(1));
    assert_eq!(late.back(client), 0);
    late.room.pass(Duration::from_nanos(1));
    assert_eq!(late.back(client), 20);
    assert_eq!(
        late.tally.counters().delayed,
        2,
        "messages of at most 16 bytes"
    );
}

/// The limit that is right for a person would let a client send 16 messages in each delay.
#[test]
fn a_client_is_read_from_as_if_there_were_no_delay() {
    let mut late = Late::new(Delay::Constant(DELAY), 1);
    let client = late.room.connect();
    for _ in 0..100 {
        late.room.peer(client).peer_sends(16);
        late.room.settle();
    }
    assert_eq!(late.room.peer(client).sent, 1600, "all of it has been read");
    late.room.pass(DELAY);
    // It takes what it is sent bit by bit, and more than a high watermark of it was due at once.
    for _ in 0..30 {
        late.back(client);
        late.room.settle();
    }
    assert_eq!(late.back(client), 1600);
    assert_eq!(late.tally.counters().delayed, 100);
}

#[test]
fn a_client_that_has_ended_its_side_gets_its_echo_and_one_that_waits_is_not_idle() {
    let mut late = Late::new(Delay::Constant(IDLE * 4), 1);
    let (ended, waiting) = (late.room.connect(), late.room.connect());
    for client in [ended, waiting] {
        late.room.peer(client).peer_sends(20);
    }
    late.room.peer(ended).peer_ends();
    late.room.settle();
    late.room.pass(IDLE * 3);
    assert_eq!(late.room.clients.len(), 2);
    late.room.pass(IDLE);
    assert_eq!((late.back(ended), late.back(waiting)), (20, 20));
    assert_eq!(late.room.closed().peer_closed, 1);
}

#[test]
fn a_stop_loses_no_echo() {
    let mut late = Late::new(Delay::Constant(IDLE * 100), 1);
    let (ended, open) = (late.room.connect(), late.room.connect());
    for client in [ended, open] {
        late.room.peer(client).peer_sends(20);
    }
    late.room.peer(ended).peer_ends();
    late.room.settle();
    late.room.stop();
    late.room.settle();
    late.room.peer(open).peer_sends(20);
    late.room.settle();
    assert_eq!((late.back(ended), late.back(open)), (20, 40));
}

/// Clients that talk, read slowly, end and fail: every byte comes back in order, whatever the delays.
fn live(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut late = Late::new(Delay::Exponential(DELAY), seed);
    let mut failed = Vec::new();
    for _ in 0..300 {
        if late.room.peers.is_empty() || (late.room.clients.free() > 0 && random.below(8) == 0) {
            late.room.connect();
            continue;
        }
        let number = random.below(late.room.peers.len());
        match random.below(9) {
            0..=3 => late.room.peer(number).peer_sends(1 + random.below(60)),
            4 => late.room.peer(number).peer_receives(1 + random.below(200)),
            5 => late.room.events_for(number),
            6 if random.below(4) == 0 => late.room.peer(number).peer_ends(),
            6 if random.below(8) == 0 => {
                late.room.peer(number).peer_resets();
                failed.push(number);
            }
            _ => late.room.pass(DELAY / 8 * random.below(8) as u32),
        }
    }
    for _ in 0..200 {
        late.room.pass(DELAY);
        for number in 0..late.room.peers.len() {
            late.back(number);
        }
    }
    for number in 0..late.room.peers.len() {
        let sent = late.room.peer(number).sent;
        if !failed.contains(&number) {
            assert_eq!(late.back(number), sent, "client {number}");
        }
    }
    late.tally.counters().delayed
}

#[test]
fn random_clients_get_every_byte_back_in_order_after_random_delays() {
    const SEEDS: u64 = 200;
    if let Some(delayed) = live_all(SEEDS, live) {
        assert!(delayed > 1_000, "too little happened: {delayed} delayed");
    }
}
