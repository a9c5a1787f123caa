//! When messages are due, how long they are, and how late this client is. No socket, no clock, no counts.

pub(crate) mod arrivals;
pub(crate) mod backoff;
pub(crate) mod message;
pub(crate) mod pacer;
pub(crate) mod pauses;
pub(crate) mod random;
pub(crate) mod rate;
pub(crate) mod shared_schedule;
pub(crate) mod sizes;
