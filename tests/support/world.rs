//! A client's connection between the modelled kernel and a ready list, with the laws that hold after
//! every step whatever happens.

use echoloop::connection::{CloseReason, DEFERRED_MAX, Limits, Outcome, Peer, State, Watermarks};
use echoloop::service::Echo;

use super::kernel::{Kernel, byte};
use super::script::Pumping;

/// More turns than any healed world may need before it is quiet.
const TURNS_MAX: usize = 100_000;

/// How much fits where.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub recv_size: usize,
    pub read_ahead: usize,
    pub budget: usize,
    pub high: usize,
    pub low: usize,
    pub inbox: usize,
    pub outbox: usize,
}

#[derive(Debug)]
pub struct World {
    client: Pumping<Kernel>,
    queued: bool,
    /// A deadline will bring the client back.
    on_timer: bool,
    finished: bool,
    answered: usize,
}

impl World {
    pub fn new(sizes: Sizes) -> Self {
        let limits = Limits {
            recv_size: sizes.recv_size.try_into().unwrap(),
            read_ahead: sizes.read_ahead.try_into().unwrap(),
            budget: sizes.budget,
            deferred: DEFERRED_MAX,
            watermarks: Watermarks {
                high: sizes.high,
                low: sizes.low,
            },
        };
        let client = Pumping::with_limits(Kernel::new(sizes.inbox, sizes.outbox), limits);
        Self {
            client,
            queued: false,
            on_timer: false,
            finished: false,
            answered: 0,
        }
    }

    /// The kernel, and the peer behind it.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.client.peer.stream
    }

    /// The event that waits in the kernel is delivered.
    pub fn event(&mut self) {
        if self
            .client
            .peer
            .stream
            .deliver(&mut self.client.peer.readiness)
        {
            self.mark();
        }
    }

    /// An event that means nothing is delivered.
    pub fn spurious_event(&mut self) {
        self.client.peer.readiness.latch_readable();
        self.client.peer.readiness.latch_writable();
        self.mark();
    }

    /// The server hangs up.
    pub fn finish(&mut self) {
        self.finished |= self.client.peer.connection.is_open();
        self.client.peer.connection.finish(CloseReason::Drained);
        self.mark();
    }

    /// The loop takes a turn: the client is served if it is on the ready list.
    pub fn turn(&mut self) {
        if !std::mem::take(&mut self.queued) || self.client.peer.connection.is_closed() {
            return;
        }
        let pumped = self.client.serve(&mut Echo);
        self.answered += pumped.read;
        let Limits {
            budget, read_ahead, ..
        } = self.client.limits;
        assert!(
            pumped.read + pumped.discarded <= budget + read_ahead.get(),
            "over budget: {pumped:?}"
        );
        self.queued = pumped.outcome == Outcome::Yielded;
        self.on_timer |= pumped.outcome == Outcome::Starved;
        self.check();
    }

    /// A deadline comes, if one was armed.
    pub fn deadline(&mut self) {
        if std::mem::take(&mut self.on_timer) {
            self.queued = true;
        }
    }

    /// Lets everything that is under way come to its end: whatever happened before, nothing may be
    /// stuck, lost, repeated or out of order.
    pub fn heal(&mut self) {
        self.run_until_quiet();
        self.kernel().peer_ends();
        self.run_until_quiet();
        self.check();
        let State::Closed(reason) = self.client.peer.connection.state() else {
            panic!("stuck: {self:?}");
        };
        if self.client.peer.stream.is_reset() {
            return;
        }
        let expected = if self.finished {
            CloseReason::Drained
        } else {
            CloseReason::PeerClosed
        };
        assert_eq!(reason, expected);
        assert_eq!(
            self.client.peer.stream.received.len(),
            self.answered,
            "replies lost: {self:?}"
        );
        if !self.finished {
            assert_eq!(
                self.answered, self.client.peer.stream.sent,
                "input lost: {self:?}"
            );
        }
    }

    fn run_until_quiet(&mut self) {
        for _ in 0..TURNS_MAX {
            let before = (
                self.answered,
                self.client.peer.stream.received.len(),
                self.client.peer.connection.state(),
            );
            self.kernel().peer_receives(usize::MAX);
            self.event();
            self.deadline();
            self.turn();
            let after = (
                self.answered,
                self.client.peer.stream.received.len(),
                self.client.peer.connection.state(),
            );
            if !self.queued && !self.on_timer && before == after {
                return;
            }
        }
        panic!("never quiet: {self:?}");
    }

    fn mark(&mut self) {
        self.queued |= self
            .client
            .peer
            .connection
            .is_runnable(self.client.peer.readiness);
    }

    /// The laws: bytes come back in order, each once; memory is bounded.
    fn check(&self) {
        let Peer {
            stream, connection, ..
        } = &self.client.peer;
        let limits = &self.client.limits;
        let mut count = 0;
        for (index, back) in stream.sent_back().enumerate() {
            assert_eq!(back, byte(index), "byte {index} of {self:?}");
            count += 1;
        }
        if !stream.is_reset() {
            let owed = self.answered - count;
            assert_eq!(connection.unsent_len(), owed, "{self:?}");
        }
        let bound = limits.watermarks.high.max(limits.read_ahead.get());
        assert!(connection.unsent_len() <= bound, "unbounded: {self:?}");
        if stream.is_shut() {
            assert!(
                !connection.has_unsent(),
                "shut before everything was sent: {self:?}"
            );
        }
    }
}
