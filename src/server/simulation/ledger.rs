//! What each peer was told, and what must be true of it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::kernel::byte;
use super::machine::Wire;
use crate::connection::{CloseReason, Reply};
use crate::server::Config;
use crate::service::{ClientId, Order, Service};

/// How long a peer is quiet before it is hung up on when the server stops.
const DRAIN_QUIET: Duration = Duration::from_millis(100);

/// No wait for a peer's end is shorter.
const LEAST_LINGER: Duration = Duration::from_secs(1);

/// What the server has heard of each peer, by the service's account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) clients: HashMap<ClientId, SocketAddr>,
    /// How many bytes have been answered.
    pub(super) answered: HashMap<SocketAddr, usize>,
    pub(super) closed: HashMap<SocketAddr, CloseReason>,
    /// It ends a conversation in which that byte is said.
    last_word: Option<u8>,
    /// It answers that much later, if at all later.
    delay: Option<Duration>,
    /// It has answered later, even if it does not any more.
    delays: bool,
    pub(super) is_stopping: bool,
    /// It is not waited for anybody any more.
    pub(super) is_aborted: bool,
    now: Option<Instant>,
    /// Answers promised, in the order in which they are due.
    promised: VecDeque<(Instant, ClientId, Box<[u8]>)>,
}

impl Ledger {
    pub(super) fn new(last_word: Option<u8>, delay: Option<Duration>) -> Self {
        Self {
            last_word,
            delay,
            delays: delay.is_some(),
            ..Self::default()
        }
    }

    /// Whether it answers later, or did.
    pub(super) const fn delays(&self) -> bool {
        self.delays
    }

    fn answer(&mut self, client: ClientId, count: usize) {
        let address = self.clients[&client];
        *self.answered.entry(address).or_default() += count;
    }
}

impl Service for Ledger {
    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        if let (Some(delay), Some(now)) = (self.delay, self.now) {
            self.promised
                .push_back((now + delay, client, message.into()));
            return reply.defer();
        }
        self.answer(client, message.len());
        reply.echo();
        if self.last_word.is_some_and(|word| message.contains(&word)) {
            reply.hang_up();
        }
    }

    fn opened(&mut self, client: ClientId, address: SocketAddr) {
        assert!(
            self.clients.insert(client, address).is_none(),
            "opened twice"
        );
    }

    fn closed(&mut self, client: ClientId, reason: CloseReason) {
        self.promised.retain(|(_, other, _)| *other != client);
        let address = self
            .clients
            .remove(&client)
            .expect("closed once, behind its opening");
        self.closed.insert(address, reason);
    }

    /// What is promised is given at once, and nothing is promised any more.
    fn stopping(&mut self) {
        self.is_stopping = true;
        self.delay = None;
        if let Some(now) = self.now {
            self.promised.iter_mut().for_each(|(due, ..)| *due = now);
        }
    }

    fn wake(&mut self, now: Instant) -> Option<Instant> {
        self.now = Some(now);
        self.promised.front().map(|&(due, ..)| due)
    }

    fn order(&mut self) -> Option<Order> {
        let now = self.now?;
        let (_, client, message) = self.promised.pop_front_if(|(due, ..)| *due <= now)?;
        self.answer(client, message.len());
        Some(Order::Answer(client, message.into()))
    }
}

/// A peer, and what of its wire has been looked at.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) wire: Rc<Wire>,
    pub(super) address: SocketAddr,
    /// How many of the bytes that came back have been looked at.
    checked: usize,
    /// When it was first seen to be let in.
    since: Option<Instant>,
    /// When the server was seen to have shut its side.
    shut_at: Option<Instant>,
    /// How many bytes the server has read and written, and when it last did.
    moved: [usize; 2],
    moved_at: [Option<Instant>; 2],
    /// How long it had not, when it shut its side or was gone.
    still: [Duration; 2],
}

impl Peer {
    pub(super) const fn new(wire: Rc<Wire>, address: SocketAddr) -> Self {
        Self {
            wire,
            address,
            checked: 0,
            since: None,
            shut_at: None,
            moved: [0; 2],
            moved_at: [None; 2],
            still: [Duration::ZERO; 2],
        }
    }

