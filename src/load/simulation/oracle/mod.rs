//! Recomputes the result of a load from the log of what it did to its sockets. Of the load it knows the type of the result,
//! and nothing else.

mod account;
mod compare;
mod facts;
mod flows;
mod schedule;
mod streams;
mod totals;

pub(crate) use self::facts::Facts;
use self::totals::Totals;
use super::SimulatedRun;
use super::log::{Entry, What};
use super::settings::Settings;
use crate::load::result::outcome::Outcome;

/// Checks the result of `run`. Returns how many messages there were.
pub(super) fn check(run: &SimulatedRun) -> u64 {
    let Ok(outcome) = &run.result else {
        check_failure(&run.world.log, &run.world.settings);
        return 0;
    };
    assert_eq!(outcome.internal_error, None);
    assert_eq!(outcome.messages.ended(), outcome.messages.offered);
    compare::check(&totals(run, outcome))
}

/// What the log of `run` says that its verdict depends on. `None` if the log does not show every message's end, or no server
/// was reached.
pub(super) fn facts(run: &SimulatedRun) -> Option<Facts> {
    let totals = totals(run, run.result.as_ref().ok()?);
    (!totals.is_ambiguous()).then(|| Facts::of(&totals))
}

fn totals<'a>(run: &'a SimulatedRun, outcome: &'a Outcome) -> Totals<'a> {
    let (log, settings) = (&run.world.log, &run.world.settings);
    let from = outcome.measured_from.as_nanos() as u64;
    if settings.udp {
        let replay = flows::Replay::of(log, settings, from);
        Totals::new(replay.account, log, settings, outcome).with_datagrams(replay.datagrams)
    } else {
        let mut replay = streams::Replay::of(log, settings, from);
        replay.withdraw_untaken();
        let end = outcome.length.as_nanos() as u64;
        replay.count_hung(settings.timeout, end);
        Totals::new(replay.account, log, settings, outcome)
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
