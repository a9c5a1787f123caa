//! `echoloop bench`: a plan carried out, and what came of it told.

mod driven;
mod plan;
mod preflight;
mod usage;

use std::process::ExitCode;

use echoloop::load::Load;
use echoloop::reactor::Reactor;

use self::driven::Driven;
use crate::Failure;
use crate::args::{BenchArgs, DoctorArgs};

/// Loads a server, and says what that has shown.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let plan = plan::plan(&args.load, args.interval)?;
    let timer = plan::timer(args.load.timer);
    let mut reactor =
        Reactor::with_timer(timer).map_err(|error| Failure::cannot("start the loop", &error))?;
    let load = Load::new(plan, |tick| log::debug!("{tick:?}"))
        .map_err(|error| Failure::cannot("begin", &error))?;
    let mut driven = Driven::new(load, args.server_pid, &reactor)
        .map_err(|error| Failure::cannot("watch for signals", &error))?;
    reactor
        .run(&mut driven)
        .map_err(|error| Failure::cannot("wait for events", &error))?;
    let outcome = driven
        .load
        .finish()
        .map_err(|error| Failure::cannot("connect", &error))?;
    let h = |h: &hdrhistogram::Histogram<u64>| {
        format!(
            "n {} p50 {} p99 {} max {}",
            h.len(),
            h.value_at_quantile(0.5),
            h.value_at_quantile(0.99),
            h.max()
        )
    };
    println!(
        "{:#?} {:?} {:?} {:?}",
        outcome.messages, outcome.connections, outcome.errors, outcome.udp
    );
    println!(
        "measured {:?} busy {:.3} {:?}",
        outcome.measured,
        outcome.client.busy_share(),
        outcome.client
    );
    println!("service  {}", h(&outcome.latency.service));
    println!("response {}", h(&outcome.latency.response));
    println!("lag      {}", h(&outcome.latency.lag));
    println!("connect  {}", h(&outcome.latency.connect));
    println!("{:?}", outcome.mismatches);
    println!("costs {:?} turns {:?}", driven.costs, reactor.turns());
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn doctor(_args: &DoctorArgs) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
