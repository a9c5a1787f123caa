//! Whether the load had the rate of its schedule.

use super::Case;
use crate::load::{Reply, Stop};
use crate::report::units::{percent, thousands};

/// The least part of the messages offered that has to be sent.
const SENT_MIN: f64 = 0.99;

/// The least part of the messages offered that has to be replied to before the end. The last replies may come later.
const IN_WINDOW_MIN: f64 = 0.95;

pub(super) fn rule(case: &Case<'_>) -> Option<String> {
    let (plan, messages) = (case.plan, &case.outcome.messages);
    if !plan.is_open() || messages.offered == 0 {
        return None;
    }
    let part = |number: u64| number as f64 / messages.offered as f64;
    let sent = part(messages.sent());
    if sent < SENT_MIN {
        return Some(format!(
            "{} of {} messages offered were sent ({}), less than {}: {} were still due at the end, and {} were shed. \
             Lower --rate, or allow more in flight with --connections or --pipeline.",
            thousands(messages.sent()),
            thousands(messages.offered),
            percent(sent),
            percent(SENT_MIN),
            thousands(messages.never_sent),
            thousands(messages.shed)
        ));
    }
    // A load of a number of messages ends with the last reply.
    if plan.reply == Reply::None || matches!(plan.stop, Stop::Messages(_)) {
        return None;
    }
    // Losing datagrams is what is to be found out. Failed messages are judged apart.
    let lost = messages.lost + messages.local_overflow;
    let in_window = part(messages.completed_in_window + lost + messages.failed());
    (in_window < IN_WINDOW_MIN).then(|| {
        format!(
            "{} of {} messages offered were replied to before the end ({}), less than {}, and {} after it: the server \
             could not keep up. Lower --rate.",
            thousands(messages.completed_in_window),
            thousands(messages.offered),
            percent(part(messages.completed_in_window)),
            percent(IN_WINDOW_MIN),
            thousands(messages.completed().saturating_sub(messages.completed_in_window)),
        )
    })
}
