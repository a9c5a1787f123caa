//! What both ends have cost, as JSON.

use std::time::Duration;

use serde::Serialize;

use super::busy_share;
use super::context::Context;
use super::settings::nanoseconds;
use crate::load::Outcome;

#[derive(Debug, Serialize)]
pub(super) struct Client {
    busy: Option<f64>,
    busy_ns: u64,
    waiting_ns: u64,
    observed_ns: u64,
    paused_ns: u64,
    longest_pause_ns: u64,
    run_queue_wait_ns: Option<u64>,
    cpu_ns: Option<u64>,
    cpu_ns_per_message: Option<u64>,
    rss_bytes: Option<u64>,
    reads: u64,
    writes: u64,
    would_block: u64,
    turns: u64,
    events: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Server {
    pid: u32,
    cpu_ns: u64,
    cpu_ns_per_message: Option<u64>,
    rss_bytes: u64,
    anonymous_bytes: u64,
    bytes_per_connection: Option<f64>,
    ctx_voluntary: u64,
    ctx_involuntary: u64,
}

impl Client {
    pub(super) fn of(outcome: &Outcome, context: &Context) -> Self {
        let client = &outcome.client;
        Self {
            busy: busy_share(outcome),
            busy_ns: nanoseconds(client.busy),
            waiting_ns: nanoseconds(client.waiting),
            observed_ns: nanoseconds(client.observed),
            paused_ns: nanoseconds(client.paused),
            longest_pause_ns: nanoseconds(client.longest_pause),
            run_queue_wait_ns: client.run_queue_wait.map(nanoseconds),
            cpu_ns: context.cpu.map(nanoseconds),
            cpu_ns_per_message: context.cpu.and_then(|cpu| per_message(cpu, outcome)),
            rss_bytes: context.rss_bytes,
            reads: client.reads,
            writes: client.writes,
            would_block: client.would_block,
            turns: client.turns.count,
            events: client.turns.events,
        }
    }
}

impl Server {
    /// `None` if nothing is known of it.
    pub(super) fn of(outcome: &Outcome, context: &Context) -> Option<Self> {
        let figures = context.server.as_ref()?;
        Some(Self {
            pid: figures.pid,
            cpu_ns: nanoseconds(figures.cpu),
            cpu_ns_per_message: per_message(figures.cpu, outcome),
            rss_bytes: figures.rss_bytes,
            anonymous_bytes: figures.anonymous_bytes,
            bytes_per_connection: figures.bytes_per_connection,
            ctx_voluntary: figures.ctx_voluntary,
            ctx_involuntary: figures.ctx_involuntary,
        })
    }
}

/// A time divided by the messages completed in it, in nanoseconds; `None` if there were none.
fn per_message(time: Duration, outcome: &Outcome) -> Option<u64> {
    nanoseconds(time).checked_div(outcome.messages.completed_in_window)
}
