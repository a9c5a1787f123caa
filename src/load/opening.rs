//! Connections of a load, being opened, lost and opened again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::answers::InFlight;
use super::backoff;
use super::book::{Book, Member, Slot};
use super::connection::Connection;
use super::elapsed;
use super::ending;
use super::flow::Flow;
use super::messages::State;
use super::mismatch::Place;
use super::outcome::Step;
use super::pacer::Pacer;
use super::plan::{Close, Plan, Reply};
use super::shared::Shared;
use super::socket::{End, Socket};
use super::timers::Timer;
use crate::probe::Probe;
use crate::reactor::{Dial, Interest, Key, Registry, dial_datagrams, reset_on_close, watch_again};

/// What a flow is watched for.
const FLOW_INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// How many connections are being opened at once, unless a rate is given. More than a server's backlog holds would
/// be turned away, and be tried again a second later.
const DIALLING_MAX: usize = 128;

/// How long after a failure a connection is tried again: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A connection that is to be opened.
#[derive(Debug)]
pub(super) struct Unopened {
    pub(super) number: usize,
    /// What is left of its part of the schedule.
    pub(super) pacer: Pacer,
    pub(super) failures: u32,
}

impl Book {
    /// An attempt to connect may have been decided.
    #[cold]
    #[inline(never)]
    pub(super) fn serve_dialling<P: Probe>(&mut self, key: Key, shared: &mut Shared<P>, now: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Member::Stream(connection) = &mut slot.member else {
            return;
        };
        match connection.socket.connects() {
            Ok(false) => {}
            Ok(true) => {
                let connected_at = shared.now();
                let took = elapsed(connection.since, connected_at);
                let outcome = &mut shared.recorder.outcome;
                outcome.latency.connect.saturating_record(took.max(1));
                outcome.connections.established += 1;
                outcome.servers[connection.pacer.server() as usize].established += 1;
                connection.since = connected_at;
                if P::ON {
                    connection.who = Some(key.client());
                    if let Some(local) = connection.local() {
                        shared.probe.opened(key.client(), local);
                    }
                }
                let used_up_at = connection.used_up_at(shared);
                self.dialling -= 1;
                self.connected += 1;
                let most = &mut shared.recorder.outcome.connections.most;
                *most = (*most).max(self.connected as u64);
                if let Some(at) = used_up_at {
                    self.deadlines.arm(shared.instant(at), Timer::Due(key));
                }
                self.serve_one(key, shared, now);
            }
            Err(error) => self.end(key, End::Failed(Step::Connect, error), shared),
        }
    }

