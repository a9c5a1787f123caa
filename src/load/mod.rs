//! The load generator: many connections, or flows of datagrams, that send what is due and verify what comes back.
//!
//! A role on the same [`Reactor`](crate::reactor::Reactor) as the server. Nothing of it grows with how long it runs.
//!
//! # Coordinated omission
//!
//! A load that waits for an answer before it sends the next message sends least when the server is slowest, and so
//! measures the good times best. With a rate, when a message is due depends on the schedule alone, and what is
//! measured begins then ([`Latency::response`]). What is measured from when it was sent
//! ([`Latency::service`]) is what a closed loop would report. (Gil Tene, "How NOT to Measure Latency".)
//!
//! # The client is part of what is measured
//!
//! How late this program was itself, when nothing but itself kept it from sending, is told apart
//! ([`Latency::lag`]), and how busy it was ([`Client::busy_share`]).

mod answers;
mod arrivals;
mod backoff;
mod book;
mod connection;
mod draft;
mod ending;
mod errno;
mod expired;
mod flight;
mod flow;
mod header;
mod in_flight;
mod intervals;
mod jitter;
mod messages;
mod mismatch;
mod opening;
mod outcome;
mod overflow;
mod pacer;
mod pattern;
mod pauses;
mod phase;
mod plan;
mod ports;
mod progress;
mod random;
mod rate;
mod recorder;
mod refusals;
mod run;
mod run_queue;
mod shared;
mod sizes;
mod socket;
mod terminator;
mod tick;
mod timers;
mod verifying;
mod window;

use std::time::Duration;

pub use header::SIZE as NUMBERED_MIN;
pub use messages::{Messages, State};
pub(crate) use outcome::histogram;
pub use outcome::{
    Client, Closes, Connections, Datagrams, INTERVALS_MAX, Interval, Latency, MISMATCHES_MAX,
    Mismatch, MismatchKind, Outcome, Server, Step,
};
pub(crate) use overflow::dropped;
pub use plan::{
    Arrival, Churn, Close, DATAGRAM_MAX, MESSAGE_MAX, PIPELINE_MAX, Plan, Reply, Stop, Verify,
};
pub use ports::port_range;
pub use rate::Profile;
pub use run::Load;
pub use sizes::Sizes;
pub use tick::Tick;
#[doc(hidden)]
pub use verifying::verifying;

/// The time from one stamp to another, in nanoseconds; 0 if the second is not later. All times that a load measures are
/// computed here: a difference of two stamps that are not in order must not wrap.
const fn elapsed(from: u64, to: u64) -> u64 {
    to.saturating_sub(from)
}

/// A time in nanoseconds, or the longest there is.
fn nanoseconds(time: Duration) -> u64 {
    // Half of what fits, so that adding two does not overflow.
    u64::try_from(time.as_nanos())
        .unwrap_or(u64::MAX)
        .min(u64::MAX / 4)
}
