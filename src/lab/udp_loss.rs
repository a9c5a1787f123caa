//! Datagrams that somebody had no room for.

use std::io;
use std::time::Duration;

use super::limit::Limit;
use super::loading::{load, plan};
use super::pairs::anywhere;
use super::serving::{Serving, config};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::load::{Plan, Profile};
use crate::reactor::{BufferSizes, DialOptions};
use crate::service::{Echo, Faults, Stall};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "udp-loss",
    question: "Where do datagrams go that come faster than a receive buffer is emptied, and can every one be \
accounted for?",
    prediction: "Lost without a word, some at the server, which stands still for 200 ms, and some here, where the buffer is \
small. Each is counted once: sent is answered and lost; lost is what had no room there, what had none here, and next to nothing that came too late.",
    expected: &[
        Relation::Sum(SENT, &[ANSWERED, LOST]),
        Relation::Sum(LOST, &[THERE, HERE, LATE]),
        Relation::AtLeast(THERE, 1.0),
        Relation::AtLeast(HERE, 1.0),
        // What is left over: a count that was wrong would show here.
        Relation::Below(LATE, 80.0),
    ],
    explanation: "UDP has no backpressure: what does not fit into the receive buffer of a socket is dropped by the \
kernel, which tells nobody but a counter (/proc/net/udp). Each datagram of the load carries its number, so what got no \
answer is known and not guessed; and what the load's own buffer, the smallest there is, had no room for is told apart, because \
it says nothing of the server or the network. 10 000 datagrams a second for 0.8 s.",
    doubt: "A server whose system gives sockets a large buffer can keep everything while it stands still.",
    run,
};

const SENT: Figure = Figure("datagrams", "sent");
const ANSWERED: Figure = Figure("datagrams", "answered");
const LOST: Figure = Figure("datagrams", "lost");
const THERE: Figure = Figure("datagrams", "no room there");
const HERE: Figure = Figure("datagrams", "no room here");
const LATE: Figure = Figure("datagrams", "too late");

const RATE: f64 = 10_000.0;
const TIME: Duration = Duration::from_millis(800);

/// How much room the load has for answers, in bytes: the least there is (socket(7)).
const ROOM: usize = 1;

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut config = config().with_udp(anywhere());
    // A pure echo.
    config.udp_suffix.clear();
    let stall = Stall {
        at: Duration::from_millis(300),
        length: Duration::from_millis(200),
    };
    let faults = Faults {
        stalls: vec![stall],
        ..Faults::default()
    };
    let server = Serving::start_faulty(config, Echo, &faults)?;
    let plan = Plan {
        udp: true,
        rate: Some(Profile::constant(RATE)),
        pipeline: 1 << 16,
        timeout: Duration::from_secs(1),
        drain: Duration::from_secs(1),
        dial: DialOptions {
            buffers: BufferSizes {
                receive: Some(ROOM),
                ..BufferSizes::default()
            },
            ..DialOptions::default()
        },
        ..plan(server.udp(), 1, TIME)
    };
    let outcome = load(plan, limit)?;
    let unknown = || io::Error::other("the system does not count what its sockets have dropped");
    let served = server.finish()?.counters.datagrams;
    let datagrams = outcome.udp.unwrap_or_default();
    let here = datagrams.overflow.ok_or_else(unknown)?;
    let late = served.answered.saturating_sub(datagrams.received + here);
    let mut measured = Measured::default();
    let answered = datagrams.received - datagrams.duplicate - datagrams.foreign - datagrams.corrupt;
    for (Figure(subject, quantity), count) in [
        (SENT, datagrams.sent),
        (ANSWERED, answered),
        (LOST, datagrams.lost),
        (THERE, served.overflowed + served.send_blocked),
        (HERE, here),
        // Sent when nobody waited for them any more.
        (LATE, late),
    ] {
        measured.put(subject, quantity, count as f64, Unit::Count);
    }
    Ok(measured)
}