    /// A connection is over. It is opened again: after a pause, if it could not be opened or was of no use.
    #[cold]
    #[inline(never)]
    pub(super) fn end(&mut self, key: Key, end: End, shared: &mut Shared<impl Probe>) {
        let now = shared.now();
        let others = matches!(end, End::Mismatched(..)).then(|| self.places());
        let Some(Slot {
            member: Member::Stream(mut connection),
            failures,
            ..
        }) = self.slots.remove(key)
        else {
            return;
        };
        let close = if matches!(end, End::Mismatched(..)) {
            Close::Reset
        } else {
            shared.plan.close
        };
        if let (Close::Reset, Socket::Connected(stream)) = (close, &connection.socket) {
            let _ = reset_on_close(stream);
        }
        let was_dialling = matches!(connection.socket, Socket::Dialling(_) | Socket::Gone);
        if was_dialling {
            self.dialling -= 1;
        } else {
            shared.probe.closed(key.client(), end.name());
            self.connected -= 1;
        }
        let was_useful = matches!(end, End::Churned)
            || !was_dialling
                && (connection.replies > 0
                    || elapsed(connection.since, now) >= PAUSE_MAX.as_nanos() as u64);
        // Without replies it is not known whether the server took what was written.
        let was_written = shared.plan.reply == Reply::None && connection.has_sent();
        let has_talked = was_written || matches!(end, End::Mismatched(..));
        if let Some(error) = ending::count_end(&connection, &end, shared) {
            self.last_error = Some(error);
        }
        if let End::Mismatched(wrong, got) = end {
            ending::end_mismatched(
                &mut connection,
                wrong,
                &got,
                &others.unwrap_or_default(),
                shared,
                now,
            );
        }
        let lost = |_: &InFlight| State::ConnectionLost;
        let withdrawn = connection.end_messages(&mut shared.recorder, now, lost);
        if withdrawn > 0 && !shared.plan.is_open() && shared.left.is_some() {
            shared.send_again(withdrawn);
            // Others may have found nothing left to send.
            self.queue_all();
        }
        if was_useful && shared.recorder.in_flight() == 0 {
            shared.recorder.progress.gave_up_on_all(now);
        }
        connection.pacer.hold(now);
        let unopened = Unopened {
            number: connection.number,
            pacer: connection.pacer,
            failures: match (was_useful, has_talked) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => failures + 1,
            },
        };
        self.open_again(unopened, shared, now);
    }

    /// Where in the pattern every connection is.
    fn places(&self) -> Vec<Place> {
        let streams = self.slots.values().filter_map(|slot| match &slot.member {
            Member::Stream(connection) => Some(connection.place()),
            Member::Flow(_) => None,
        });
        streams.collect()
    }

    fn open_again(&mut self, unopened: Unopened, shared: &Shared<impl Probe>, now: u64) {
        if unopened.failures == 0 {
            return self.unopened.push_back(unopened);
        }
        let pause = backoff::pause(unopened.failures, PAUSE_MIN, PAUSE_MAX);
        let at = shared.instant(now) + pause;
        let number = unopened.number;
        self.parked[number] = Some(unopened);
        self.deadlines.arm(at, Timer::Retry(number));
    }

    /// Has flows that have had an error watched again.
    pub(super) fn watch_again(&mut self, shared: &mut Shared<impl Probe>, registry: &Registry) {
        for key in std::mem::take(&mut self.forgotten) {
            if let Some(slot) = self.slots.get_mut(key)
                && let Member::Flow(flow) = &mut slot.member
                && std::mem::take(&mut flow.forgotten)
                && let Err(error) =
                    watch_again(registry, &mut flow.socket, key.token(), FLOW_INTERESTS)
            {
                shared.recorder.error(Step::Read, &error);
            }
        }
    }

    /// Opens as many connections as may be opened now.
    pub(super) fn dial(&mut self, shared: &mut Shared<impl Probe>, registry: &Registry, now: u64) {
        while !self.unopened.is_empty() {
            if let Some(rate) = shared.plan.connect_rate {
                if self.next_dial > now {
                    if !self.dial_armed {
                        let at = shared.instant(self.next_dial);
                        self.deadlines.arm(at, Timer::Dial);
                    }
                    self.dial_armed = true;
                    return;
                }
                let distance = (1e9 / rate) as u64;
                // Not faster afterwards, if it could not keep up.
                self.next_dial = (self.next_dial + distance).max(now.saturating_sub(distance * 8));
            } else if self.dialling >= DIALLING_MAX {
                return;
            }
            let Some(unopened) = self.unopened.pop_front() else {
                return;
            };
            if shared.plan.udp {
                self.open_flow(unopened, shared, registry, now);
            } else {
                self.open_stream(unopened, shared, registry, now);
            }
        }
    }

    fn open_stream(
        &mut self,
        unopened: Unopened,
        shared: &mut Shared<impl Probe>,
        registry: &Registry,
        now: u64,
    ) {
        let Unopened {
            number,
            pacer,
            failures,
        } = unopened;
        let target = target(&shared.plan, number);
        ending::count_attempt(&pacer, shared);
        let since = shared.now();
        let mut connection = match self.start_dial(target, shared) {
            Ok(dial) => Connection::new(number, dial, pacer, shared),
            Err(error) => return self.not_opened(number, pacer, failures, error, shared, now),
        };
        // connect(2) is part of the time: on loopback it does the whole handshake.
        connection.since = since;
        // The key is needed to register, and the connection to get a key.
        let member = |connection| Slot {
            member: Member::Stream(connection),
            queued: false,
            due_armed: false,
            expiry_armed: false,
            failures,
        };
        let Socket::Dialling(mut dial) = std::mem::replace(&mut connection.socket, Socket::Gone)
        else {
            return;
        };
        let Ok(key) = self.slots.insert(member(Box::new(connection))) else {
            return;
        };
        let registered = dial.register(registry, key.token());
        if let Some(Slot {
            member: Member::Stream(connection),
            ..
        }) = self.slots.get_mut(key)
        {
            connection.socket = Socket::Dialling(dial);
        }
        self.dialling += 1;
        let until = shared.instant(now) + shared.plan.connect_timeout;
        self.deadlines.arm(until, Timer::Connect(key));
        if let Err(error) = registered {
            self.end(key, End::Failed(Step::Connect, error), shared);
        }
    }

    /// Asks for a connection, from the next source that has a port left.
    fn start_dial(&mut self, target: SocketAddr, shared: &Shared<impl Probe>) -> io::Result<Dial> {
        let mut attempts = self.sources.attempts(target);
        loop {
            attempts -= 1;
            match Dial::start(target, self.sources.next(target), &shared.plan.dial) {
                Err(error) if lacks_ports(&error) && attempts > 0 => {}
                outcome => return outcome,
            }
        }
    }

    fn not_opened(
        &mut self,
        number: usize,
        pacer: Pacer,
        failures: u32,
        error: io::Error,
        shared: &mut Shared<impl Probe>,
        now: u64,
    ) {
        ending::count_failed_attempt(pacer.server(), &error, shared);
        self.last_error = Some(error);
        let unopened = Unopened {
            number,
            pacer,
            failures: failures + 1,
        };
        self.open_again(unopened, shared, now);
    }

    fn open_flow(
        &mut self,
        unopened: Unopened,
        shared: &mut Shared<impl Probe>,
        registry: &Registry,
        now: u64,
    ) {
        let Unopened {
            number,
            pacer,
            failures,
        } = unopened;
        let target = target(&shared.plan, number);
        let source = self.sources.next(target);
        ending::count_attempt(&pacer, shared);
        let socket = match dial_datagrams(target, source, &shared.plan.dial) {
            Ok(socket) => socket,
            Err(error) => return self.not_opened(number, pacer, failures, error, shared, now),
        };
        let server = pacer.server();
        let flow = Flow::new(number, socket, self.run, pacer, shared);
        let Ok(key) = self.slots.insert(Slot {
            member: Member::Flow(Box::new(flow)),
            queued: false,
            due_armed: false,
            expiry_armed: false,
            failures: 0,
        }) else {
            return;
        };
        let registered = match self.slots.get_mut(key).map(|slot| &mut slot.member) {
            Some(Member::Flow(flow)) => {
                registry.register(&mut flow.socket, key.token(), FLOW_INTERESTS)
            }
            _ => Ok(()),
        };
        if let Err(error) = registered {
            if let Some(Slot {
                member: Member::Flow(flow),
                ..
            }) = self.slots.remove(key)
            {
                self.not_opened(number, flow.pacer, failures, error, shared, now);
            }
            return;
        }
        self.connected += 1;
        let outcome = &mut shared.recorder.outcome;
        outcome.connections.established += 1;
        outcome.connections.most = outcome.connections.most.max(self.connected as u64);
        outcome.servers[server as usize].established += 1;
    }

    pub(super) fn expire_dial(&mut self, key: Key, shared: &mut Shared<impl Probe>) {
        let dialling = matches!(
            self.slots.get_mut(key).map(|slot| &slot.member),
            Some(Member::Stream(connection)) if !matches!(connection.socket, Socket::Connected(_))
        );
        if dialling {
            let error = io::Error::from(io::ErrorKind::TimedOut);
            self.end(key, End::Failed(Step::Connect, error), shared);
        }
    }
}

/// The server that a connection goes to.
fn target(plan: &Plan, number: usize) -> SocketAddr {
    plan.targets[number % plan.targets.len()]
}

/// Whether this source has no port left to that server. Another one may: `connect(2)` reports the
/// first error, and `bind(2)` the second where that is what chooses the port.
fn lacks_ports(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
    )
}
