//! One client at a time, a thread a client, and a reactor.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::blocking::{BlockingServer, Model};
use super::limit::Limit;
use super::loading::{load_and, plan};
use super::pairs::affordable;
use super::serving::{Serving, config};
use super::usage::Usage;
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::connection::Reply;
use crate::load::Outcome;
use crate::service::{ClientId, Service};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "models",
    question: "How many clients does a server serve that blocks, one that has a thread for each, and one that waits for \
all of them at once: of 1, 10 and 1 000?",
    prediction: "One by one serves one, however many there are; the others wait until it leaves. The other two serve \
all. With 1 000 clients the threads change places at least 5 times as often for each message as the one thread of the \
reactor does.",
    expected: &[
        Relation::Is(Figure("one by one, 10", "served"), 1.0),
        Relation::Is(Figure("one by one, 1 000", "served"), 1.0),
        Relation::Is(Figure("thread each, 10", "served"), 10.0),
        Relation::Sum(
            Figure("thread each, 1 000", "served"),
            &[Figure("thread each, 1 000", "clients")],
        ),
        Relation::Sum(
            Figure("reactor, 1 000", "served"),
            &[Figure("reactor, 1 000", "clients")],
        ),
        Relation::Times(
            Figure("thread each, 1 000", "switches"),
            5.0,
            Figure("reactor, 1 000", "switches"),
        ),
    ],
    explanation: "A call that blocks waits for one client and so makes all others wait: the complaint of every socket \
tutorial about its own server. A thread each cures it, for the price of a stack and of a context switch whenever one of \
them waits. Readiness asks about all of them in one call, and works through those that have something to say. \
Messages that were never answered count in the p99 with the time that they have waited. Memory is what the process has \
grown by, our load of it among the rest.",
    doubt: "A server that is starved of its core for a quarter of a second does not get round to everyone.",
    run,
};

const TIME: Duration = Duration::from_millis(250);
const FEW: usize = 10;
const MANY: usize = 1_000;

fn run(limit: &Limit) -> io::Result<Measured> {
    let many = affordable(MANY, FEW)?;
    let mut shown = Vec::new();
    // Many first, and before the others a server that keeps nothing of its clients: so that memory that one has left
    // behind, the load not least, does not look like thrift in the next.
    for (place, subject, clients, model) in [
        (6, "one by one, 1 000", many, Some(Model::OneAtATime)),
        (8, "reactor, 1 000", many, None),
        (7, "thread each, 1 000", many, Some(Model::ThreadAClient)),
        (3, "one by one, 10", FEW, Some(Model::OneAtATime)),
        (5, "reactor, 10", FEW, None),
        (4, "thread each, 10", FEW, Some(Model::ThreadAClient)),
        (0, "one by one, 1", 1, Some(Model::OneAtATime)),
        (2, "reactor, 1", 1, None),
        (1, "thread each, 1", 1, Some(Model::ThreadAClient)),
    ] {
        let of_this = match model {
            Some(model) => Shown::of_blocking(model, clients, limit)?,
            None => Shown::of_reactor(clients, limit)?,
        };
        shown.push((place, subject, clients, of_this));
    }
    shown.sort_by_key(|(place, ..)| *place);
    let mut measured = Measured::default();
    for (_, subject, clients, shown) in shown {
        shown.put(&mut measured, subject, clients);
    }
    Ok(measured)
}

/// What one server has shown with so many clients.
struct Shown {
    outcome: Outcome,
    served: u64,
    /// What was used meanwhile, by the server.
    used: Usage,
    memory_before: u64,
}

impl Shown {
    fn of_blocking(model: Model, clients: usize, limit: &Limit) -> io::Result<Self> {
        let before = Usage::of_others();
        let server = BlockingServer::start(model)?;
        let plan = plan(server.address, clients, TIME);
        let (outcome, (served, used)) =
            load_and(plan, limit, || (server.served(), Usage::of_others()))?;
        Ok(Self::of(outcome, served, before, used))
    }

    fn of_reactor(clients: usize, limit: &Limit) -> io::Result<Self> {
        let before = Usage::of_others();
        let served = Arc::new(AtomicU64::new(0));
        let service = Noting {
            seen: HashSet::new(),
            served: served.clone(),
        };
        let server = Serving::start(config(), service)?;
        let plan = plan(server.tcp(), clients, TIME);
        let look = || (served.load(Ordering::Relaxed), Usage::of_others());
        let (outcome, (served, used)) = load_and(plan, limit, look)?;
        server.finish()?;
        Ok(Self::of(outcome, served, before, used))
    }

    /// The threads that were there before, if any, are not the server's.
    fn of(outcome: Outcome, served: u64, before: Usage, used: Usage) -> Self {
        Self {
            outcome,
            served,
            used: Usage {
                switches: used.switches.saturating_sub(before.switches),
                ..used
            },
            memory_before: before.memory,
        }
    }

    fn put(&self, measured: &mut Measured, subject: &'static str, clients: usize) {
        let answered = self.outcome.messages.timed() as f64;
        let p99 = self.outcome.latency.service.value_at_quantile(0.99);
        let grown = self.used.memory.saturating_sub(self.memory_before);
        let rate = answered / self.outcome.measured.as_secs_f64();
        let switches = self.used.switches as f64 / answered.max(1.0);
        for (quantity, value, unit) in [
            ("clients", clients as f64, Unit::Count),
            ("served", self.served as f64, Unit::Count),
            ("answered", rate, Unit::PerSecond),
            ("p99", p99 as f64, Unit::Nanoseconds),
            ("switches", switches, Unit::PerMessage),
            ("memory", grown as f64, Unit::Bytes),
        ] {
            measured.put(subject, quantity, value, unit);
        }
    }
}

/// Echoes, and counts the clients that were answered.
#[derive(Debug)]
struct Noting {
    seen: HashSet<ClientId>,
    served: Arc<AtomicU64>,
}

impl Service for Noting {
    fn receive(&mut self, client: ClientId, _: &[u8], reply: &mut Reply<'_>) {
        reply.echo();
        if self.seen.insert(client) {
            self.served.fetch_add(1, Ordering::Relaxed);
        }
    }
}
