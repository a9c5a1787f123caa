//! Remarks that do not change the verdict.

use super::Case;
use super::client_limited::OVERFLOW_MAX;
use crate::load::Verify;
use crate::report::units::{count, thousands};

pub(super) fn remarks(case: &Case<'_>) -> Vec<String> {
    let (outcome, plan) = (case.outcome, case.plan);
    let connections = &outcome.connections;
    let mut remarks = Vec::new();
    if outcome.interrupted {
        remarks.push("Interrupted: results are partial.".to_owned());
    }
    let most = connections.most;
    let wanted = (plan.connections + plan.idle) as u64;
    if most < wanted {
        remarks.push(format!(
            "At most {} of {} were there at once, so the load of the others is missing.",
            thousands(most),
            count(wanted, "connection")
        ));
    }
    if connections.idle_closed > 0 {
        remarks.push(format!(
            "The server closed idle connections {}.",
            count(connections.idle_closed, "time")
        ));
    }
    if plan.verify == Verify::Off {
        remarks.push("Nothing was verified, so wrong replies count as replies.".to_owned());
    }
    let caused = outcome.messages.caused_by_client;
    if caused > 0 {
        remarks.push(format!(
            "{} got no reply because this client was paused or ended the run: {} not held against the server.",
            count(caused, "message"),
            if caused == 1 { "it is" } else { "they are" }
        ));
    }
    let overflow = outcome.udp.as_ref().and_then(|udp| udp.overflow);
    // More is a reason for the verdict.
    let few = outcome.messages.share(outcome.messages.local_overflow) <= OVERFLOW_MAX;
    if let Some(overflow @ 1..) = overflow.filter(|_| few) {
        remarks.push(format!(
            "This client's own receive buffer had no room for {}, which were not lost in the network: enlarge it with \
             --rcvbuf.",
            count(overflow, "reply")
        ));
    }
    remarks
}
