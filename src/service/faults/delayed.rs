//! A service that holds every answer back for a while.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::{Delay, Fault, FaultTally, Random};
use crate::connection::{Answer, CloseReason, Reply};
use crate::service::{ClientId, Order, Service};

/// How many answers a client is promised before it is not read from. Enough not to hold up one that sends
/// 100,000 messages a second, each answered after 150 ms; and a bound, 16 MiB with messages of 1 KiB.
pub const DELAYED_MAX: u32 = 16 * 1024;

/// How many answers to clients that have left are kept before they are looked for and dropped.
const FORGOTTEN_MAX: usize = 1024;

/// Answers as another service does, but later: each answer is held back for a time of its own.
///
/// # Order
///
/// The answers to one client stay in order, so one that would be due before an earlier one is due together
/// with it.
///
/// # When a message was read
///
/// An answer's time counts from when its message was read, and a turn can be long. So this service alone
/// asks the time for each message, by the clock it is given; answers are due by the time of the turn.
///
/// # A stop
///
/// When the server stops, every answer is due at once, and none is held back any more.
#[derive(Debug)]
pub struct Delayed<S, C = fn() -> Instant> {
    service: S,
    delay: Option<Delay>,
    random: Random,
    clock: C,
    /// Up to when answers are due.
    now: Option<Instant>,
    /// Answers held back, the first due first.
    answers: BinaryHeap<Reverse<Late>>,
    /// The number of the last one.
    number: u64,
    /// Those for whom answers are held back.
    waiting: HashMap<ClientId, Waiting>,
    /// How many answers are held back for clients that have left.
    forgotten: usize,
    stopping: bool,
    output: Vec<u8>,
    tally: Arc<FaultTally>,
}

/// What is held back for a client.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// How many orders.
    count: usize,
    /// When the last of them is due.
    last: Instant,
}

/// An order that is not yet given.
#[derive(Debug)]
struct Late {
    due: Instant,
    number: u64,
    order: Order,
}

impl<S, C: Fn() -> Instant> Delayed<S, C> {
    /// Answers as `service` does, but after `delay`, if there is one. What is random about it is drawn from
    /// `seed`; `clock` says what time it is; answers held back are counted in `tally`.
    pub fn new(
        service: S,
        delay: Option<Delay>,
        seed: u64,
        clock: C,
        tally: Arc<FaultTally>,
    ) -> Self {
        Self {
            service,
            delay,
            random: Random::new(seed),
            clock,
            now: None,
            answers: BinaryHeap::new(),
            number: 0,
            waiting: HashMap::new(),
            forgotten: 0,
            stopping: false,
            output: Vec::new(),
            tally,
        }
    }

    /// Gives `order` at `due`, but not before what `client` is to get first.
    fn hold(&mut self, client: ClientId, due: Instant, order: Order) {
        let waiting = self.waiting.entry(client).or_insert(Waiting {
            count: 0,
            last: due,
        });
        waiting.count += 1;
        waiting.last = waiting.last.max(due);
        self.number += 1;
        self.answers.push(Reverse(Late {
            due: waiting.last,
            number: self.number,
            order,
        }));
    }

    /// Takes the first order that is due.
    fn due(&mut self) -> Option<Order> {
        loop {
            let Reverse(first) = self.answers.peek()?;
            if !self.stopping && self.now.is_none_or(|now| now < first.due) {
                return None;
            }
            let Reverse(Late { order, .. }) = self.answers.pop()?;
            let Some(waiting) = self.waiting.get_mut(&order.client()) else {
                self.forgotten -= 1;
                continue;
            };
            waiting.count -= 1;
            if waiting.count == 0 {
                self.waiting.remove(&order.client());
            }
            if matches!(order, Order::Answer(..)) {
                self.tally.count(Fault::Delayed);
            }
            return Some(order);
        }
    }
}

