//! A load on the calling thread.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::limit::Limit;
use super::pairs::affordable;
use crate::load::{Close, Load, Outcome, Plan, Stop};
use crate::reactor::{Reactor, Timer};

/// A load of `connections` in a closed loop on the server at `address`, for so long.
pub(super) fn plan(address: SocketAddr, connections: usize, time: Duration) -> Plan {
    Plan {
        targets: vec![address],
        connections,
        stop: Stop::After(time),
        warmup: Duration::ZERO,
        connect_timeout: Duration::from_secs(2),
        drain: Duration::from_millis(100),
        // Leaves nothing behind in the kernel: experiments come close upon one another.
        close: Close::Reset,
        ..Plan::new()
    }
}

/// Carries out `plan`.
///
/// # Errors
///
/// Those of the loop and of connecting; `TimedOut` if there is no time for it.
pub(super) fn load(plan: Plan, limit: &Limit) -> io::Result<Outcome> {
    load_and(plan, limit, || ()).map(|(outcome, ())| outcome)
}

/// Carries out `plan`, and calls `look` while its connections are still there.
///
/// # Errors
///
/// The same.
pub(super) fn load_and<T>(
    plan: Plan,
    limit: &Limit,
    look: impl FnOnce() -> T,
) -> io::Result<(Outcome, T)> {
    // Both ends are in this program.
    affordable(plan.connections, plan.connections)?;
    let mut reactor = Reactor::with_timer(Timer::Timerfd)?;
    let mut load = Load::new(plan, |_| ())?;
    limit.run(&mut reactor, &mut load)?;
    let seen = look();
    Ok((load.finish()?, seen))
}
