//! A load, made up, for tests to tell of.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::context::{Context, ServerFigures};
use crate::load::{
    Client, Connections, Datagrams, Interval, Messages, Mismatch, MismatchKind, Outcome, Plan,
    Profile, Sizes,
};
use crate::probe::Turns;

const SECOND: Duration = Duration::from_secs(1);

/// An open loop of 50 000 messages a second for ten seconds.
pub(super) fn plan() -> Plan {
    Plan {
        targets: vec!["127.0.0.1:7000".parse().unwrap()],
        connections: 200,
        rate: Some(Profile::constant(50_000.0)),
        sizes: Sizes::fixed(128),
        ..Plan::new()
    }
}

/// Messages that were all replied to, the last 20 after the window.
pub(super) fn messages() -> Messages {
    Messages {
        offered: 500_000,
        replied: 500_000,
        sent_in_window: 500_000,
        completed_in_window: 499_980,
        ..Messages::default()
    }
}

/// Its result, if all went well.
pub(super) fn outcome() -> Outcome {
    let mut outcome = Outcome::new(false, &plan().targets);
    (outcome.measured_from, outcome.measured) = (SECOND, SECOND * 10);
    outcome.length = SECOND * 11;
    outcome.messages = messages();
    outcome.servers[0].messages = messages();
    (outcome.servers[0].attempted, outcome.servers[0].established) = (200, 200);
    (outcome.bytes_sent, outcome.bytes_received) = (64_000_000, 63_997_440);
    outcome.connections = Connections {
        attempted: 200,
        established: 200,
        most: 200,
        at_end: 200,
        ..Connections::default()
    };
    let latency = &mut outcome.latency;
    let bands = [300_000, 180_000, 18_000, 1_700, 299, 1];
    record(
        &mut latency.response,
        bands,
        [61, 104, 214, 1310, 2900, 3020],
    );
    record(&mut latency.service, bands, [58, 97, 198, 1020, 2110, 2400]);
    record(&mut latency.lag, bands, [4, 7, 11, 96, 880, 910]);
    record(
        &mut latency.connect,
        [150, 48, 1, 0, 0, 1],
        [112, 180, 240, 1, 1, 310],
    );
    outcome.intervals = (1..=10).map(interval).collect();
    outcome.client = Client {
        busy: Duration::from_millis(5_800),
        waiting: Duration::from_millis(4_200),
        observed: SECOND * 10,
        paused: Duration::ZERO,
        longest_pause: Duration::ZERO,
        run_queue_wait: Some(Duration::from_millis(20)),
        reads: 500_100,
        writes: 500_000,
        would_block: 100,
        turns: Turns {
            count: 149_900,
            events: 500_400,
            full_batches: 3,
            interrupted: 0,
        },
    };
    outcome
}

/// Where and how it ran.
pub(super) fn context() -> Context {
    let text = |text: &str| Some(text.to_owned());
    Context {
        version: text("0.1.0"),
        started_at: text("2026-09-01T10:00:00Z"),
        measured_from: text("2026-09-01T10:00:01Z"),
        ended_at: text("2026-09-01T10:00:11Z"),
        failures_max: None,
        targets: vec!["tcp://127.0.0.1:7000".to_owned()],
        size: text("128"),
        rate: text("50k"),
        labels: vec![("branch".to_owned(), "main".to_owned())],
        os: text("linux 6.18"),
        cpus: Some(2),
        fd_limit: Some(20_000),
        timer: text("precise"),
        cpu: Some(Duration::from_millis(5_800)),
        rss_bytes: Some(9_541_632),
        server: Some(ServerFigures {
            pid: 4711,
            cpu: Duration::from_millis(7_100),
            rss_bytes: 9_541_632,
            anonymous_bytes: 1_048_576,
            bytes_per_connection: Some(1_240.0),
            ctx_voluntary: 12_345,
            ctx_involuntary: 6,
        }),
        warnings: vec!["Client and server share 2 processors.".to_owned()],
        goals: ["p99<5ms", "rate>50k"]
            .map(|goal| {
                goal.parse::<super::Goal>()
                    .unwrap()
                    .judge(&outcome(), &plan())
            })
            .to_vec(),
    }
}

/// Figures of numbered datagrams, a few of which were lost.
pub(super) fn datagrams() -> Datagrams {
    Datagrams {
        numbered: true,
        sent: 500_000,
        received: 499_990,
        lost: 12,
        late: 1,
        duplicate: 2,
        reordered: 4,
        reorder_extent: 2,
        corrupt: 0,
        foreign: 0,
        overflow: Some(0),
        jitter_ns: 8_000,
    }
}

/// A server that adds something to its answers.
pub(super) fn mismatch() -> Mismatch {
    Mismatch {
        connection: 7,
        local: Some("127.0.0.1:40000".parse().unwrap()),
        offset: 6_400,
        expected: Vec::new(),
        got: b"| lee".to_vec(),
        kind: MismatchKind::Surplus,
    }
}

/// The second that ends after so many.
pub(super) fn interval(end: u32) -> Interval {
    Interval {
        end: SECOND * end,
        length: SECOND,
        sent: 50_000,
        replied: 50_000,
        failures: 0,
        timeouts: 0,
        errors: 0,
        in_flight: 9,
        busy: 0.58,
        p50: 61_023,
        p99: 214_015,
        max: 1_100_799,
    }
}

/// So many times of so many microseconds each.
fn record(times: &mut Histogram<u64>, counts: [u64; 6], microseconds: [u64; 6]) {
    let pairs = counts.into_iter().zip(microseconds);
    for (count, time) in pairs.filter(|(count, _)| *count > 0) {
        times.record_n(time * 1000, count).unwrap();
    }
}