impl<S: Service, C: Fn() -> Instant> Service for Delayed<S, C> {
    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        let Some(delay) = self.delay.filter(|_| !self.stopping) else {
            return self.service.receive(client, message, reply);
        };
        let read = (self.clock)();
        let service = &mut self.service;
        let answer = Answer::to_one(message, &mut self.output, |message, reply| {
            service.receive(client, message, reply);
        });
        for _ in 0..answer.deferred {
            reply.defer();
        }
        let bytes = (!answer.bytes.is_empty()).then(|| answer.bytes.into());
        let hung_up = answer.hung_up;
        let due = read + delay.draw(&mut self.random);
        if let Some(bytes) = bytes {
            reply.defer();
            self.hold(client, due, Order::Answer(client, bytes));
        }
        if hung_up {
            self.hold(client, due, Order::HangUp(client));
        }
    }

    fn promises_max(&self) -> u32 {
        let service = self.service.promises_max();
        self.delay.map_or(service, |_| service.max(DELAYED_MAX))
    }

    fn opened(&mut self, client: ClientId, address: SocketAddr) {
        self.service.opened(client, address);
    }

    fn ended(&mut self, client: ClientId) {
        self.service.ended(client);
    }

    fn closed(&mut self, client: ClientId, reason: CloseReason) {
        if let Some(waiting) = self.waiting.remove(&client) {
            self.forgotten += waiting.count;
            if self.forgotten > self.answers.len() / 2 + FORGOTTEN_MAX {
                let waiting = &self.waiting;
                self.answers
                    .retain(|Reverse(held)| waiting.contains_key(&held.order.client()));
                self.forgotten = 0;
            }
        }
        self.service.closed(client, reason);
    }

    fn undelivered(&mut self, client: ClientId) {
        self.service.undelivered(client);
    }

    fn stopping(&mut self) {
        self.stopping = true;
        self.service.stopping();
    }

    fn wake(&mut self, now: Instant) -> Option<Instant> {
        self.now = Some(now);
        let due = self.answers.peek().map(|Reverse(held)| held.due);
        due.into_iter().chain(self.service.wake(now)).min()
    }

    fn overhear(&mut self, source: SocketAddr, message: &[u8]) {
        self.service.overhear(source, message);
    }

    fn order(&mut self) -> Option<Order> {
        self.service.order().or_else(|| self.due())
    }
}

impl Ord for Late {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Late {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;
    use crate::service::Echo;

    const MS: Duration = Duration::from_millis(1);

    fn client(number: u64) -> ClientId {
        ClientId::new(number)
    }

    /// Hands over `message`, which nothing may be answered at once. Returns how many answers are promised.
    fn ask(service: &mut impl Service, number: u64, message: &[u8]) -> u32 {
        let mut output = Vec::new();
        let answer = Answer::to_one(message, &mut output, |message, reply| {
            service.receive(client(number), message, reply);
        });
        assert!(answer.bytes.is_empty() && !answer.hung_up);
        answer.deferred
    }

    fn order(number: u64, bytes: &[u8]) -> Order {
        Order::Answer(client(number), bytes.into())
    }

    /// What is ordered at `now`.
    fn orders(service: &mut impl Service, now: Instant) -> Vec<Order> {
        service.wake(now);
        std::iter::from_fn(|| service.order()).collect()
    }

    #[test]
    fn an_answer_comes_its_delay_after_its_message_was_read() {
        let start = Instant::now();
        let clock = Cell::new(start);
        let tally = Arc::new(FaultTally::default());
        let delay = Some(Delay::Constant(2 * MS));
        let mut delayed = Delayed::new(Echo, delay, 1, || clock.get(), tally.clone());
        assert_eq!(delayed.wake(start), None);
        assert_eq!(ask(&mut delayed, 1, b"a"), 1);
        clock.set(start + MS);
        assert_eq!(ask(&mut delayed, 2, b"b"), 1);
        assert_eq!(delayed.wake(start), Some(start + 2 * MS));
        assert_eq!(
            orders(&mut delayed, start + 2 * MS - Duration::from_nanos(1)),
            []
        );
        assert_eq!(orders(&mut delayed, start + 2 * MS), [order(1, b"a")]);
        assert_eq!(delayed.wake(start + 2 * MS), Some(start + 3 * MS));
        assert_eq!(orders(&mut delayed, start + 9 * MS), [order(2, b"b")]);
        assert_eq!(delayed.wake(start + 9 * MS), None);
        assert!(delayed.waiting.is_empty());
        assert_eq!(tally.counters().delayed, 2);
    }

