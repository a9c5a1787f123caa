//! What a report has besides the result of the load: where it ran, and what it cost.

use std::fs;

use echoloop::load::{Outcome, Plan};
use echoloop::reactor::Timer;
use echoloop::report::{Context, ServerFigures};
use jiff::Timestamp;

use super::driven::Costs;
use crate::args::BenchArgs;

/// What this client itself has used.
pub(super) fn note_costs(costs: &Costs, context: &mut Context) {
    if !costs.measured {
        return;
    }
    context.cpu = Some(costs.client_cpu);
    context.rss_bytes = Some(costs.memory);
    log::info!(
        "resident memory of this client: {} KiB when measuring began, {} KiB at the end",
        costs.memory_from / 1024,
        costs.memory / 1024
    );
}

/// When the measured window began, of a load that was created at `created`. `None` if it never did.
pub(super) fn measured_from(created: Timestamp, outcome: &Outcome) -> Option<String> {
    let began = created.checked_add(outcome.measured_from).ok()?;
    (!outcome.measured.is_zero()).then(|| began.to_string())
}

/// The part of the context that is known before the run.
pub(super) fn context(args: &BenchArgs) -> Context {
    let version = fs::read_to_string("/proc/sys/kernel/osrelease");
    Context {
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        started_at: Some(Timestamp::now().to_string()),
        size: args
            .load
            .message
            .is_none()
            .then(|| args.load.size.1.clone()),
        rate: args.load.rate.as_ref().map(|rate| rate.1.clone()),
        labels: args.label.clone(),
        os: version
            .ok()
            .map(|version| format!("linux {}", version.trim())),
        ..Context::default()
    }
}

pub(super) const fn timer_name(timer: Timer) -> &'static str {
    match timer {
        Timer::Poll => "poll",
        Timer::Spin => "timerfd+spin",
        Timer::Timerfd => "timerfd",
    }
}

/// What the server has used, if that was measured.
pub(super) fn server(pid: u32, costs: &Costs, plan: &Plan) -> Option<ServerFigures> {
    let used = costs.server?;
    let all = (plan.connections + plan.idle) as f64;
    Some(ServerFigures {
        pid,
        cpu: used.cpu,
        rss_bytes: used.resident_bytes,
        anonymous_bytes: used.anonymous_bytes,
        bytes_per_connection: costs.server_growth.map(|growth| growth as f64 / all),
        ctx_voluntary: used.switches.voluntary,
        ctx_involuntary: used.switches.involuntary,
    })
}
