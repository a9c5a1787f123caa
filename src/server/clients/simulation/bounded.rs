//! How much one loop iteration does, and who gets how much of it.

use std::time::Duration;

use super::super::iteration::CLIENT_COST;
use super::room::{IDLE, MOMENT, Room};
use crate::reactor::EVENTS_PER_POLL;
use crate::server::Config;
use crate::service::Echo;

/// The budget of an iteration, in clients that are served and move hardly anything.
const BUDGET: usize = 32;

/// One iteration serves no more than that: one client of each queue is always served.
const SERVED_MAX: usize = BUDGET + 3;

/// What a client of a room may move in an iteration: its read budget in, and as much out.
const MOVED_EACH: u64 = 2 * 128;

fn crowded(clients: usize) -> Room<Echo> {
    let mut room = Room::with(Echo, |config| {
        config.max_conns = clients;
        config.iteration_budget = BUDGET * CLIENT_COST;
    });
    for _ in 0..clients {
        room.connect();
    }
    room.settle();
    room
}

impl Room<Echo> {
    fn moved_bytes(&self) -> u64 {
        let moved = self.clients.counters().moved;
        moved.received_bytes + moved.discarded_bytes + moved.sent_bytes
    }

    /// The first `count` peers send, and events report it.
    fn burst(&mut self, count: usize) {
        for number in 0..count {
            self.peer(number).peer_sends(200);
            self.events_for(number);
        }
    }

    /// How many clients have had their deadline.
    fn count_ending(&self) -> usize {
        let clients = self.clients.slots.values();
        let ending = clients.filter(|client| !client.peer.connection.is_going_on());
        ending.count()
    }

    /// Runs one iteration, and returns the bytes that it moved.
    fn iteration(&mut self) -> u64 {
        let before = self.moved_bytes();
        self.turn();
        self.moved_bytes() - before
    }
}

#[test]
fn default_budget_serves_all_clients_of_one_poll_that_have_little_to_say() {
    assert!(Config::new().iteration_budget > EVENTS_PER_POLL * CLIENT_COST);
}

#[test]
fn one_iteration_moves_a_bounded_number_of_bytes_however_many_clients_are_ready() {
    let mut room = crowded(1_000);
    room.burst(999);
    let mut iterations = 0;
    while room.clients.is_runnable() {
        let moved = room.iteration();
        assert!(moved <= SERVED_MAX as u64 * MOVED_EACH, "{moved} bytes");
        iterations += 1;
    }
    assert!(iterations >= 1_000 / SERVED_MAX, "{iterations}");
    assert!(room.clients.counters().full_iterations > 0);
    for number in 0..999 {
        assert_eq!(
            room.peer(number).sent_back().count(),
            100,
            "the kernel's room"
        );
    }
}

#[test]
fn quiet_client_is_served_in_the_next_iteration_while_a_burst_waits() {
    let mut room = crowded(1_000);
    let quiet = 999;
    room.burst(quiet);
    room.turn();
    for _ in 0..5 {
        room.peer(quiet).peer_sends(1);
        room.events_for(quiet);
        let before = room.peer(quiet).sent_back().count();
        room.turn();
        assert_eq!(room.peer(quiet).sent_back().count(), before + 1);
        assert!(room.clients.is_runnable(), "the burst still waits");
    }
}

#[test]
fn quiet_client_that_comes_last_of_a_great_burst_is_served_first() {
    let mut room = crowded(1_000);
    let quiet = 999;
    room.burst(quiet);
    room.peer(quiet).peer_sends(1);
    room.events_for(quiet);
    room.turn();
    assert_eq!(room.peer(quiet).sent_back().count(), 1);
}

/// Bulk clients are recognised by what they did last, so that a steady stream of them does not
/// take the place of quiet ones.
#[test]
fn clients_that_send_much_again_and_again_do_not_delay_a_quiet_one() {
    let mut room = crowded(400);
    let quiet = 399;
    room.burst(quiet);
    room.settle();
    for _ in 0..20 {
        for number in 0..quiet {
            room.peer(number).peer_receives(usize::MAX);
        }
        room.burst(quiet);
        room.peer(quiet).peer_sends(1);
        room.events_for(quiet);
        let before = room.peer(quiet).sent_back().count();
        room.turn();
        assert_eq!(room.peer(quiet).sent_back().count(), before + 1);
        room.peer(quiet).peer_receives(usize::MAX);
    }
}

#[test]
fn quiet_clients_that_an_iteration_leaves_over_are_served_before_bulk_clients() {
    let (mut room, bulk, quiet) = (crowded(600), 400, 150);
    room.burst(bulk);
    room.settle();
    for number in 0..bulk {
        room.peer(number).peer_receives(usize::MAX);
    }
    room.burst(bulk);
    for number in bulk..bulk + quiet {
        room.peer(number).peer_sends(1);
        room.events_for(number);
    }
    let all_but_a_quarter = BUDGET - BUDGET / 4;
    for _ in 0..=quiet / all_but_a_quarter {
        assert!(room.clients.is_runnable());
        room.turn();
    }
    let late = (bulk..bulk + quiet).filter(|&number| room.peer(number).sent_back().count() == 0);
    assert_eq!(late.count(), 0, "quiet clients wait for bulk clients");
    assert!(room.clients.is_runnable(), "the bulk clients still wait");
}

