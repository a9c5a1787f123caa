//! The clients of a server over modelled kernels, in a time of the test's own.
//!
//! After every turn the arming invariant is checked ([`Clients::check`](super::Clients::check)).

mod bounded;
mod delayed;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../../tests/support/kernel.rs"]
pub(in crate::server) mod kernel;
mod later;
mod limits;
mod lives;
mod room;
pub(in crate::server) use crate::seeds;

use std::time::Duration;

use self::room::{IDLE, MOMENT, Room, STALL};
use super::Clients;
use super::watch::{DRAIN_QUIET, LINGER, LINGER_STOPPING, STALL_PROBE, STARVED_RETRY};
use crate::connection::{Readiness, Reply, Stream};
use crate::reactor::Key;
use crate::service::{ClientId, Echo, Service};

impl<S: Stream> Clients<S> {
    /// Whether anything can be done for a client now.
    pub(in crate::server) fn is_worth_serving(&mut self, key: Key) -> bool {
        let client = self.slots.get_mut(key);
        client.is_some_and(|client| client.peer.is_runnable())
    }

    /// How much the client is owed that is owed most.
    pub(in crate::server) fn most_owed(&self) -> usize {
        let owed = self.slots.values();
        owed.map(|client| client.peer.connection.unsent_len())
            .max()
            .unwrap_or(0)
    }
}

/// Says bye to the first message and hangs up.
struct Quit;

impl Service for Quit {
    fn receive(&mut self, _: ClientId, _: &[u8], reply: &mut Reply<'_>) {
        reply.send(b"bye");
        reply.hang_up();
    }
}

#[test]
fn a_client_is_idle_when_its_time_is_over_and_not_before() {
    let mut room = Room::new(Echo);
    let client = room.connect();
    room.settle();
    room.pass(IDLE - MOMENT);
    room.peer(client).peer_sends(5);
    room.pass(IDLE - MOMENT);
    assert_eq!(room.clients.len(), 1, "it has sent something since");
    room.pass(MOMENT * 2);
    assert!(room.peer(client).is_shut(), "it has not, for long enough");
    room.peer(client).peer_ends();
    room.settle();
    assert_eq!(room.closed().idle_timeout, 1);
}

/// One poll brings so many events and no more, and a signal ends one before it brings any: what the
/// kernel has not told of is still answered.
#[test]
fn input_that_no_event_has_told_of_is_answered_before_a_client_is_taken_for_quiet() {
    for stopping in [false, true] {
        let mut room = Room::new(Echo);
        let client = room.connect();
        room.settle();
        let quiet = if stopping { DRAIN_QUIET } else { IDLE };
        if stopping {
            room.stop();
        }
        room.peer(client).peer_sends(7);
        room.now += quiet;
        room.turn();
        room.turn();
        room.peer(client).peer_receives(usize::MAX);
        assert_eq!(room.peer(client).received.len(), 7, "stopping: {stopping}");
        assert!(!room.peer(client).is_shut(), "it was not quiet");
        room.settle();
        room.pass(quiet);
        assert!(room.peer(client).is_shut(), "but now it is");
    }
}

#[test]
fn a_wait_for_an_end_of_file_ends_after_silence_or_after_enough() {
    for (stopping, linger) in [(false, LINGER), (true, LINGER_STOPPING)] {
        for chatty in [false, true] {
            let mut room = Room::new(Quit);
            let client = room.connect();
            room.peer(client).peer_sends(1);
            room.settle();
            assert!(room.peer(client).is_shut());
            if stopping {
                room.stop();
            }
            let step = linger.quiet / 4;
            let mut waited = Duration::ZERO;
            while room.clients.len() > 0 {
                if chatty {
                    room.peer(client).peer_sends(1);
                }
                room.pass(step);
                waited += step;
                assert!(waited < linger.most * 2, "for ever");
            }
            let expected = if chatty { linger.most } else { linger.quiet };
            assert!(
                waited >= expected && waited <= expected + step * 2,
                "{waited:?} for {expected:?}"
            );
            assert_eq!(room.closed().hung_up, 1);
        }
    }
}

/// Pitfall 20: no event will say when the kernel has memory again.
#[test]
fn pitfall_20_a_starved_client_is_brought_back_by_a_deadline() {
    let mut room = Room::new(Echo);
    let client = room.connect();
    room.settle();
    room.peer(client).run_short();
    room.peer(client).peer_sends(9);
    room.settle();
    assert_eq!(room.peer(client).sent_back().count(), 0);
    room.pass(STARVED_RETRY);
    assert_eq!(room.peer(client).sent_back().count(), 9);
    assert_eq!(room.clients.counters().starved, 1);
}

