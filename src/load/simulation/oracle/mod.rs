//! Recomputes the result of a load from the log of what it did to its sockets. Of the load it knows the type of the result,
//! and nothing else.

mod account;
mod flows;
mod schedule;
mod streams;
mod totals;

use super::SimulatedRun;
use super::log::{Entry, What};
use super::settings::Settings;

/// Checks the result of `run`. Returns how many messages there were.
pub(super) fn check(run: &SimulatedRun) -> u64 {
    let world = &run.world;
    let (log, settings) = (&world.log, &world.settings);
    let Ok(outcome) = &run.result else {
        check_failure(log, settings);
        return 0;
    };
    assert_eq!(outcome.internal_error, None);
    assert_eq!(outcome.messages.ended(), outcome.messages.offered);
    let from = outcome.measured_from.as_nanos() as u64;
    if settings.udp {
        let replay = flows::Replay::of(log, settings, from);
        let datagrams = outcome.udp.as_ref().unwrap();
        totals::check_datagrams(&replay.datagrams, datagrams, settings);
        let uncertain = replay.datagrams.uncertain;
        let totals = totals::Totals::new(replay.account, log, settings, outcome);
        totals.with_uncertain(uncertain).check()
    } else {
        let mut replay = streams::Replay::of(log, settings, from);
        replay.withdraw_untaken();
        let end = outcome.length.as_nanos() as u64;
        replay.count_hung(settings.timeout, end);
        totals::Totals::new(replay.account, log, settings, outcome).check()
    }
}

/// The load said that no server could be reached: none was, or every datagram was refused.
fn check_failure(log: &[Entry], settings: &Settings) {
    let any = |is: fn(&What) -> bool| log.iter().any(|entry| is(&entry.what));
    if !any(|what| matches!(what, What::Running)) {
        return;
    }
    assert!(settings.udp, "it failed although it was connected");
    let was_refused =
        any(|what| matches!(what, What::SendFailed { .. } | What::ReceiveFailed { .. }));
    let has_received = any(|what| matches!(what, What::Received { .. }));
    assert!(was_refused && !has_received);
}
