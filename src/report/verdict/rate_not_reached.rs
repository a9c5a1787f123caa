//! Whether the load had the rate of its schedule.

use std::time::Duration;

use super::Case;
use crate::load::{Reply, Stop};
use crate::report::units::{percent, thousands, time};

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
    if let Stop::Messages(count) = plan.stop {
        return too_slow(case, count);
    }
    // Losing datagrams is what is to be found out. Failed messages are judged apart. A message that was sent in the
    // window may be replied to after it, if that takes no longer than it may.
    let lost = messages.lost + messages.local_overflow;
    let sent_after = messages.sent().saturating_sub(messages.sent_in_window);
    let kept_up = messages
        .completed()
        .saturating_sub(messages.replied_late + sent_after);
    let in_window = part(kept_up + lost + messages.failed());
    let done = match plan.reply {
        Reply::None => "written",
        _ => "replied to",
    };
    (in_window < IN_WINDOW_MIN).then(|| {
        format!(
            "{} of {} messages offered were sent and {done} in time ({}), less than {}: the server could not keep up. \
             Lower --rate.",
            thousands(kept_up),
            thousands(messages.offered),
            percent(part(kept_up)),
            percent(IN_WINDOW_MIN),
        )
    })
}

/// A load of a number of messages ends with the last reply: how long after the last was due?
fn too_slow(case: &Case<'_>, count: u64) -> Option<String> {
    let profile = case.plan.rate.as_ref()?;
    let schedule = Duration::try_from_secs_f64(profile.due(count as f64)).ok()?;
    // The last reply takes its time.
    let last = Duration::from_nanos(case.outcome.latency.service.max());
    let took = case.outcome.measured.saturating_sub(last);
    if case.outcome.gave_up.is_some()
        || took.as_secs_f64() * IN_WINDOW_MIN <= schedule.as_secs_f64()
    {
        return None;
    }
    Some(format!(
        "The schedule of {} messages takes {}, and they took {}: the server could not keep up. Lower --rate, or allow \
         more in flight with --connections or --pipeline.",
        thousands(count),
        time(schedule.as_nanos() as u64),
        time(case.outcome.measured.as_nanos() as u64)
    ))
}
