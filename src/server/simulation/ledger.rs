//! What each peer was told, and what must be true of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::kernel::byte;
use super::machine::Wire;
use crate::connection::{CloseReason, Reply};
use crate::server::Config;
use crate::service::{ClientId, Service};

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
    pub(super) last_word: Option<u8>,
}

impl Service for Ledger {
    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        let address = self.clients[&client];
        *self.answered.entry(address).or_default() += message.len();
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
        let address = self
            .clients
            .remove(&client)
            .expect("closed once, behind its opening");
        self.closed.insert(address, reason);
    }
}

/// A peer, and what of its wire has been looked at.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) wire: Rc<Wire>,
    pub(super) address: SocketAddr,
    /// How many of the bytes that came back have been looked at.
    checked: usize,
    /// When the server was seen to have shut its side.
    shut_at: Option<Instant>,
}

impl Peer {
    pub(super) const fn new(wire: Rc<Wire>, address: SocketAddr) -> Self {
        Self {
            wire,
            address,
            checked: 0,
            shut_at: None,
        }
    }

    /// What has come back to it is what it has sent, in order, each byte once.
    pub(super) fn check(&mut self, now: Instant) {
        let kernel = self.wire.kernel.borrow();
        for (index, &back) in kernel.received.iter().enumerate().skip(self.checked) {
            assert_eq!(back, byte(index), "byte {index} of {:?}", self.wire);
        }
        self.checked = kernel.received.len();
        if kernel.is_shut() && self.shut_at.is_none() {
            self.shut_at = Some(now);
        }
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
        match reason {
            // Whoever resets takes nothing more.
            _ if kernel.is_reset() => {}
            CloseReason::PeerClosed => {
                assert_eq!((answered, back), (kernel.sent, answered), "lost: {self:?}");
            }
            CloseReason::Failed(kind) => panic!("{kind}: {self:?}"),
            CloseReason::WriteStalled => assert!(config.write_stall_timeout.is_some()),
            CloseReason::OwedTooMuch => assert!(config.unsent_max.is_some()),
            CloseReason::Aborted => assert!(!is_healing, "{self:?}"),
            reason if self.wire.destroyed.get() => {
                let waited = self.shut_at.map(|at| now - at);
                let least = LEAST_LINGER;
                assert!(
                    waited.is_some_and(|waited| waited >= least),
                    "{reason}: {self:?}"
                );
            }
            reason => assert_eq!(back, answered, "{reason}: {self:?}"),
        }
    }
}
