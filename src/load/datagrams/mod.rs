//! Flows of UDP datagrams.

pub(crate) mod awaited;
pub(crate) mod expired;
pub(crate) mod flow;
pub(crate) mod header;
pub(crate) mod jitter;
pub(crate) mod payload;
pub(crate) mod refusals;
pub(crate) mod sequence_window;
