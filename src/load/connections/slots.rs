//! The sockets of a load, and which of them are ready to be served.

use std::io;

use crate::load::connections::connection::Connection;
use crate::load::connections::timers::{Timer, Timers};
use crate::load::datagrams::flow::{FLOW_INTERESTS, Flow};
use crate::load::host::Host;
use crate::load::schedule::pacer::Pacer;
use crate::load::schedule::shared_schedule::Schedule;
use crate::load::shared::Shared;
use crate::load::time::nanoseconds;
use crate::load::verify::mismatch::Place;
use crate::reactor::{ConnectedDatagrams, Event, Key, Registry, Slots, watch_again};

/// One connection or flow, and what is armed for it.
pub(crate) struct Slot<H: Host> {
    pub(crate) socket: Socket<H>,
    /// It is on the ready list.
    queued: bool,
    /// When a timer serves it next, because its next message is due then; `u64::MAX` without a timer.
    pub(crate) due_at: u64,
    /// A timer looks for messages in flight whose time limit has passed.
    pub(crate) expiry_armed: bool,
    /// How often in a row it could not be opened.
    pub(crate) failures: u32,
}

pub(crate) enum Socket<H: Host> {
    Stream(Box<Connection<H::Attempt>>),
    Flow(Box<Flow<H::Datagrams>>),
}

impl<H: Host> Slot<H> {
    pub(crate) const fn new(socket: Socket<H>, failures: u32) -> Self {
        Self {
            socket,
            queued: false,
            due_at: u64::MAX,
            expiry_armed: false,
            failures,
        }
    }
}

impl<H: Host> Socket<H> {
    const fn pacer(&self) -> &Pacer {
        match self {
            Self::Stream(connection) => &connection.pacer,
            Self::Flow(flow) => &flow.pacer,
        }
    }

    pub(crate) fn pacer_mut(&mut self) -> &mut Pacer {
        match self {
            Self::Stream(connection) => &mut connection.pacer,
            Self::Flow(flow) => &mut flow.pacer,
        }
    }

    /// Whether a reply is awaited.
    pub(crate) fn has_in_flight(&self) -> bool {
        match self {
            Self::Stream(connection) => !connection.verifier.is_empty(),
            Self::Flow(flow) => flow.awaited.len() > 0,
        }
    }
}

/// All sockets of a load, and the list of those that are ready.
pub(crate) struct SocketSlots<H: Host> {
    slots: Slots<Slot<H>>,
    ready: Vec<Key>,
    /// An empty list, for the memory that it has.
    spare: Vec<Key>,
}

