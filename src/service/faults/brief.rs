//! A service that says so much to each client, and hangs up.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::{Fault, FaultTally};
use crate::connection::{Answer, CloseReason, Reply};
use crate::service::{ClientId, Order, Service};

/// Answers as another service does, but ends each conversation behind so many bytes of answers, in the
/// middle of one if need be. What the other orders is not counted.
#[derive(Debug)]
pub struct Brief<S> {
    service: S,
    limit: Option<u64>,
    /// How many bytes may still be said to those who have been said something.
    left: HashMap<ClientId, u64>,
    output: Vec<u8>,
    tally: Arc<FaultTally>,
}

impl<S> Brief<S> {
    /// Answers as `service` does, at most `limit` bytes if there is one, and counts in `tally`.
    pub fn new(service: S, limit: Option<u64>, tally: Arc<FaultTally>) -> Self {
        Self {
            service,
            limit,
            left: HashMap::new(),
            output: Vec::new(),
            tally,
        }
    }
}

impl<S: Service> Service for Brief<S> {
    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        let Some(limit) = self.limit else {
            return self.service.receive(client, message, reply);
        };
        let known = self.left.get(&client).copied();
        if known == Some(0) {
            // It has been hung up on already, and has sent this before it knew.
            return;
        }
        let left = known.unwrap_or(limit);
        let service = &mut self.service;
        let answer = Answer::to_one(message, &mut self.output, |message, reply| {
            service.receive(client, message, reply);
        });
        let count =
            usize::try_from(left).map_or(answer.bytes.len(), |left| answer.bytes.len().min(left));
        reply.send(&answer.bytes[..count]);
        for _ in 0..answer.deferred {
            reply.defer();
        }
        let left = left - count as u64;
        if left == 0 {
            self.tally.count(Fault::Closed);
        }
        if left == 0 || answer.hung_up {
            reply.hang_up();
        }
        self.left.insert(client, left);
    }

    fn promises_max(&self) -> u32 {
        self.service.promises_max()
    }

    fn opened(&mut self, client: ClientId, address: SocketAddr) {
        self.service.opened(client, address);
    }

    fn ended(&mut self, client: ClientId) {
        self.service.ended(client);
    }

    fn closed(&mut self, client: ClientId, reason: CloseReason) {
        self.left.remove(&client);
        self.service.closed(client, reason);
    }

    fn undelivered(&mut self, client: ClientId) {
        self.service.undelivered(client);
    }

    fn stopping(&mut self) {
        self.service.stopping();
    }

    fn wake(&mut self, now: Instant) -> Option<Instant> {
        self.service.wake(now)
    }

    fn overhear(&mut self, source: SocketAddr, message: &[u8]) {
        self.service.overhear(source, message);
    }

    fn order(&mut self) -> Option<Order> {
        self.service.order()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Echo;

    /// What `client` gets for `input`, in messages of three bytes, and whether it is hung up on.
    fn say(brief: &mut Brief<Echo>, client: u64, input: &[u8]) -> (Vec<u8>, bool) {
        let mut output = Vec::new();
        let size = 3.try_into().unwrap();
        let answer = Answer::to_many(input, &mut output, size, |message, reply| {
            brief.receive(ClientId::new(client), message, reply);
        });
        (answer.bytes.to_vec(), answer.hung_up)
    }

    #[test]
    fn a_conversation_ends_at_the_byte_for_each_client_by_itself() {
        let tally = Arc::new(FaultTally::default());
        let mut brief = Brief::new(Echo, Some(7), tally.clone());
        assert_eq!(say(&mut brief, 1, b"abcdef"), (b"abcdef".to_vec(), false));
        assert_eq!(
            say(&mut brief, 2, b"abcdefghij"),
            (b"abcdefg".to_vec(), true)
        );
        assert_eq!(say(&mut brief, 1, b"ghi"), (b"g".to_vec(), true));
        assert_eq!(say(&mut brief, 1, b"jkl"), (b"".to_vec(), false));
        assert_eq!(tally.counters().closed, 2);
        brief.closed(ClientId::new(1), CloseReason::HungUp);
        assert_eq!(brief.left.len(), 1, "who has left is forgotten");
    }

    #[test]
    fn no_bytes_are_an_end_at_the_first_message_and_no_limit_is_none() {
        let tally = Arc::new(FaultTally::default());
        let mut mute = Brief::new(Echo, Some(0), tally.clone());
        assert_eq!(say(&mut mute, 1, b"abc"), (b"".to_vec(), true));
        assert_eq!(tally.counters().closed, 1);
        let mut endless = Brief::new(Echo, None, tally.clone());
        assert_eq!(say(&mut endless, 1, &[7; 999]), (vec![7; 999], false));
        assert_eq!(tally.counters().closed, 1);
    }
}
