//! An event-driven, non-blocking reactor: one thread, one poll loop, many TCP clients and UDP.

pub mod connection;
pub mod probe;
pub mod reactor;
pub mod service;
