//! Random lives of many clients at once, from seeds.

use std::time::Duration;

use super::kernel::byte;
use super::room::{MOMENT, Room};
use super::seeds::{Random, live_all};
use crate::service::Echo;

/// Many clients, every kind of act, events late or early, and time that passes; then everyone falls
/// silent, and the room must empty by itself with nothing lost.
fn live(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut room = Room::new(Echo);
    let resets = random.below(2) == 0;
    for _ in 0..600 {
        if room.clients.free() > 0 && random.below(4) == 0 {
            room.connect();
            continue;
        }
        if room.peers.is_empty() {
            continue;
        }
        let number = random.below(room.peers.len());
        match random.below(if resets { 13 } else { 12 }) {
            0..=2 => room.peer(number).peer_sends(1 + random.below(200)),
            3..=4 => room.peer(number).peer_receives(1 + random.below(200)),
            5..=6 => room.events_for(number),
            7..=8 => room.turn(),
            9 => room.peer(number).peer_ends(),
            10 => room.peer(number).run_short(),
            11 => room.pass(MOMENT * random.below(900) as u32),
            _ => room.peer(number).peer_resets(),
        }
        if random.below(500) == 0 {
            room.clients.drain(room.now);
        }
    }
    room.pass(Duration::from_secs(120));
    let counters = room.clients.counters();
    assert_eq!(room.clients.len(), 0, "somebody was forgotten");
    assert_eq!(counters.live(), 0);
    let mut sent_back = 0;
    let mut sent = 0;
    let mut unread = 0;
    for (_, kernel) in &room.peers {
        let kernel = kernel.borrow();
        for (index, back) in kernel.sent_back().enumerate() {
            assert_eq!(back, byte(index));
            sent_back += 1;
        }
        sent += kernel.sent as u64;
        unread += kernel.unread() as u64;
    }
    if !resets {
        let moved = &counters.moved;
        assert_eq!(sent, moved.received_bytes + moved.discarded_bytes + unread);
        assert_eq!(moved.sent_bytes, sent_back);
        assert_eq!(moved.received_bytes, sent_back + counters.unsent_bytes);
    }
    sent_back
}

#[test]
fn random_rooms_empty_by_themselves_with_nothing_lost() {
    const SEEDS: u64 = 500;
    if let Some(bytes) = live_all(SEEDS, live) {
        println!("proof: {bytes} bytes verified");
        assert!(
            bytes > 500_000,
            "too little happened to mean anything: {bytes} bytes"
        );
    }
}
