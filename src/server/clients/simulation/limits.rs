//! Limits to what all clients together may take, with the time in the test's hands.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::super::idlers::EVICT_QUIET;
use super::room::{IDLE, MOMENT, Room};
use crate::server::OverLimit;
use crate::service::{Echo, Service};

const FIRST_BYTE: Duration = Duration::from_millis(500);

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn evicting(max_conns: usize) -> Room<Echo> {
    Room::with(Echo, |config| {
        config.max_conns = max_conns;
        config.over_limit = OverLimit::EvictIdle;
    })
}

impl<S: Service> Room<S> {
    /// A client says something and is answered.
    fn round_trip(&mut self, client: usize) {
        let before = self.peer(client).received.len();
        self.peer(client).peer_sends(3);
        self.settle();
        self.peer(client).peer_receives(usize::MAX);
        assert_eq!(self.peer(client).received.len(), before + 3);
    }

    fn is_there(&mut self, client: usize) -> bool {
        let key = self.peers[client].0;
        self.clients.slots.get_mut(key).is_some()
    }
}

#[test]
fn who_was_quiet_for_longest_makes_room_and_nobody_who_is_talking() {
    let mut room = evicting(3);
    let clients = [room.connect(), room.connect(), room.connect()];
    for client in clients {
        room.pass(MOMENT);
        room.round_trip(client);
    }
    assert_eq!(room.try_connect(HERE), None, "all were heard of just now");
    room.pass(EVICT_QUIET);
    room.round_trip(clients[0]);
    let next = room.connect();
    room.round_trip(next);
    assert!(!room.is_there(clients[1]), "the quietest");
    assert!(room.is_there(clients[0]) && room.is_there(clients[2]));
    let third = room.try_connect(HERE);
    assert!(third.is_some() && !room.is_there(clients[2]));
    assert_eq!(room.try_connect(HERE), None, "the others are talking");
    let counters = room.clients.counters();
    assert_eq!((counters.closed.evicted, counters.rejected), (2, 2));
}

#[test]
fn who_is_owed_something_or_has_said_something_is_not_idle() {
    let mut room = evicting(2);
    let (owed, talks) = (room.connect(), room.connect());
    room.settle();
    room.peer(owed).peer_sends(200);
    room.settle();
    room.pass(EVICT_QUIET - MOMENT);
    // No event has told of it yet.
    room.now += MOMENT;
    room.peer(talks).peer_sends(5);
    assert_eq!(room.try_connect(HERE), None);
    room.settle();
    room.peer(talks).peer_receives(usize::MAX);
    assert_eq!(room.peer(talks).received.len(), 5, "it was answered");
    assert!(room.is_there(owed) && room.is_there(talks));
}

/// Two deadlines of a turn: when the first has asked whether it is silent and got an answer, the second must not ask again and
/// take it for silent.
#[test]
fn who_was_heard_by_one_deadline_of_a_turn_is_not_idle_for_another() {
    let mut room = Room::with(Echo, |config| {
        config.first_byte_timeout = Some(IDLE + MOMENT);
    });
    let client = room.connect();
    room.settle();
    // No event has told of it yet.
    room.peer(client).peer_sends(5);
    room.now += IDLE + 2 * MOMENT;
    room.turn();
    room.peer(client).peer_sends(3);
    room.settle();
    room.peer(client).peer_receives(usize::MAX);
    let peer = room.peer(client);
    assert_eq!((peer.received.len(), peer.is_shut()), (8, false));
}

#[test]
fn each_that_comes_takes_one_place_however_many_are_idle() {
    let mut room = evicting(500);
    for _ in 0..500 {
        room.connect();
    }
    room.settle();
    room.pass(EVICT_QUIET);
    for come in 1..=500 {
        room.connect();
        assert_eq!(room.clients.len(), 500);
        assert_eq!(room.closed().evicted, come);
    }
    room.settle();
    assert_eq!(room.try_connect(HERE), None, "those have come just now");
}

#[test]
fn who_says_nothing_at_all_is_hung_up_on_and_who_says_something_is_not() {
    let mut room = Room::with(Echo, |config| config.first_byte_timeout = Some(FIRST_BYTE));
    let (silent, talks, late, full) = (
        room.connect(),
        room.connect(),
        room.connect(),
        room.connect(),
    );
    room.settle();
    room.round_trip(talks);
    // As much as one read can bring.
    room.peer(full).peer_sends(64);
    room.settle();
    room.pass(FIRST_BYTE - MOMENT);
    assert_eq!(room.clients.len(), 4);
    // No event has told of it yet.
    room.peer(late).peer_sends(5);
    room.now += MOMENT;
    room.turn();
    room.settle();
    assert!(room.peer(silent).is_shut());
    room.pass(IDLE - FIRST_BYTE - MOMENT * 2);
    for client in [talks, late, full] {
        assert!(!room.peer(client).is_shut(), "client {client}");
    }
    room.peer(silent).peer_ends();
    room.settle();
    assert_eq!(room.closed().first_byte_timeout, 1);
}

/// Pitfall 15: many that never read take no more than they may together, and nobody else pays for it.
#[test]
fn pitfall_15_all_that_never_read_are_owed_no_more_than_the_limit() {
    const MOST: u64 = 1000;
    let mut room = Room::with(Echo, |config| config.unsent_max = Some(MOST as usize));
    let good = room.connect();
    let mut closed = 0;
    for _ in 0..40 {
        let never_reads = room.connect();
        for _ in 0..4 {
            room.peer(never_reads).peer_sends(200);
            room.settle();
            assert!(
                room.clients.unsent_bytes() <= MOST,
                "{} unsent",
                room.clients.unsent_bytes()
            );
        }
        room.round_trip(good);
        let now = room.closed().owed_too_much;
        assert!(now >= closed);
        closed = now;
    }
    assert!(closed > 20, "{closed}");
    assert!(room.is_there(good));
    assert!(room.clients.len() > 2, "no more were closed than had to be");
    let counters = room.clients.counters();
    assert!(counters.unsent_bytes > 0 && counters.closed.owed_too_much == counters.closed.total());
}

#[test]
fn who_is_owed_most_is_the_one_to_go() {
    let mut room = Room::with(Echo, |config| config.unsent_max = Some(200));
    let (little, much) = (room.connect(), room.connect());
    room.settle();
    room.peer(little).peer_sends(120);
    room.settle();
    assert_eq!(
        room.clients.unsent_bytes(),
        20,
        "what the kernel has not taken"
    );
    room.peer(much).peer_sends(200);
    room.settle();
    room.peer(much).peer_sends(200);
    room.settle();
    assert!(room.is_there(little) && !room.is_there(much));
    assert_eq!(room.clients.unsent_bytes(), 20);
}

#[test]
fn a_host_has_its_places_and_gets_them_back() {
    let mut room = Room::with(Echo, |config| {
        config.max_conns_per_ip = NonZeroUsize::new(2);
    });
    let (one, other): (IpAddr, IpAddr) =
        ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let first = room.try_connect(one).unwrap();
    room.try_connect(one).unwrap();
    assert_eq!(room.try_connect(one), None);
    room.try_connect(other).unwrap();
    room.peer(first).peer_resets();
    room.settle();
    room.try_connect(one).unwrap();
    assert_eq!(room.try_connect(one), None);
    let counters = room.clients.counters();
    assert_eq!((counters.rejected, counters.rejected_per_ip), (0, 2));
}
