//! The plan of a run, as the load takes it.

use std::net::SocketAddr;
use std::time::Duration;

use super::host::FIRST_PORT;
use super::settings::{Churning, Pace, ReplyKind, RunLength, Settings, Verification};
use crate::load::plan::{Arrival, Churn, Close, Plan, Reply, Stop, Verify};
use crate::load::schedule::rate::Profile;
use crate::load::schedule::sizes::Sizes;

pub(super) fn plan(settings: &Settings) -> Plan {
    let time = Duration::from_nanos;
    let server = |number| SocketAddr::from(([127, 0, 0, 1], FIRST_PORT + number as u16));
    let mut plan = Plan::new();
    plan.udp = settings.udp;
    plan.targets = (0..settings.servers.len()).map(server).collect();
    plan.connections = settings.connections;
    plan.idle = settings.idle;
    plan.connect_rate = settings.connect_rate;
    plan.connect_timeout = time(settings.connect_timeout);
    plan.close = if settings.reset {
        Close::Reset
    } else {
        Close::Fin
    };
    plan.churn = match settings.reuse {
        Churning::Forever => None,
        Churning::Messages(count) => Some(Churn::Messages(count)),
        Churning::For(length) => Some(Churn::After(time(length))),
    };
    plan.stop = match settings.end {
        RunLength::After(length) => Stop::After(time(length)),
        RunLength::Messages(count) => Stop::Messages(count),
    };
    plan.warmup = time(settings.warmup);
    match &settings.pace {
        Pace::Closed { think } => plan.think = time(*think),
        Pace::Open { stretches, poisson } => {
            plan.rate = Some(profile(stretches));
            if *poisson {
                plan.arrival = Arrival::Poisson;
            }
        }
    }
    plan.pipeline = settings.pipeline;
    plan.sizes = Sizes::range(settings.sizes.0, settings.sizes.1);
    plan.message = settings.message.clone();
    plan.reply = match &settings.answer {
        ReplyKind::Echo => Reply::Echo,
        ReplyKind::Suffix(suffix) => Reply::Suffix(suffix.clone()),
        ReplyKind::Size(size) => Reply::Size(*size),
        ReplyKind::Until(end) => Reply::Until(end.clone()),
        ReplyKind::Nothing => Reply::None,
    };
    plan.verify = match settings.check {
        Verification::Bytes => Verify::Full,
        Verification::Length => Verify::Length,
        Verification::Nothing => Verify::Off,
    };
    plan.timeout = time(settings.timeout);
    plan.deadline = settings.deadline.map(time);
    plan.drain = time(settings.drain);
    plan.interval = time(settings.interval);
    plan.seed = settings.seed;
    plan
}

fn profile(stretches: &[(f64, f64, u64)]) -> Profile {
    let length = |nanoseconds| Duration::from_nanos(nanoseconds);
    match stretches {
        [(rate, _, _)] => Profile::constant(*rate),
        [(from, to, time), (_, _, u64::MAX)] if from != to => {
            Profile::ramp(*from, *to, length(*time))
        }
        steps => {
            let steps: Vec<_> = steps[..steps.len() - 1]
                .iter()
                .map(|(rate, _, time)| (*rate, length(*time)))
                .collect();
            Profile::steps(&steps)
        }
    }
}