#[test]
fn clients_left_over_get_a_share_however_many_come_later() {
    let (mut room, burst, others) = (crowded(1_000), 200, 50);
    let comes = |room: &mut Room<Echo>, first: usize| {
        for number in first..first + others {
            room.peer(number).peer_receives(usize::MAX);
            room.peer(number).peer_sends(1);
            room.events_for(number);
        }
        room.turn();
    };
    for number in 0..burst {
        room.peer(number).peer_sends(1);
        room.events_for(number);
    }
    for turn in 0..2 * burst / (BUDGET / 4) {
        comes(&mut room, burst + turn % 10 * others);
    }
    let late = (0..burst).filter(|&number| room.peer(number).sent_back().count() == 0);
    assert_eq!(late.count(), 0, "the last to come always take their place");
}

#[test]
fn clients_that_wait_get_a_share_of_every_iteration_however_many_quiet_ones_come() {
    let mut room = crowded(1_000);
    let burst = 900;
    room.burst(burst);
    room.turn();
    let replies = |room: &mut Room<Echo>| -> usize {
        (0..burst)
            .map(|number| room.peer(number).sent_back().count())
            .sum()
    };
    for _ in 0..20 {
        for number in burst..1_000 {
            room.peer(number).peer_receives(usize::MAX);
            room.peer(number).peer_sends(1);
            room.events_for(number);
        }
        let before = replies(&mut room);
        room.turn();
        assert!(
            replies(&mut room) > before,
            "no client of the burst was served"
        );
    }
}

#[test]
fn clients_that_become_idle_together_are_closed_over_several_iterations() {
    let clients = 1_000;
    let mut room = crowded(clients);
    room.now += IDLE + MOMENT;
    let mut iterations = 0;
    let (mut shut, mut ending) = (0, 0);
    loop {
        room.turn();
        let before = std::mem::replace(&mut ending, room.count_ending());
        assert!(ending - before <= SERVED_MAX, "{ending} after {before}");
        let before = std::mem::replace(&mut shut, room.count_shut());
        assert!(
            shut - before <= SERVED_MAX,
            "{} in one iteration",
            shut - before
        );
        if shut == clients {
            break;
        }
        iterations += 1;
        assert!(room.has_more_to_do(), "{shut} of {clients} were closed");
    }
    assert!(iterations >= clients / SERVED_MAX, "{iterations}");
    for number in 0..clients {
        room.peer(number).peer_ends();
    }
    room.settle();
    assert_eq!(room.closed().idle_timeout, clients as u64);
}

/// The kernel frees what it has buffered for them.
#[test]
fn clients_that_have_not_read_everything_are_closed_over_several_iterations() {
    let clients = 200;
    let mut room = crowded(clients);
    room.burst(clients);
    room.settle();
    for number in 0..clients {
        room.peer(number).peer_resets();
        room.events_for(number);
    }
    while room.clients.len() > 0 {
        let before = room.clients.len();
        room.turn();
        let closed = before - room.clients.len();
        assert!(closed <= BUDGET / 8 + 3, "{closed} in one iteration");
    }
}

#[test]
fn the_smallest_budget_still_serves_every_client() {
    let mut room = Room::with(Echo, |config| config.iteration_budget = 1);
    let clients: Vec<usize> = (0..40).map(|_| room.connect()).collect();
    room.settle();
    for round in 1..4 {
        for &client in &clients {
            room.peer(client).peer_sends(10);
        }
        room.settle();
        for &client in &clients {
            assert_eq!(room.peer(client).sent_back().count(), round * 10);
        }
    }
    room.pass(IDLE * 2);
    assert!(clients.iter().all(|&client| room.peer(client).is_shut()));
}

/// To close a sixteenth of the clients at once took as long as 4,096 closes take.
#[test]
fn one_client_over_the_total_of_unsent_bytes_closes_few_others() {
    let mut room = Room::with(Echo, |config| {
        config.max_conns = 500;
        config.unsent_max = Some(20_000);
        config.write_stall_timeout = None;
        config.idle_timeout = None;
    });
    for _ in 0..500 {
        let client = room.connect();
        room.peer(client).peer_sends(200);
        room.settle();
        let before = room.closed().owed_too_much;
        room.peer(client).peer_sends(100);
        room.settle();
        let closed = room.closed().owed_too_much - before;
        assert!(closed <= 2, "{closed} closed for 100 bytes");
        assert!(room.clients.unsent_bytes() <= 20_000);
    }
    assert!(room.closed().owed_too_much > 200);
    let reset = (0..500).filter(|&number| room.peer(number).resets_on_close);
    assert_eq!(reset.count() as u64, room.closed().owed_too_much);
    room.pass(Duration::from_secs(1));
}
