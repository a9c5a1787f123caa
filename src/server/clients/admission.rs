//! Admission control: which of the accepted connections become clients.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::{Client, Clients, Key, Probe, Service, Stamp, Stream, Watch};
use crate::probe::Throttle;
use crate::server::OverLimit;

/// Limits the log lines about rejected connections, for each reason apart.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    full: Throttle,
    crowded: Throttle,
    unwatched: Throttle,
}

impl<S: Stream, P: Probe> Clients<S, P> {
    /// Registers a connection that was just accepted as a client, or closes it if there are too many.
    pub(in crate::server) fn admit(
        &mut self,
        stream: S,
        address: SocketAddr,
        service: &mut impl Service,
        now: Instant,
        register: impl FnOnce(&mut S, Key) -> io::Result<()>,
    ) {
        if !self.has_room(service, now) {
            self.counters.rejected += 1;
            if let Some(others) = self.refusals.full.pass(now) {
                let limit = self.slots.len();
                log::warn!("rejected {address}, and {others} before: at most {limit} clients");
            }
            return;
        }
        if !self.per_ip_counts.enter(address) {
            self.counters.rejected_per_ip += 1;
            if let Some(others) = self.refusals.crowded.pass(now) {
                log::warn!("rejected {address}, and {others} before: over --max-conns-per-ip");
            }
            return;
        }
        let stream = self.probe.stream(stream);
        let client = Client::new(stream, address, Stamp::new(self.start, now));
        let Ok(key) = self.slots.insert(client) else {
            unreachable!("there is room")
        };
        let client = self.slots.get_mut(key).expect("inserted just now");
        if let Err(error) = register(P::inner(&mut client.peer.stream), key) {
            if let Some(others) = self.refusals.unwatched.pass(now) {
                log::warn!("can't watch {address}, and {others} before: {error}");
            }
            self.counters.accept_errors += 1;
            self.slots.remove(key);
            self.per_ip_counts.leave(address);
            return;
        }
        log::debug!("{address} connected");
        self.counters.accepted += 1;
        self.probe.opened(key.client(), address);
        service.opened(key.client(), address);
        if let Some((timeout, _)) = self.idle {
            self.deadlines.arm(now + timeout, (key, Watch::Idle));
        }
        if let Some(timeout) = self.first_byte_timeout {
            self.deadlines.arm(now + timeout, (key, Watch::FirstByte));
        }
    }

    fn has_room(&mut self, service: &mut impl Service, now: Instant) -> bool {
        self.slots.free() > 0
            || (self.over_limit == OverLimit::EvictIdle && self.evict(service, now))
    }
}
