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

mod connections;
mod counters;
mod datagrams;
mod host;
mod next_step;
mod phase;
mod plan;
mod result;
mod run;
mod schedule;
mod shared;
#[cfg(test)]
pub(crate) mod simulation;
mod tick;
mod time;
mod verify;

pub use connections::sources::port_range;
pub use counters::Counters;
pub use datagrams::header::SIZE as NUMBERED_MIN;
pub use host::{Host, SystemHost};
pub use plan::{Arrival, Churn, Close, MESSAGE_MAX, PIPELINE_MAX, Plan, Reply, Stop, Verify};
pub use result::messages::{Messages, State};
pub(crate) use result::outcome::histogram;
pub use result::outcome::{
    Client, Closes, Connections, Datagrams, INTERVALS_MAX, Interval, Latency, MISMATCHES_MAX,
    Mismatch, MismatchKind, Outcome, Server, Step,
};
pub use run::Load;
pub use schedule::rate::Profile;
pub use schedule::sizes::Sizes;
pub use tick::Tick;
#[doc(hidden)]
pub use verify::verifying::verifying;
