//! What to answer, whether to, and what to show of it: services, UDP abuse protection, and the
//! sanitizer in front of a person.
//!
//! Pure: bytes and addresses in, bytes and verdicts out. Nothing here reads, writes or looks at a clock.

mod bucket;
mod console;
mod display;
mod faults;
mod guard;
mod language;
mod network;
mod phrases;
mod rate_table;
mod repeat;
mod sanitizer;

pub(crate) use bucket::{Bucket, Refill};
pub use console::{COMMANDS, Console, Question};
pub use display::{DisplayText, Entry, Origin};
pub use faults::{
    Brief, DELAYED_MAX, Delay, Delayed, Fate, Fates, Fault, FaultCounters, FaultTally, Faults,
    HELD_MAX, HELD_TIME, Held, Odds, Random, Stall,
};
pub use guard::{Guard, GuardOptions, Refusal};
pub use language::Language;
pub(crate) use network::Prefix;
pub use network::{datagram_max, group_address};
pub use phrases::{Phrase, Spoken};
pub use sanitizer::Sanitizer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::connection::{CloseReason, DEFERRED_MAX, Reply};

/// Answers messages.
///
/// A service sees one message at a time. It answers through [`Reply`] before it returns, or promises to
/// ([`Reply::defer`]) and hands the server an [`Order`] when it has an answer.
///
/// # A message is not what the peer sent at once
///
/// TCP is a stream: a message is at most `recv-size` bytes of it, as they arrived, and what a peer
/// sent in one call may come in several messages or together with the next. A service that needs
/// lines or records has to assemble them. A datagram, on the other hand, is one message.
///
/// # The loop waits for it
///
/// Every client waits while a service works. One that blocks stops the server.
pub trait Service {
    /// Answers `message` of `client`, or says nothing.
    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>);

    /// How many answers a client may be promised before no more of it is read. Asked once, at the start.
    fn promises_max(&self) -> u32 {
        DEFERRED_MAX
    }

    /// A client has been accepted.
    fn opened(&mut self, client: ClientId, address: SocketAddr) {
        let _ = (client, address);
    }

    /// A client has ended its side while it is still promised answers. They are awaited: it may have shut
    /// its sending side only. May be told more than once.
    fn ended(&mut self, client: ClientId) {
        let _ = client;
    }

    /// A client has left. Nothing more is told of it.
    fn closed(&mut self, client: ClientId, reason: CloseReason) {
        let _ = (client, reason);
    }

    /// What a client was to be sent was not: it does not take what it is owed, or the conversation is ending.
    fn undelivered(&mut self, client: ClientId) {
        let _ = client;
    }

    /// The server is stopping: no answer that is promised is waited for any more, but what is ordered at
    /// once is still carried out.
    fn stopping(&mut self) {}

    /// It is `now`, in a turn of the loop: called before every time orders are asked for. Returns when it is
    /// to be called next at the latest, if it has to be.
    fn wake(&mut self, now: Instant) -> Option<Instant> {
        let _ = now;
        None
    }

    /// A datagram was let through by the guard. It is answered with its suffix, whatever this does.
    fn overhear(&mut self, source: SocketAddr, message: &[u8]) {
        let _ = (source, message);
    }

    /// The next thing the server is to do, if there is any. Asked in every turn until there is none.
    fn order(&mut self) -> Option<Order> {
        None
    }
}

/// Names one client of a server, for ever: no later client has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// The client of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number. It says nothing but who it is.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A small number that nobody else has at the same time: the place of its slot. Later clients have it again.
    pub const fn slot(self) -> usize {
        self.0 as u32 as usize
    }
}

/// What a service asks of the server other than in reply. An order about a client that has left does
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send this, behind everything sent before. A client that has a high watermark of bytes unsent is not
    /// sent more: the service is told ([`Service::undelivered`]).
    Send(ClientId, Arc<[u8]>),
    /// Give the answer that one message of this client was promised, behind everything sent before. It is
    /// sent even if a high watermark of bytes is unsent: how many are promised is bounded already.
    Answer(ClientId, Arc<[u8]>),
    /// One message less of this client awaits the answer that was promised.
    Answered(ClientId),
    /// End this conversation: what has been sent is still delivered, answers promised are not.
    HangUp(ClientId),
}

impl Order {
    /// Whom it is about.
    pub const fn client(&self) -> ClientId {
        let (Self::Send(client, _)
        | Self::Answer(client, _)
        | Self::Answered(client)
        | Self::HangUp(client)) = self;
        *client
    }
}

/// Answers with the message itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Service for Echo {
    fn receive(&mut self, _: ClientId, _: &[u8], reply: &mut Reply<'_>) {
        reply.echo();
    }
}

/// Answers with nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl Service for Discard {
    fn receive(&mut self, _: ClientId, _: &[u8], _: &mut Reply<'_>) {}
}

/// Answers with the message and a suffix behind it. With an empty suffix it is an [`Echo`].
#[derive(Clone, Debug, Default)]
pub struct Suffix(Box<[u8]>);

impl Suffix {
    /// A service that appends `suffix`.
    pub fn new(suffix: impl Into<Box<[u8]>>) -> Self {
        Self(suffix.into())
    }

    /// What is appended.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Answers with the message at hand and the suffix.
    pub fn answer(&self, reply: &mut Reply<'_>) {
        reply.echo();
        if !self.0.is_empty() {
            reply.send(&self.0);
        }
    }
}

impl Service for Suffix {
    fn receive(&mut self, _: ClientId, _: &[u8], reply: &mut Reply<'_>) {
        self.answer(reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Answer;

    fn answer(mut service: impl Service, input: &[u8], size: usize) -> Vec<u8> {
        let mut output = Vec::new();
        let client = ClientId::new(0);
        let serve = |message: &[u8], reply: &mut Reply<'_>| service.receive(client, message, reply);
        if input.is_empty() {
            return Answer::to_one(input, &mut output, serve).bytes.to_vec();
        }
        Answer::to_many(input, &mut output, size.try_into().unwrap(), serve)
            .bytes
            .to_vec()
    }

    #[test]
    fn echo_suffix_and_discard_answer_each_message() {
        assert_eq!(answer(Echo, b"abcde", 2), b"abcde");
        assert_eq!(answer(Suffix::new(*b"!"), b"abcde", 2), b"ab!cd!e!");
        assert_eq!(answer(Suffix::default(), b"abcde", 2), b"abcde");
        assert_eq!(answer(Discard, b"abcde", 2), b"");
    }

    #[test]
    fn a_datagram_is_one_message_even_when_empty() {
        assert_eq!(answer(Suffix::new(*b"| lee"), b"", 1024), b"| lee");
    }
}
