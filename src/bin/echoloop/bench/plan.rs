//! What was typed, made a plan.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use echoloop::load::{Churn, MESSAGE_MAX, Plan, Stop};
use echoloop::reactor::{BufferSizes, DialOptions, Timer};
use echoloop::server::TIME_MAX;

use super::servers::Servers;
use crate::Failure;
use crate::args::escapes;
use crate::args::load_values::Message;
use crate::args::{LoadArgs, TimerArg};

/// How many datagrams may be in flight on one flow of an open loop: what is lost must not keep the next from being
/// sent when it is due.
const DATAGRAMS_IN_FLIGHT: usize = 1024;

/// How long a load is measured by default, and how long it runs before.
const DURATION: Duration = Duration::from_secs(10);
const WARMUP: Duration = Duration::from_secs(1);

/// The plan that follows from `args`, with files read. It begins with the first address of each of `servers`.
pub(super) fn plan(
    args: &LoadArgs,
    servers: &Servers,
    interval: Duration,
) -> Result<Plan, Failure> {
    let mut plan = Plan::new();
    (plan.udp, plan.targets) = (servers.udp, servers.first_addresses());
    plan.other_addresses = servers.other_addresses();
    plan.sources.clone_from(&servers.sources);
    plan.connections = args.connections;
    plan.idle = args.idle;
    let all = args.connections as f64 + args.idle as f64;
    let ramp = args.ramp.filter(|ramp| !ramp.is_zero());
    plan.connect_rate = args
        .connect_rate
        .or_else(|| Some(all / ramp?.as_secs_f64()));
    plan.connect_timeout = args.connect_timeout.0.unwrap_or(TIME_MAX);
    plan.dial = DialOptions {
        nodelay: args.nodelay,
        buffers: BufferSizes {
            send: args.sndbuf.map(NonZeroUsize::get),
            receive: args.rcvbuf.map(NonZeroUsize::get),
        },
    };
    plan.close = args.close.into();
    plan.churn = args.churn;
    let duration = duration(args)?;
    plan.stop = match args.messages {
        Some(count) => Stop::Messages(count as u64),
        None => Stop::After(duration),
    };
    plan.warmup = args.warmup.unwrap_or(match plan.stop {
        Stop::After(_) => WARMUP,
        Stop::Messages(_) => Duration::ZERO,
    });
    plan.rate = args.rate.as_ref().map(|rate| rate.0.profile(duration));
    plan.arrival = args.arrival.into();
    let pipeline = if plan.udp && plan.is_open() {
        DATAGRAMS_IN_FLIGHT
    } else {
        1
    };
    plan.pipeline = args.pipeline.unwrap_or(pipeline);
    plan.think = args.think;
    plan.sizes = args.size.0.clone();
    plan.message = message(args)?;
    plan.reply = args.reply.reply(args.escapes).map_err(Failure::Usage)?;
    let greeting = args.greeting.as_ref();
    let greeting = greeting.map(|greeting| escapes::bytes(&greeting.0, args.escapes));
    plan.greeting = greeting.transpose().map_err(Failure::Usage)?;
    plan.verify = args.verify.into();
    plan.timeout = args.timeout;
    plan.deadline = args.deadline;
    plan.drain = args.drain;
    plan.interval = interval;
    plan.seed = args.seed;
    plan.check().map_err(Failure::Usage)?;
    if let (Stop::After(time), Some(Churn::After(churn))) = (plan.stop, plan.churn)
        && churn > time
    {
        log::warn!("--churn {churn:?} is longer than the whole run: no connection is opened anew");
    }
    Ok(plan)
}

/// How long a load is measured, unless it is for so many messages; and how long a ramp takes.
fn duration(args: &LoadArgs) -> Result<Duration, Failure> {
    let steps = args.rate.as_ref().and_then(|rate| rate.0.length());
    match (steps, args.duration) {
        (Some(length), Some(duration)) => Err(Failure::Usage(format!(
            "--duration {duration:?} and steps of {length:?} in all: leave out --duration"
        ))),
        (Some(length), None) => Ok(length),
        (None, duration) => Ok(duration.unwrap_or(DURATION)),
    }
}

/// How the loop sleeps.
pub(crate) const fn timer(arg: TimerArg) -> Timer {
    match arg {
        TimerArg::Auto | TimerArg::Timerfd => Timer::Timerfd,
        TimerArg::Spin => Timer::Spin,
        TimerArg::Poll => Timer::Poll,
    }
}

fn message(args: &LoadArgs) -> Result<Option<Vec<u8>>, Failure> {
    match &args.message {
        None => Ok(None),
        Some(Message::Text(text)) => escapes::bytes(text, args.escapes)
            .map(Some)
            .map_err(Failure::Usage),
        Some(Message::File(path)) => read(path).map(Some).map_err(|error| {
            Failure::Usage(format!(
                "--message @{}: {error}; give a file that can be read",
                path.display()
            ))
        }),
    }
}

/// A warning that a text has an escape sequence that is sent as it is, without --escapes.
pub(super) fn literal_backslash(args: &LoadArgs) -> Option<String> {
    let message = match &args.message {
        Some(Message::Text(text)) => Some(("--message", text.as_str())),
        _ => None,
    };
    let reply = args.reply.text().map(|text| ("--reply", text));
    let greeting = args.greeting.as_ref();
    let greeting = greeting.map(|greeting| ("--greeting", greeting.0.as_str()));
    let mut texts = [message, reply, greeting].into_iter().flatten();
    let (option, text) = texts.find(|(_, text)| escapes::has_escape(text))?;
    (!args.escapes).then(|| {
        format!("{option} '{text}': the backslash is sent literally; add -e to interpret \\n and other escapes")
    })
}

/// The file `path`, or the beginning of one that is too long for a message.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    let most = MESSAGE_MAX as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut message)?;
    Ok(message)
}
