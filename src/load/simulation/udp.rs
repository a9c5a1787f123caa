//! Flows of datagrams of the world, and the servers that they go to.

use std::collections::VecDeque;

use super::log::What;
use super::replies::right_reply;
use super::settings::{Fault, MS, ReplyKind, US, chance};
use super::tcp::{EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, EINTR, ENOBUFS};
use super::world::{Action, World};
use crate::connection::Readiness;
use crate::reactor::Token;

/// One socket.
#[derive(Debug)]
pub(super) struct Flow {
    server: usize,
    pub(super) token: Option<Token>,
    inbox: VecDeque<Vec<u8>>,
    /// An ICMP error that was not reported yet.
    refused: bool,
    /// How many datagrams the kernel had no room for.
    pub(super) dropped: u64,
    pub(super) is_open: bool,
}

impl Flow {
    /// The port of flow `number`.
    pub(super) const fn port(number: usize) -> u16 {
        30_000 + number as u16
    }
}

impl World {
    pub(super) fn open_datagrams(&mut self, server: usize) -> Result<usize, i32> {
        self.call();
        let flow = self.flows.len();
        let error = self.is_lacking().then_some(EADDRNOTAVAIL);
        self.log(What::Opened { server, error });
        self.flows.push(Flow {
            server,
            token: None,
            inbox: VecDeque::new(),
            refused: false,
            dropped: 0,
            is_open: error.is_none(),
        });
        error.map_or(Ok(flow), Err)
    }

    pub(super) fn watch_datagrams(&mut self, flow: usize, token: Token) {
        let it = &mut self.flows[flow];
        it.token = Some(token);
        let readable = !it.inbox.is_empty() || it.refused;
        self.event(Some(token), Readiness::of(readable, true));
    }

    pub(super) fn receive(&mut self, flow: usize, buffer: &mut [u8]) -> Result<usize, i32> {
        self.call();
        if self.is_short() && chance(&mut self.random, 3) {
            return Err(EINTR);
        }
        if std::mem::take(&mut self.flows[flow].refused) {
            let error = ECONNREFUSED;
            // The poll may forget a socket that had an error: no event comes before it is registered again.
            self.flows[flow].token = None;
            self.log_received(What::ReceiveFailed { error });
            return Err(error);
        }
        let Some(bytes) = self.flows[flow].inbox.pop_front() else {
            return Err(EAGAIN);
        };
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.log_received(What::Received { flow, bytes });
        Ok(count)
    }

    pub(super) fn send(&mut self, flow: usize, bytes: &[u8]) -> Result<usize, i32> {
        self.call();
        if self.is_short() {
            if chance(&mut self.random, 2) {
                return Err(EINTR);
            }
            if let Some(token) = self.flows[flow].token {
                let at = self.now() + self.random.below(200 * US);
                let readiness = Readiness::of(false, true);
                self.at(at, Action::Wake { token, readiness });
                return Err(EAGAIN);
            }
        }
        let error = if std::mem::take(&mut self.flows[flow].refused) {
            Some(ECONNREFUSED)
        } else {
            self.is_lacking().then_some(ENOBUFS)
        };
        if let Some(error) = error {
            self.log(What::SendFailed { error });
            return Err(error);
        }
        self.check_clock();
        let bytes = bytes.to_vec();
        self.log(What::Sent {
            flow,
            bytes: bytes.clone(),
        });
        let at = self.now() + self.random.below(100 * US);
        self.at(
            at,
            Action::ServeDatagram {
                flow,
                bytes: bytes.clone(),
            },
        );
        Ok(bytes.len())
    }

    pub(super) fn serve_datagram(&mut self, flow: usize, message: &[u8]) {
        let server = self.flows[flow].server;
        let settings = &self.settings.servers[server];
        if settings.dies_at.is_some_and(|at| at <= self.now()) {
            let at = self.now() + self.random.below(MS);
            return self.at(at, Action::Refuse { flow });
        }
        if settings.silent || settings.never_accepts || self.settings.answer == ReplyKind::Nothing {
            return;
        }
        let mut at = self.now() + self.delay(server);
        let mut reply = right_reply(&self.settings.answer, message, self.random.bits());
        match self.fault(server) {
            Some(Fault::Lose) => return,
            Some(Fault::Truncate) => {
                reply.truncate(self.random.below(reply.len() as u64 + 1) as usize)
            }
            Some(Fault::Alter) if !reply.is_empty() => {
                let index = self.random.below(reply.len() as u64) as usize;
                reply[index] ^= 0x55;
            }
            Some(Fault::DamageHead) if reply.len() >= 32 => reply[8] ^= 0x55,
            Some(Fault::Reorder) => at += self.random.below(5 * MS),
            Some(Fault::Late) => {
                at += self.settings.timeout + self.random.below(self.settings.timeout)
            }
            Some(Fault::Twice) => {
                let later = at + self.random.below(2 * MS);
                let bytes = reply.clone();
                self.at(later, Action::DeliverDatagram { flow, bytes });
            }
            _ => {}
        }
        self.at(at, Action::DeliverDatagram { flow, bytes: reply });
    }

    pub(super) fn deliver_datagram(&mut self, flow: usize, bytes: Vec<u8>) {
        let most = self.machine().inbox;
        let it = &mut self.flows[flow];
        if !it.is_open {
            return;
        }
        if it.inbox.len() >= most {
            it.dropped += 1;
            return self.log(What::Dropped);
        }
        it.inbox.push_back(bytes);
        let token = it.token;
        self.event(token, Readiness::of(true, false));
    }

    pub(super) fn refuse(&mut self, flow: usize) {
        let it = &mut self.flows[flow];
        if it.is_open {
            it.refused = true;
            let token = it.token;
            let mut readiness = Readiness::of(true, true);
            readiness.latch_failed();
            self.event(token, readiness);
        }
    }
}