    /// What has come back to it is what it has sent, in order, each byte once.
    pub(super) fn check(&mut self, now: Instant) {
        let kernel = self.wire.kernel.borrow();
        for (index, &back) in kernel.received.iter().enumerate().skip(self.checked) {
            assert_eq!(back, byte(index), "byte {index} of {:?}", self.wire);
        }
        self.checked = kernel.received.len();
        if self.wire.is_open.get() {
            self.since.get_or_insert(now);
        }
        let shuts = kernel.is_shut() && self.shut_at.is_none();
        if shuts {
            self.shut_at = Some(now);
        }
        // What is read behind the end is discarded.
        if shuts || (self.shut_at.is_none() && !self.wire.is_open.get()) {
            let start = self.since.unwrap_or(now);
            self.still = self.moved_at.map(|at| now - at.unwrap_or(start));
        }
        let moved = [kernel.sent - kernel.unread(), kernel.sent_back().count()];
        for (way, count) in moved.into_iter().enumerate() {
            if std::mem::replace(&mut self.moved[way], count) != count {
                self.moved_at[way] = Some(now);
            }
        }
    }

    /// When it was first seen to be let in.
    pub(super) const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// For how long nothing has moved in either direction.
    pub(super) fn still(&self, now: Instant) -> Duration {
        let since = self.since.max(self.moved_at[0]).max(self.moved_at[1]);
        since.map_or(Duration::ZERO, |since| now - since)
    }

    /// What must be true of a conversation that is over, by its reason.
    pub(super) fn check_over(
        &self,
        ledger: &Ledger,
        now: Instant,
        config: &Config,
        is_healing: bool,
    ) {
        let kernel = self.wire.kernel.borrow();
        let answered = ledger.answered.get(&self.address).copied().unwrap_or(0);
        assert!(!self.wire.is_open.get(), "an end is the end of its socket");
        let back = kernel.sent_back().count();
        assert!(
            kernel
                .sent_back()
                .enumerate()
                .all(|(index, back)| back == byte(index))
        );
        let Some(&reason) = ledger.closed.get(&self.address) else {
            assert_eq!((answered, back), (0, 0), "nobody knows of {self:?}");
            return;
        };
        if !ledger.is_aborted {
            self.check_patience(reason, config);
        }
        match reason {
            // Whoever resets takes nothing more.
            _ if kernel.is_reset() => {}
            CloseReason::PeerClosed => {
                assert_eq!((answered, back), (kernel.sent, answered), "lost: {self:?}");
            }
            CloseReason::Failed(kind) => panic!("{kind}: {self:?}"),
            CloseReason::WriteStalled => {
                let patience = config.write_stall_timeout.unwrap();
                assert!(self.still[1] >= patience, "{self:?}");
            }
            CloseReason::OwedTooMuch => assert!(config.unsent_max.is_some()),
            CloseReason::Aborted => assert!(!is_healing, "{self:?}"),
            _ if self.wire.destroyed.get() && ledger.is_aborted => {}
            reason if self.wire.destroyed.get() => {
                let waited = self.shut_at.map(|at| now - at);
                let least = LEAST_LINGER;
                assert!(
                    waited.is_some_and(|waited| waited >= least),
                    "{reason}: {self:?}"
                );
            }
            // Of whom we hang up on, answers that were promised are forgotten.
            reason if ledger.delays => assert!(back <= answered, "{reason}: {self:?}"),
            reason => assert_eq!(back, answered, "{reason}: {self:?}"),
        }
    }

    /// Nobody is hung up on for being quiet who was not.
    fn check_patience(&self, reason: CloseReason, config: &Config) {
        let still = self.still[0].min(self.still[1]);
        let patience = match reason {
            CloseReason::IdleTimeout => config.idle_timeout.unwrap(),
            CloseReason::FirstByteTimeout => config.first_byte_timeout.unwrap(),
            CloseReason::Drained => DRAIN_QUIET,
            _ => return,
        };
        assert!(still >= patience, "{reason}: {self:?}");
    }
}
