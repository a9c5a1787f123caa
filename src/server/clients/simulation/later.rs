//! A service that answers when it is told to, long after it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::room::{IDLE, Room};
use super::seeds::{Random, live_all};
use crate::connection::{CloseReason, DEFERRED_MAX, Reply};
use crate::service::{ClientId, Order, Service};

/// Keeps every message until the test lets it answer.
#[derive(Default)]
struct Later {
    asked: VecDeque<(ClientId, Vec<u8>)>,
    orders: VecDeque<Order>,
    open: Vec<ClientId>,
    ended: Vec<ClientId>,
    closed: Vec<(ClientId, CloseReason)>,
    undelivered: usize,
    /// How many answers it promises a client, if not the usual number.
    most: Option<u32>,
}

impl Later {
    /// Echoes the message that has waited in place `index`.
    fn answer(&mut self, index: usize) {
        let (client, message) = self.asked.remove(index).unwrap();
        self.orders.push_back(Order::Send(client, message.into()));
        self.orders.push_back(Order::Answered(client));
    }
}

impl Service for Later {
    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        assert!(self.open.contains(&client), "a message from nobody");
        self.asked.push_back((client, message.to_vec()));
        reply.defer();
    }

    fn promises_max(&self) -> u32 {
        self.most.unwrap_or(DEFERRED_MAX)
    }

    fn opened(&mut self, client: ClientId, _: SocketAddr) {
        self.open.push(client);
    }

    fn ended(&mut self, client: ClientId) {
        self.ended.push(client);
    }

    fn closed(&mut self, client: ClientId, reason: CloseReason) {
        self.open.retain(|&open| open != client);
        self.closed.push((client, reason));
    }

    fn undelivered(&mut self, _: ClientId) {
        self.undelivered += 1;
    }

    fn order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}

#[test]
fn an_answer_reaches_a_client_that_has_ended_its_side() {
    let mut room = Room::new(Later::default());
    let client = room.connect();
    room.peer(client).peer_sends(20);
    room.peer(client).peer_ends();
    room.settle();
    assert_eq!(room.service.asked.len(), 2, "messages of at most 16 bytes");
    assert!(!room.service.ended.is_empty() && room.service.closed.is_empty());
    room.pass(IDLE * 3);
    assert_eq!(
        room.clients.len(),
        1,
        "its answer is not late, it is ours to give"
    );
    room.service.answer(0);
    room.settle();
    assert_eq!(
        (room.clients.len(), room.peer(client).sent_back().count()),
        (1, 16)
    );
    room.service.answer(0);
    room.settle();
    assert_eq!(room.peer(client).sent_back().count(), 20);
    let id = room.peers[client].0.client();
    assert_eq!(room.service.closed, [(id, CloseReason::PeerClosed)]);
}

#[test]
fn who_is_promised_answers_is_not_idle_and_who_has_got_them_is() {
    let mut room = Room::new(Later::default());
    let client = room.connect();
    room.peer(client).peer_sends(5);
    room.settle();
    room.pass(IDLE * 3);
    assert!(!room.peer(client).is_shut());
    room.service.answer(0);
    room.settle();
    room.pass(IDLE * 2);
    assert!(room.peer(client).is_shut());
}

#[test]
fn unanswered_messages_of_one_client_are_bounded_and_nothing_is_lost() {
    for most in [None, Some(50)] {
        let service = Later {
            most,
            ..Later::default()
        };
        let most = service.promises_max() as usize;
        let mut room = Room::new(service);
        let client = room.connect();
        let mut sent = 0;
        for _ in 0..100 {
            room.peer(client).peer_sends(16);
            room.settle();
            sent = room.peer(client).sent;
        }
        let waiting = room.service.asked.len();
        // A read brings at most four messages here.
        assert!((most..most + 4).contains(&waiting), "{waiting}");
        for _ in 0..300 {
            if !room.service.asked.is_empty() {
                room.service.answer(0);
            }
            room.settle();
            room.peer(client).peer_receives(usize::MAX);
        }
        assert_eq!(room.peer(client).received.len(), sent);
    }
}

#[test]
fn who_is_hung_up_on_or_drained_awaits_no_answers() {
    for drained in [false, true] {
        let mut room = Room::new(Later::default());
        let (talking, ended) = (room.connect(), room.connect());
        for client in [talking, ended] {
            room.peer(client).peer_sends(5);
        }
        room.peer(ended).peer_ends();
        room.settle();
        if drained {
            room.stop();
            room.peer(talking).peer_sends(5);
        } else {
            for client in [talking, ended] {
                let id = room.peers[client].0.client();
                room.service.orders.push_back(Order::HangUp(id));
            }
        }
        room.settle();
        assert_eq!(room.clients.len(), 1, "drained: {drained}");
        room.pass(IDLE);
        assert!(room.peer(talking).is_shut(), "drained: {drained}");
        room.peer(talking).peer_ends();
        room.settle();
        assert_eq!(room.clients.len(), 0);
        room.service.answer(0);
        room.settle();
    }
}