impl<H: Host> SocketSlots<H> {
    /// Room for up to `most` sockets.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            slots: Slots::new(most),
            ready: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// An event for the socket that `key` names, if it is still there.
    #[inline]
    pub(crate) fn ready(&mut self, key: Key, event: &Event) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match &mut slot.socket {
            Socket::Stream(connection) => connection.readiness.merge(event.readiness()),
            Socket::Flow(flow) => {
                flow.readable |= event.readiness().is_readable();
                flow.writable |= event.readiness().is_writable();
            }
        }
        if !slot.queued {
            slot.queued = true;
            self.ready.push(key);
        }
    }

    /// Has the socket that `key` names served in the next iteration.
    pub(crate) fn queue(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(key)
            && !slot.queued
        {
            slot.queued = true;
            self.ready.push(key);
        }
    }

    pub(crate) fn queue_all(&mut self) {
        for key in self.keys() {
            self.queue(key);
        }
    }

    /// Takes the ready list. To be handed back with [`served`](Self::served).
    pub(crate) fn take_ready(&mut self) -> Vec<Key> {
        std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare))
    }

    /// Everything on this list has been served.
    pub(crate) fn served(&mut self, mut list: Vec<Key>) {
        list.clear();
        self.spare = list;
    }

    /// The socket that `key` names, to be served: it is not on the ready list any more.
    #[inline]
    pub(crate) fn serve(&mut self, key: Key) -> Option<&mut Slot<H>> {
        let slot = self.slots.get_mut(key)?;
        slot.queued = false;
        Some(slot)
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Slot<H>> {
        self.slots.get_mut(key)
    }

    pub(crate) fn socket_mut(&mut self, key: Key) -> Option<&mut Socket<H>> {
        self.slots.get_mut(key).map(|slot| &mut slot.socket)
    }

    /// Adds `slot`. `None` if there is no room.
    pub(crate) fn insert(&mut self, slot: Slot<H>) -> Option<Key> {
        self.slots.insert(slot).ok()
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Slot<H>> {
        self.slots.remove(key)
    }

    pub(crate) fn keys(&self) -> Vec<Key> {
        self.slots.keys().collect()
    }

    /// Whether a message of an open loop was due before `now`, and is still to be sent.
    pub(crate) fn has_unsent(&self, schedule: &Schedule, now: u64) -> bool {
        let mut pacers = self.slots.values().map(|slot| slot.socket.pacer());
        pacers.any(|pacer| pacer.next_unsent(schedule, now).is_some())
    }

    pub(crate) fn pacers_mut(&mut self) -> impl Iterator<Item = &mut Pacer> {
        self.slots.values_mut().map(|slot| slot.socket.pacer_mut())
    }

    /// All connections, with how often in a row each could not be opened.
    pub(crate) fn connections(&self) -> impl Iterator<Item = (&Connection<H::Attempt>, u32)> {
        self.slots.values().filter_map(|slot| match &slot.socket {
            Socket::Stream(connection) => Some((&**connection, slot.failures)),
            Socket::Flow(_) => None,
        })
    }

    /// Where in the pattern every connection is.
    pub(crate) fn places(&self) -> Vec<Place> {
        let places = self.connections();
        places.map(|(connection, _)| connection.place()).collect()
    }

    pub(crate) fn flows(&self) -> impl Iterator<Item = &Flow<H::Datagrams>> {
        self.slots.values().filter_map(|slot| match &slot.socket {
            Socket::Flow(flow) => Some(&**flow),
            Socket::Stream(_) => None,
        })
    }

    /// Whether `key` names a connection that is being opened.
    pub(crate) fn is_connecting(&mut self, key: Key) -> bool {
        matches!(
            self.slots.get_mut(key).map(|slot| &slot.socket),
            Some(Socket::Stream(connection)) if connection.socket.is_connecting()
        )
    }

    /// Whether `key` names a connection whose greeting is not complete.
    pub(crate) fn awaits_greeting(&mut self, key: Key) -> bool {
        matches!(
            self.slots.get_mut(key).map(|slot| &slot.socket),
            Some(Socket::Stream(connection)) if connection.socket.awaits_greeting()
        )
    }

    /// The servers that sockets can't send to: the last attempt to connect failed, or the last datagram was refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = u32> {
        let connecting = self.connections().filter(|(connection, failures)| {
            *failures > 0 && !connection.socket.is_connected() && !connection.is_silent()
        });
        let flows = self.flows().filter(|flow| flow.refusals.is_refused());
        connecting
            .map(|(connection, _)| connection.pacer.server())
            .chain(flows.map(|flow| flow.pacer.server()))
    }

    /// Whether one of the first datagrams of every flow was refused, and nothing else was heard since. `all`: only once every
    /// flow has sent one.
    pub(crate) fn is_refused_from_the_beginning(&self, all: bool) -> bool {
        let has_sent = |flow: &&Flow<H::Datagrams>| flow.moved()[1] > 0;
        let enough = if all {
            self.flows().all(|flow| has_sent(&flow))
        } else {
            self.flows().any(|flow| has_sent(&flow))
        };
        let mut sending = self.flows().filter(has_sent);
        enough && sending.all(|flow| flow.refusals.is_refused_from_the_beginning())
    }

    /// The inodes of the sockets of flows, and the servers that they send to.
    pub(crate) fn inodes_by_server(&self) -> Vec<(u64, u32)> {
        let inodes = self.flows();
        let inodes = inodes.filter_map(|flow| Some((flow.socket.inode()?, flow.pacer.server())));
        inodes.collect()
    }

    /// The messages of the socket that `key` names that have reached their time limits are counted; of a flow, they are not
    /// awaited any more. Returns when the next will have.
    pub(crate) fn expire_messages(
        &mut self,
        key: Key,
        shared: &mut Shared<H>,
        now: u64,
    ) -> Option<u64> {
        let slot = self.slots.get_mut(key)?;
        let timeout = nanoseconds(shared.plan.timeout);
        let (next, is_flow) = match &mut slot.socket {
            Socket::Stream(connection) => {
                let recorder = &mut shared.recorder;
                let expire = |_| recorder.timed_out();
                (connection.verifier.expire(now, timeout, expire), false)
            }
            Socket::Flow(flow) => (flow.expire(shared, now), true),
        };
        slot.expiry_armed = next.is_some();
        if is_flow {
            // A message that is not awaited any more makes room for the next.
            self.queue(key);
        }
        next
    }

    /// Registers the flow that `key` names again, if the poll may have forgotten it.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub(crate) fn watch_again(&mut self, key: Key, registry: &Registry) -> io::Result<()> {
        if let Some(Socket::Flow(flow)) = self.socket_mut(key)
            && std::mem::take(&mut flow.forgotten)
        {
            return watch_again(registry, &mut flow.socket, key.token(), FLOW_INTERESTS);
        }
        Ok(())
    }

    /// Drops the timers of sockets that are gone, once there are many.
    pub(crate) fn prune(&mut self, timers: &mut Timers) {
        timers.prune(self.slots.len(), |timer| match timer {
            Timer::Due(key) | Timer::Expiry(key) => self.slots.get_mut(*key).is_some(),
            Timer::Connect(key) => self.is_connecting(*key),
            Timer::Greeting(key) => self.awaits_greeting(*key),
            Timer::Retry(_) | Timer::Open | Timer::Interval => true,
        });
    }
}
