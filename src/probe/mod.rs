//! What happened, as plain numbers.
//!
//! Counters only ever grow, and each limit has one that says when it bit.

mod counters;
mod throttle;

pub use counters::{ClientCounters, Closed, Counters, DatagramCounters, Refused, Turns};
pub use throttle::Throttle;
