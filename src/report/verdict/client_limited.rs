//! Whether this client was the bottleneck.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::Case;
use crate::report::percentiles::percentile;
use crate::report::units::{count, percent, percentile_name, time};

/// How busy this client may be in an open loop. Beyond that, messages wait for it: by the theory of queues ten times
/// as long as it takes to serve one.
const BUSY_MAX: f64 = 0.9;

/// How busy it may be in a closed loop, where it has nothing to be late for. Beyond that, it was never the server that
/// was waited for.
const BUSY_MAX_CLOSED: f64 = 0.97;

/// How late this client may be by itself, in nanoseconds, whatever the server takes: a punctual sleep is no better.
const LAG_MAX: u64 = 100_000;

/// How much of the response time may be this client's own lateness.
const LAG_SHARE_MAX: f64 = 0.1;

/// The percentiles at which lateness is looked for: the first of which there are enough samples.
const LAG_PERCENTILES: [f64; 4] = [99.0, 95.0, 90.0, 50.0];

/// How much of the time this client may be paused. More, and the slowest hundredth of the messages is its own doing.
const PAUSED_MAX: f64 = 0.01;

/// How much of the time its thread may wait for a processor, if the waits are a visible part of the service time.
const QUEUED_MAX: f64 = 0.05;

/// Less is a time slice or two of another program, in a short run.
const QUEUED_MIN: Duration = Duration::from_millis(10);

/// How long a wait may be on average, as a part of the mean service time. A server whose threads run on the client's core
/// for microseconds does not change times of milliseconds.
const QUEUED_SERVICE_MAX: f64 = 0.05;

/// How many of the replies may be dropped by the kernel because our own receive buffer is full.
pub(super) const OVERFLOW_MAX: f64 = 0.01;

/// How many of the attempts to connect may fail for want of descriptors, ports or memory.
const LOCAL_FAILURES_MAX: f64 = 0.001;

/// The causes, the most telling first.
pub(super) fn rule(case: &Case<'_>) -> Option<String> {
    exhausted(case)
        .or_else(|| paused(case))
        .or_else(|| overflowed(case))
        .or_else(|| queued(case))
        .or_else(|| busy(case))
        .or_else(|| late(case))
}

fn exhausted(case: &Case<'_>) -> Option<String> {
    let connections = &case.outcome.connections;
    let failed = connections.failed_locally;
    (failed as f64 > connections.attempted as f64 * LOCAL_FAILURES_MAX).then(|| {
        let local = [
            "EADDRNOTAVAIL",
            "EADDRINUSE",
            "EAGAIN",
            "EMFILE",
            "ENFILE",
            "ENOBUFS",
            "ENOMEM",
        ];
        let errors = case.outcome.errors.keys();
        let named: Vec<&str> = errors
            .map(|(_, name)| name.as_str())
            .filter(|name| local.contains(name))
            .collect();
        format!(
            "This machine had no ports, descriptors or memory left for {} to connect ({}): use fewer connections, \
             less --churn, or --close rst.",
            count(failed, "attempt"),
            named.join(", ")
        )
    })
}

/// Its own receive buffers were too small.
fn overflowed(case: &Case<'_>) -> Option<String> {
    let messages = &case.outcome.messages;
    let share = messages.share(messages.local_overflow);
    (share > OVERFLOW_MAX).then(|| {
        format!(
            "This client's own receive buffer had no room for {} ({}): enlarge it with --rcvbuf, or lower --rate.",
            count(messages.local_overflow, "reply"),
            percent(share)
        )
    })
}

fn paused(case: &Case<'_>) -> Option<String> {
    let client = &case.outcome.client;
    let measured = client.observed;
    if measured.is_zero() {
        return None;
    }
    let share = client.paused.as_secs_f64() / measured.as_secs_f64();
    (share > PAUSED_MAX).then(|| {
        format!(
            "This client was late for its own timer, by {} of {} in all ({}) and once by {}: it was stopped, kept off \
             the processor, or held up by a system call. Run it where it is not disturbed.",
            time(client.paused.as_nanos() as u64),
            time(measured.as_nanos() as u64),
            percent(share),
            time(client.longest_pause.as_nanos() as u64)
        )
    })
}

fn queued(case: &Case<'_>) -> Option<String> {
    let client = &case.outcome.client;
    let measured = client.observed;
    let waited = client.run_queue_wait.filter(|_| !measured.is_zero())?;
    let share = waited.as_secs_f64() / measured.as_secs_f64();
    // An iteration waits once at most.
    let each = waited.as_nanos() as f64 / client.turns.count.max(1) as f64;
    let service = case.outcome.latency.service.mean();
    let long = waited >= QUEUED_MIN;
    (long && share > QUEUED_MAX && each > service * QUEUED_SERVICE_MAX).then(|| {
        format!(
            "This client was ready to run and waited for a processor {} of the time, more than {}, and {} at a time on \
             average: other programs took its core. Give it a core of its own.",
            percent(share),
            percent(QUEUED_MAX),
            time(each.round() as u64)
        )
    })
}

fn busy(case: &Case<'_>) -> Option<String> {
    let busy = case.outcome.client.busy_share();
    let (most, remedy) = if case.plan.is_open() {
        (
            BUSY_MAX,
            "so messages waited for it: lower --rate, or give it a core of its own",
        )
    } else {
        (
            BUSY_MAX_CLOSED,
            "so it never waited for the server: give it a core of its own, or let several clients share the load",
        )
    };
    (busy > most).then(|| {
        format!(
            "This client was busy {} of the time, more than {}, {remedy}.",
            percent(busy),
            percent(most)
        )
    })
}

/// Late in itself, and in comparison with the response.
fn late(case: &Case<'_>) -> Option<String> {
    if !case.plan.is_open() {
        return None;
    }
    let latency = &case.outcome.latency;
    let (name, lag, response) = same_percentile(&latency.lag, &latency.response)?;
    let share = lag as f64 / response as f64;
    (lag > LAG_MAX && share > LAG_SHARE_MAX).then(|| {
        format!(
            "This client was late by itself: {name} of its lag is {}, more than {} and {} of the response {name} of {}, \
             more than {}. Give it a core of its own, or use --timer spin.",
            time(lag),
            time(LAG_MAX),
            percent(share),
            time(response),
            percent(LAG_SHARE_MAX)
        )
    })
}

/// The highest percentile of which both have enough samples; the median of few.
fn same_percentile(lag: &Histogram<u64>, response: &Histogram<u64>) -> Option<(String, u64, u64)> {
    let mut wanted = LAG_PERCENTILES.into_iter();
    let found = wanted.find_map(|wanted| {
        let name = format!("p{}", percentile_name(wanted));
        Some((
            name,
            percentile(lag, wanted)?,
            percentile(response, wanted)?,
        ))
    });
    found.or_else(|| {
        let some = !lag.is_empty() && !response.is_empty();
        let median = |times: &Histogram<u64>| times.value_at_quantile(0.5);
        some.then(|| ("the median".to_owned(), median(lag), median(response)))
    })
}