/// A reset is the end, also of who is only waited for by us: no read and no write would tell.
#[test]
fn a_reset_client_is_not_kept_for_its_answers() {
    for ended in [false, true] {
        let mut room = Room::new(Later::default());
        let client = room.connect();
        for _ in 0..20 {
            room.peer(client).peer_sends(16);
            room.settle();
        }
        if ended {
            room.service.answer(0);
            room.service.answer(0);
            room.service.answer(0);
            room.service.answer(0);
            room.peer(client).peer_ends();
        }
        room.settle();
        assert_eq!(room.clients.len(), 1);
        room.peer(client).peer_resets();
        room.settle();
        assert_eq!(room.clients.len(), 0, "ended: {ended}");
        assert_eq!(room.closed().reset, 1);
        assert_eq!(room.service.closed.len(), 1);
    }
}

/// What an operator goes on sending to a client that takes nothing is bounded by the high watermark.
#[test]
fn who_does_not_take_what_it_is_sent_is_not_sent_more() {
    let mut room = Room::new(Later::default());
    let client = room.connect();
    let id = room.peers[client].0.client();
    for _ in 0..50 {
        room.service
            .orders
            .push_back(Order::Send(id, [7; 20].into()));
        room.settle();
    }
    // The kernel takes some, and what is owed stays below the watermark and a message.
    let sent = 50 - room.service.undelivered;
    assert!((10..30).contains(&sent), "{sent} of 50");
}

/// Its messages have been taken from it: what they are answered with can't be dropped.
#[test]
fn answers_that_were_promised_are_given_whether_they_are_taken_or_not() {
    for ended in [false, true] {
        let service = Later {
            most: Some(100),
            ..Later::default()
        };
        let mut room = Room::new(service);
        let client = room.connect();
        for _ in 0..40 {
            room.peer(client).peer_sends(16);
            room.settle();
        }
        if ended {
            room.peer(client).peer_ends();
            room.settle();
        }
        assert_eq!(room.service.asked.len(), 40);
        for (id, message) in std::mem::take(&mut room.service.asked) {
            let order = Order::Answer(id, message.into());
            room.service.orders.push_back(order);
        }
        room.settle();
        assert_eq!(room.clients.len(), 1, "it has more to take");
        for _ in 0..20 {
            room.peer(client).peer_receives(usize::MAX);
            room.settle();
        }
        assert_eq!(room.peer(client).sent_back().count(), 640);
        assert_eq!(room.service.undelivered, 0);
        assert_eq!(room.clients.len(), usize::from(!ended));
    }
}

/// Many clients, answers out of order, orders about clients that have left; then everyone is answered and
/// falls silent, and the room must empty by itself.
fn live(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut room = Room::new(Later::default());
    for _ in 0..400 {
        if room.clients.free() > 0 && random.below(5) == 0 {
            room.connect();
            continue;
        }
        if room.peers.is_empty() {
            continue;
        }
        let number = random.below(room.peers.len());
        let id = room.peers[number].0.client();
        match random.below(12) {
            0..=2 => room.peer(number).peer_sends(1 + random.below(60)),
            3 => room.peer(number).peer_receives(1 + random.below(200)),
            4..=5 => room.events_for(number),
            6..=7 => room.turn(),
            8..=9 if !room.service.asked.is_empty() => {
                let index = random.below(room.service.asked.len());
                room.service.answer(index);
            }
            10 => room.peer(number).peer_ends(),
            11 if random.below(8) == 0 => room.peer(number).peer_resets(),
            11 if random.below(4) == 0 => room.service.orders.push_back(Order::HangUp(id)),
            _ => room
                .service
                .orders
                .push_back(Order::Send(id, b"unasked".as_slice().into())),
        }
    }
    let mut answered = 0;
    loop {
        room.settle();
        if room.service.asked.is_empty() {
            break;
        }
        room.service.answer(0);
        answered += 1;
        for number in 0..room.peers.len() {
            room.peer(number).peer_receives(usize::MAX);
        }
    }
    room.pass(std::time::Duration::from_secs(120));
    assert_eq!(room.clients.len(), 0, "somebody was forgotten");
    assert!(room.service.open.is_empty(), "somebody's end was not told");
    assert_eq!(room.service.closed.len(), room.peers.len());
    answered
}

#[test]
fn random_rooms_with_late_answers_empty_by_themselves() {
    const SEEDS: u64 = 300;
    if let Some(answered) = live_all(SEEDS, live) {
        assert!(answered > 1_000, "too little happened: {answered} answers");
    }
}
