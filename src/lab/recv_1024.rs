//! A stream in pieces of 1 KiB, or of 16.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::counted::{Calls, Counting};
use super::limit::Limit;
use super::loading::{load, plan};
use super::serving::{Serving, config};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::load::{Plan, Sizes};
use crate::reactor::EVENTS_PER_POLL;
use crate::service::Echo;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "recv-1024",
    question: "What does a literal recv(1024) at a time cost a stream, against reading 16 KiB ahead?",
    prediction: "1 024 reads for each MiB at least, each with a write of its own, against some 64 of both: at least 4 \
times as many system calls, and less throughput. What is handed to the service is at most 1 024 bytes either way.",
    expected: &[
        Relation::AtLeast(Figure("recv(1024)", "reads"), 1024.0),
        Relation::Times(
            Figure("recv(1024)", "calls"),
            4.0,
            Figure("16 KiB ahead", "calls"),
        ),
        Relation::Times(
            Figure("16 KiB ahead", "throughput"),
            1.0,
            Figure("recv(1024)", "throughput"),
        ),
    ],
    explanation: "A system call costs about the same for 1 KiB as for 16: the way into the kernel and back. How much a \
program reads at once and how much it works on at once need not be the same: the server reads ahead into one \
buffer that all clients share, cuts that into messages, and writes the answers to all of them together. One \
connection, messages of 1 MiB, every byte echoed and verified.",
    doubt: "Calls do not depend on the machine's mood, throughput does: client and server share its cores.",
    run,
};

const SIZE: usize = 1024 * 1024;
const TIME: Duration = Duration::from_millis(800);

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    for (subject, read_ahead) in [("recv(1024)", 1024), ("16 KiB ahead", 16 * 1024)] {
        let mut config = config();
        config.read_ahead = NonZeroUsize::new(read_ahead).expect("not zero");
        let calls = Arc::new(Calls::default());
        let counting = Counting(calls.clone());
        let server = Serving::start_with(EVENTS_PER_POLL, config, Echo, counting)?;
        let plan = Plan {
            sizes: Sizes::fixed(SIZE),
            ..plan(server.tcp(), 1, TIME)
        };
        let outcome = load(plan, limit)?;
        let moved = server.finish()?.counters.clients.moved;
        let mebibytes = moved.received_bytes as f64 / SIZE as f64;
        let (reads, writes) = (calls.reads() as f64, calls.writes() as f64);
        for (quantity, count) in [
            ("calls", reads + writes),
            ("reads", reads),
            ("writes", writes),
        ] {
            measured.put(subject, quantity, count / mebibytes, Unit::PerMebibyte);
        }
        let throughput = outcome.bytes_received as f64 / outcome.measured.as_secs_f64();
        measured.put(subject, "throughput", throughput, Unit::BytesPerSecond);
    }
    Ok(measured)
}
