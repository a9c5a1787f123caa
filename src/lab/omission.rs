//! One stall, seen by a load that waits for answers and by one that goes by the clock.

use std::io;
use std::thread;
use std::time::Duration;

use super::limit::Limit;
use super::loading::{load, plan};
use super::serving::{Serving, config};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::load::{Plan, Profile};
use crate::service::{Echo, Faults, Stall};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "omission",
    question: "A server stands still for 1 s. What is the p99 of a load that waits for answers before it sends on, and \
of one that sends on a schedule?",
    prediction: "The closed loop does not see it: 5 of its messages are late, too few for a p99. Of the open loop, \
about 1 000 were due meanwhile: its p99 is close to the whole second, and at least 10 times that of the closed loop.",
    expected: &[
        Relation::Times(
            Figure("open loop", "p99"),
            10.0,
            Figure("closed loop", "p99"),
        ),
        Relation::AtLeast(Figure("open loop", "p99"), 500_000_000.0),
        Relation::AtLeast(Figure("closed loop", "longest"), 500_000_000.0),
    ],
    explanation: "A closed loop sends least when the server is slowest, so it measures the good times best: \
coordinated omission (Gil Tene). Its longest time gives the stall away, its percentiles do not. The open loop measures \
from when a message was due, whether it could be sent or not; from when they were sent, its messages would show as \
little. Both load the same server at the same time, 5 \
connections each, about 1 000 messages a second in all; the stall begins 600 ms after the first.",
    doubt: "A closed loop on a machine that is busy sends so little that 5 messages are more than 1 % of them.",
    run,
};

const CONNECTIONS: usize = 5;
const RATE: f64 = 1_000.0;
const TIME: Duration = Duration::from_millis(2400);

/// What a client of the closed loop does between an answer and its next message.
const THINK: Duration = Duration::from_millis(5);

fn run(limit: &Limit) -> io::Result<Measured> {
    let stall = Stall {
        at: Duration::from_millis(600),
        length: Duration::from_secs(1),
    };
    let faults = Faults {
        stalls: vec![stall],
        ..Faults::default()
    };
    let server = Serving::start_faulty(config(), Echo, &faults)?;
    let closed = Plan {
        think: THINK,
        ..plan(server.tcp(), CONNECTIONS, TIME)
    };
    let open = Plan {
        rate: Some(Profile::constant(RATE)),
        ..plan(server.tcp(), CONNECTIONS, TIME)
    };
    let (closed, open) = thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, || load(closed, limit))?;
        let open = load(open, limit);
        let closed = other.join().expect("a load does not panic");
        io::Result::Ok((closed?, open?))
    })?;
    server.finish()?;
    let mut measured = Measured::default();
    for (subject, times) in [
        ("closed loop", &closed.latency.service),
        ("open loop", &open.latency.response),
        ("open, from sent", &open.latency.service),
    ] {
        measured.put(subject, "messages", times.len() as f64, Unit::Count);
        for (quantity, quantile) in [
            ("median", 0.5),
            ("p90", 0.9),
            ("p99", 0.99),
            ("longest", 1.0),
        ] {
            let time = times.value_at_quantile(quantile) as f64;
            measured.put(subject, quantity, time, Unit::Nanoseconds);
        }
    }
    Ok(measured)
}