    #[test]
    fn answers_to_one_client_stay_in_order_and_do_not_wait_for_another() {
        let start = Instant::now();
        let delay = Some(Delay::Exponential(2 * MS));
        let mut delayed = Delayed::new(Echo, delay, 1, || start, Arc::default());
        for message in 0..100 {
            ask(&mut delayed, u64::from(message % 2), &[message]);
        }
        let mut given = Vec::new();
        let mut times = Vec::new();
        while let Some(next) = delayed.wake(start) {
            let due = orders(&mut delayed, next);
            times.extend(due.iter().map(|order| (order.client(), next)));
            given.extend(due);
        }
        for number in 0..2 {
            let expected: Vec<Order> = (0..100)
                .filter(|message| u64::from(message % 2) == number)
                .map(|message| order(number, &[message]))
                .collect();
            let mut of_one = given.clone();
            of_one.retain(|order| order.client() == client(number));
            assert_eq!(of_one, expected);
        }
        let alternating = times
            .windows(2)
            .filter(|pair| pair[0].0 != pair[1].0)
            .count();
        assert!(alternating < 90, "each has times of its own");
    }

    #[test]
    fn nothing_is_promised_for_no_answer_and_a_hang_up_waits_its_turn() {
        struct Quit;
        impl Service for Quit {
            fn receive(&mut self, _: ClientId, message: &[u8], reply: &mut Reply<'_>) {
                match message {
                    b"quit" => reply.hang_up(),
                    b"bye" => {
                        reply.echo();
                        reply.hang_up();
                    }
                    _ => {}
                }
            }
        }
        let start = Instant::now();
        let delay = Some(Delay::Constant(MS));
        let tally = Arc::new(FaultTally::default());
        let mut delayed = Delayed::new(Quit, delay, 1, || start, tally.clone());
        assert_eq!(ask(&mut delayed, 1, b"nothing"), 0);
        assert_eq!(delayed.wake(start), None);
        assert_eq!(ask(&mut delayed, 1, b"quit"), 0);
        assert_eq!(ask(&mut delayed, 2, b"bye"), 1);
        let expected = [
            Order::HangUp(client(1)),
            order(2, b"bye"),
            Order::HangUp(client(2)),
        ];
        assert_eq!(orders(&mut delayed, start + MS), expected);
        assert_eq!(tally.counters().delayed, 1);
    }

    #[test]
    fn a_stop_makes_every_answer_due_and_holds_none_back() {
        let start = Instant::now();
        let delay = Some(Delay::Constant(1000 * MS));
        let mut delayed = Delayed::new(Echo, delay, 1, || start, Arc::default());
        ask(&mut delayed, 1, b"a");
        delayed.stopping();
        assert_eq!(orders(&mut delayed, start), [order(1, b"a")]);
        let mut output = Vec::new();
        let answer = Answer::to_one(b"b", &mut output, |message, reply| {
            delayed.receive(client(1), message, reply);
        });
        assert_eq!((answer.bytes, answer.deferred), (&b"b"[..], 0));
    }

    /// Clients may come, ask and go for as long as they like, and answers be held back for hours.
    #[test]
    fn answers_to_those_who_have_left_are_forgotten() {
        let start = Instant::now();
        let delay = Some(Delay::Constant(3_600_000 * MS));
        let mut delayed = Delayed::new(Echo, delay, 1, || start, Arc::default());
        ask(&mut delayed, 0, b"stays");
        for number in 1..10_000 {
            ask(&mut delayed, number, b"goes");
            delayed.closed(client(number), CloseReason::PeerClosed);
            assert!(delayed.answers.len() <= 2 * FORGOTTEN_MAX + 4);
        }
        let later = start + 3_600_000 * MS;
        assert_eq!(orders(&mut delayed, later), [order(0, b"stays")]);
        assert_eq!((delayed.answers.len(), delayed.forgotten), (0, 0));
    }
}
