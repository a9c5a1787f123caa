//! Opens the sockets of a load, and moves flows of datagrams on to the next address of their server.

use std::io;

use crate::load::connections::close::{count_attempt, count_established, is_local};
use crate::load::connections::connect_state::{CloseCause, ConnectState};
use crate::load::connections::connection::Connection;
use crate::load::connections::pending::PendingConnection;
use crate::load::connections::slots::{Slot, Socket};
use crate::load::connections::table::ConnectionTable;
use crate::load::connections::timers::Timer;
use crate::load::datagrams::flow::{FLOW_INTERESTS, Flow};
use crate::load::datagrams::refusals::Refusals;
use crate::load::host::Host;
use crate::load::result::outcome::Step;
use crate::load::shared::Shared;
use crate::probe::Probe;
use crate::reactor::{Attempt, ConnectedDatagrams, Key, Registry};

impl<P: Probe, H: Host> ConnectionTable<P, H> {
    /// Opens as many connections as may be opened now.
    pub(crate) fn open(&mut self, shared: &mut Shared<H>, registry: &Registry, now: u64) {
        while let Some(pending) = self.opener.next(shared, &mut self.timers, now) {
            let opened = if shared.plan.udp {
                self.open_flow(pending, shared, registry)
            } else {
                self.open_stream(pending, shared, registry, now)
            };
            if let Err((pending, error)) = opened {
                let timers = &mut self.timers;
                self.opener.failed(pending, error, shared, timers, now);
            }
        }
    }

    fn open_stream(
        &mut self,
        pending: PendingConnection,
        shared: &mut Shared<H>,
        registry: &Registry,
        now: u64,
    ) -> Result<(), (PendingConnection, io::Error)> {
        // connect(2) is part of the time: on loopback it does the whole handshake.
        let since = shared.now();
        let attempt = match self.opener.connect(&pending, shared) {
            Ok(attempt) => attempt,
            Err(error) => return Err((pending, error)),
        };
        let failures = pending.failures;
        let connection = Connection::new(pending.number, attempt, pending.pacer, since, shared);
        let slot = Slot::new(Socket::Stream(Box::new(connection)), failures);
        let Some(key) = self.slots.insert(slot) else {
            return Ok(());
        };
        self.opener.connecting += 1;
        let until = shared.instant(now) + shared.plan.connect_timeout;
        self.timers.arm(until, Timer::Connect(key));
        if let Some(Socket::Stream(connection)) = self.slots.socket_mut(key)
            && let ConnectState::Connecting(attempt) = &mut connection.socket
            && let Err(error) = attempt.register(registry, key.token())
        {
            self.close(key, CloseCause::Failed(Step::Connect, error), shared);
        }
        Ok(())
    }

    fn open_flow(
        &mut self,
        pending: PendingConnection,
        shared: &mut Shared<H>,
        registry: &Registry,
    ) -> Result<(), (PendingConnection, io::Error)> {
        let (server, failures) = (pending.pacer.server(), pending.failures);
        count_attempt(server, shared);
        let socket = loop {
            match self.opener.open_datagrams(pending.number, shared) {
                Ok(socket) => break socket,
                Err(error) if is_unreachable(&error) && self.take_next_address(server, shared) => {}
                Err(error) => return Err((pending, error)),
            }
        };
        let run = self.opener.run();
        let flow = Flow::new(pending.number, socket, run, pending.pacer, shared);
        let slot = Slot::new(Socket::Flow(Box::new(flow)), failures);
        let Some(key) = self.slots.insert(slot) else {
            return Ok(());
        };
        if let Some(Socket::Flow(flow)) = self.slots.socket_mut(key)
            && let Err(error) = registry.register(&mut flow.socket, key.token(), FLOW_INTERESTS)
            && let Some(Slot {
                socket: Socket::Flow(flow),
                ..
            }) = self.slots.remove(key)
        {
            let pending = PendingConnection {
                number: flow.number,
                pacer: flow.pacer,
                failures,
            };
            return Err((pending, error));
        }
        self.connected += 1;
        count_established(server, self.connected, shared);
        Ok(())
    }

