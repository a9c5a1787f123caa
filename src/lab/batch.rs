//! How many events one poll may bring.

use std::io;
use std::time::Duration;

use super::limit::Limit;
use super::loading::{load, plan};
use super::serving::{Serving, config};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::server::Honest;
use crate::service::Echo;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "batch",
    question: "What does it change how many events a poll may bring: 1, 16 or 1 024?",
    prediction: "The number of polls: at least one a message if a poll brings one event, and less than half as many if it \
may bring all. Nobody is overlooked either way: those who were left behind come first in the next poll.",
    expected: &[
        Relation::AtLeast(Figure("1 event", "polls"), 0.95),
        Relation::Times(
            Figure("1 event", "polls"),
            2.0,
            Figure("1 024 events", "polls"),
        ),
        Relation::Times(
            Figure("1 event", "polls"),
            1.0,
            Figure("16 events", "polls"),
        ),
    ],
    explanation: "epoll keeps what is ready in a queue, so a small batch only cuts the same work into more pieces, \
each with a system call of its own and a look at the clock. The longest wait is made of all the work that lies before \
a message, whichever pieces it is cut into. A large batch is an array of events and nothing else; what keeps one of \
them from taking all the time is a budget (see fairness). 100 connections in a closed loop.",
    doubt: "A client that is starved of its core has few messages under way, and there is nothing to batch.",
    run,
};

const CONNECTIONS: usize = 100;
const TIME: Duration = Duration::from_millis(800);

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    for (subject, capacity) in [("1 event", 1), ("16 events", 16), ("1 024 events", 1024)] {
        let server = Serving::start_with(capacity, config(), Echo, Honest)?;
        let outcome = load(plan(server.tcp(), CONNECTIONS, TIME), limit)?;
        let served = server.finish()?;
        let messages = served.counters.clients.moved.messages as f64;
        let polls = served.turns.count as f64 / messages;
        measured.put(subject, "polls", polls, Unit::PerMessage);
        let rate = outcome.messages.timed() as f64 / outcome.measured.as_secs_f64();
        measured.put(subject, "answered", rate, Unit::PerSecond);
        // In a closed loop a message is due when it is sent.
        let response = &outcome.latency.service;
        let p99 = response.value_at_quantile(0.99) as f64;
        measured.put(subject, "p99", p99, Unit::Nanoseconds);
        let longest = response.max() as f64;
        measured.put(subject, "longest", longest, Unit::Nanoseconds);
    }
    Ok(measured)
}
