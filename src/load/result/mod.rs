//! What a load counts and measures.

pub(crate) mod after_reply;
pub(crate) mod client;
pub(crate) mod errno;
pub(crate) mod in_flight;
pub(crate) mod intervals;
pub(crate) mod iteration_work;
pub(crate) mod messages;
pub(crate) mod outcome;
pub(crate) mod overflow;
pub(crate) mod progress;
pub(crate) mod recorder;
pub(crate) mod run_queue;