    /// Moves flows on to the next address of their server while no datagram has come from it: if one of the first datagrams
    /// to the address in use is refused, or a message times out. Not after the end of the schedule: then replies are awaited.
    #[inline]
    pub(crate) fn try_next_addresses(
        &mut self,
        shared: &mut Shared<H>,
        registry: &Registry,
        now: u64,
    ) {
        if !self.untried.is_empty() && now < shared.schedule.until {
            self.move_on(shared, registry, now);
        }
    }

    #[cold]
    fn move_on(&mut self, shared: &mut Shared<H>, registry: &Registry, now: u64) {
        for flow in self.slots.flows().filter(|flow| flow.moved()[0] > 0) {
            self.untried.forget(flow.pacer.server());
        }
        while let Some(server) = self.failing_server() {
            self.use_next_address(server, shared, registry, now);
        }
    }

    /// A server that has not replied at the address in use, and has another address.
    fn failing_server(&self) -> Option<u32> {
        let failing = self
            .slots
            .flows()
            .filter(|flow| flow.has_timed_out || flow.refusals.is_refused_from_the_beginning());
        let mut servers = failing.map(|flow| flow.pacer.server());
        servers.find(|&server| self.untried.has_next(server))
    }

    /// Opens every flow to `server` again, to its next address. If that is unreachable, the flows keep their sockets.
    fn use_next_address(
        &mut self,
        server: u32,
        shared: &mut Shared<H>,
        registry: &Registry,
        now: u64,
    ) {
        let before = shared.plan.targets[server as usize];
        self.take_next_address(server, shared);
        let mut is_open = false;
        for key in self.slots.keys() {
            if let Some(Socket::Flow(flow)) = self.slots.socket_mut(key)
                && flow.pacer.server() == server
            {
                let socket = self.opener.open_datagrams(flow.number, shared);
                match socket.and_then(|socket| reopen(flow, socket, key, registry)) {
                    Ok(()) => {
                        is_open = true;
                        restart(flow, shared, now);
                        self.slots.queue(key);
                    }
                    Err(error) => shared.recorder.error(Step::Connect, &error),
                }
            }
        }
        if !is_open {
            shared.plan.targets[server as usize] = before;
            shared.recorder.outcome.servers[server as usize].address = before;
        }
    }

    /// The next address of `server` becomes the one in use. Returns whether there is one.
    fn take_next_address(&mut self, server: u32, shared: &mut Shared<H>) -> bool {
        let Some(address) = self.untried.take(server) else {
            return false;
        };
        shared.plan.targets[server as usize] = address;
        shared.recorder.outcome.servers[server as usize].address = address;
        true
    }
}

/// Replaces the socket of `flow`, which `key` names, by `socket`.
fn reopen<D: ConnectedDatagrams>(
    flow: &mut Flow<D>,
    mut socket: D,
    key: Key,
    registry: &Registry,
) -> io::Result<()> {
    registry.register(&mut socket, key.token(), FLOW_INTERESTS)?;
    // It may have been forgotten after an error. Closing it removes it from epoll(7) anyway.
    let _ = registry.deregister(&mut flow.socket);
    flow.socket = socket;
    Ok(())
}

/// The socket of `flow` is a new one: datagrams that were sent over the old one get no reply any more.
fn restart<D: ConnectedDatagrams>(flow: &mut Flow<D>, shared: &mut Shared<impl Host>, now: u64) {
    flow.abandon(shared, now);
    flow.pacer.release(now, &shared.recorder.pauses);
    if shared.recorder.in_flight() == 0 {
        shared.recorder.progress.gave_up_on_all(now);
    }
    (flow.readable, flow.writable, flow.forgotten) = (false, true, false);
    flow.has_timed_out = false;
    flow.refusals = Refusals::after(flow.moved()[1]);
}

/// Whether `error` means that there is no way to an address. A UDP socket has its own ports: without an address of the
/// family on this machine, connect(2) fails with `EADDRNOTAVAIL`.
fn is_unreachable(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || !is_local(error)
}