#[test]
fn a_client_that_takes_nothing_is_closed_when_its_time_is_over_and_not_before() {
    let mut room = Room::new(Echo);
    let client = room.connect();
    room.peer(client).peer_sends(200);
    room.settle();
    // It takes too little for an event of room, but it takes.
    for _ in 0..5 {
        room.pass(STALL - MOMENT);
        room.peer(client).peer_receives(1);
        room.pass(MOMENT);
    }
    assert_eq!(room.clients.len(), 1);
    room.pass(STALL + STALL_PROBE * 2);
    assert_eq!(room.closed().write_stalled, 1);
    assert!(room.clients.counters().unsent_bytes > 0);
    assert!(
        room.peer(client).resets_on_close,
        "the kernel keeps its bytes"
    );
}

#[test]
fn draining_hangs_up_on_the_quiet_and_lets_the_others_finish() {
    let mut room = Room::new(Echo);
    let (quiet, busy, slow) = (room.connect(), room.connect(), room.connect());
    room.settle();
    room.peer(slow).peer_sends(200);
    room.settle();
    room.stop();
    for _ in 0..8 {
        room.peer(busy).peer_sends(1);
        room.pass(DRAIN_QUIET / 2);
    }
    assert!(room.peer(quiet).is_shut() && !room.peer(busy).is_shut() && !room.peer(slow).is_shut());
    room.pass(DRAIN_QUIET * 2);
    assert!(room.peer(busy).is_shut() && !room.peer(slow).is_shut());
    room.peer(slow).peer_receives(usize::MAX);
    room.settle();
    room.peer(slow).peer_receives(usize::MAX);
    room.pass(DRAIN_QUIET * 2);
    assert!(room.peer(slow).is_shut());
    assert_eq!(room.peer(slow).received.len(), 200);
    room.pass(LINGER_STOPPING.most);
    assert_eq!(room.closed().drained, 3);
}

/// A whole server in simulation found it: its wait for an end of file was over before it had been waited for.
#[test]
fn who_has_ended_and_takes_its_time_is_not_cut_short_by_a_stop() {
    let mut room = Room::with(Echo, |config| config.write_stall_timeout = None);
    let slow = room.connect();
    room.peer(slow).peer_sends(200);
    room.peer(slow).peer_ends();
    room.settle();
    room.stop();
    for _ in 0..3 {
        room.pass(LINGER_STOPPING.quiet);
        assert_eq!(room.clients.len(), 1, "it is owed something");
    }
    room.peer(slow).peer_receives(usize::MAX);
    room.settle();
    assert_eq!(room.peer(slow).sent_back().count(), 200);
    assert_eq!(room.closed().peer_closed, 1);
}

#[test]
fn an_abort_is_one_for_those_who_are_owed_something() {
    let mut room = Room::new(Echo);
    let (_idle, owed, unread) = (room.connect(), room.connect(), room.connect());
    room.peer(owed).peer_sends(200);
    room.settle();
    room.peer(unread).peer_sends(1);
    room.events_for(unread);
    room.clients.abort(&mut room.service);
    let closed = room.closed();
    assert_eq!((closed.aborted, closed.drained), (2, 1));

    let mut room = Room::new(Quit);
    let client = room.connect();
    room.peer(client).peer_sends(1);
    room.settle();
    room.clients.abort(&mut room.service);
    assert_eq!(room.closed().hung_up, 1, "it was only waited for");
}

/// Pitfall 24: an event for a client that has gone finds nobody, and is counted.
#[test]
fn pitfall_24_an_event_for_a_client_that_has_gone_touches_nobody() {
    let mut room = Room::new(Echo);
    let gone = room.connect();
    room.peer(gone).peer_ends();
    room.settle();
    let next = room.connect();
    room.settle();
    let (key, seen) = (room.peers[gone].0, Readiness::of(true, true));
    room.clients.ready(key, seen);
    assert!(!room.clients.is_runnable());
    assert_eq!(room.clients.counters().stale_events, 1);
    room.peer(next).peer_sends(3);
    room.settle();
    assert_eq!(room.peer(next).sent_back().count(), 3);
}

/// A deadline can't be taken back, so those of clients that have left must be dropped some time.
#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let mut room = Room::new(Echo);
    let stays = room.connect();
    for _ in 0..20_000 {
        let client = room.connect();
        room.peer(client).peer_resets();
        room.events_for(client);
        room.turn();
        assert!(
            room.clients.deadlines.len() <= 2_000,
            "{} deadlines",
            room.clients.deadlines.len()
        );
        room.peers.truncate(1);
    }
    room.peer(stays).peer_sends(3);
    room.settle();
    assert_eq!(room.peer(stays).sent_back().count(), 3);
    assert_eq!(room.closed().reset, 20_000);
}

#[test]
fn the_memory_of_a_large_answer_is_given_back() {
    struct Shout;
    impl Service for Shout {
        fn receive(&mut self, _: ClientId, _: &[u8], reply: &mut Reply<'_>) {
            reply.send(&[7; 1 << 20]);
        }
    }
    let mut room = Room::new(Shout);
    let client = room.connect();
    room.peer(client).peer_sends(1);
    room.settle();
    assert_eq!(room.clients.pump.kept(), 0);
}
