//! The arguments of `echoloop bench` and `echoloop doctor`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use echoloop::load::{Arrival, Churn, Close, Verify};

use super::load_values::{
    GreetingArg, Message, Percentiles, RateArg, ReplyArg, SizesArg, Verdicts, churn, label,
};
use super::{SourceArg, SourcesArg, StudyArgs, Target};
use crate::units::{Timeout, count, nonzero_size, percent, rate, time, timeout};

/// The groups of options in the help.
const MESSAGES: &str = "Messages";
const SOCKETS: &str = "Sockets";
const OUTPUT: &str = "Output";
const CONTEXT: &str = "Context and goals";

/// The arguments of `echoloop bench`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without --rate each connection sends its next message when it has an answer (a closed loop): it measures \
how much a server can do, and hides how long it stalls. With --rate messages are due on a schedule, and are measured from \
then on, whatever the server does (an open loop).

Each output has its own file. If one goes to standard output (-), the report goes to stderr. An old file is replaced \
when there is something to replace it with: by --json and --hgrm at the end, by --csv and --hlog at the end of the first \
interval. A run that fails before that keeps it.

Sizes take k, M and G (powers of 1024), counts and rates k and M (powers of 1000). Times take ns, us, ms, s, m and h; \
a bare number is seconds.

Examples:
  echoloop bench -c 100 127.0.0.1:25555
  echoloop bench -c 100 -R 20k -d 30s --slo 'p99<5ms' 127.0.0.1:25555
  echoloop bench -c 32 -R 10k --reply 'suffix:| lee' udp://127.0.0.1:25556
  echoloop bench -c 15k -s 1k --source 127.0.0.1-127.0.0.4 --json run.json 127.0.0.1:25555

Exit codes, the first that applies: 130 and 143 stopped by a second signal; 2 usage; 1 the run could not be made; 4 the \
verdict is MISMATCH; 5 it is another one than VALID; 3 a goal was missed; 0 success. The first Ctrl-C ends the run with a \
report and the code of its verdict. SIGHUP does the same with code 129. SIGUSR1 logs the counters."
)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Print the whole distribution of times
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) latency: bool,
    /// The percentiles to print, such as 50,99,99.9
    #[arg(long, value_name = "LIST", help_heading = OUTPUT)]
    pub(crate) percentiles: Option<Percentiles>,
    /// Write everything as JSON; - for standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) json: Option<PathBuf>,
    /// Write the distribution of response times, as HdrHistogram's plots read it; - for standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) hgrm: Option<PathBuf>,
    /// Write the distribution of each interval as it ends, as an HdrHistogram log; - for standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) hlog: Option<PathBuf>,
    /// Write the figures of each interval as it ends, as comma-separated values; - for standard output
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) csv: Option<PathBuf>,
    /// How often figures are taken, and shown at a terminal
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time, help_heading = OUTPUT)]
    pub(crate) interval: Duration,
    /// A name and a value to keep with the result; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = label, help_heading = OUTPUT)]
    pub(crate) label: Vec<(String, String)>,
    /// The process id of the server, if it is on this machine: what a message costs it is told too
    #[arg(long, value_name = "PID", help_heading = CONTEXT)]
    pub(crate) server_pid: Option<u32>,
    /// Which part of the messages, or of the attempts to connect, may fail before the verdict is SERVER-FAILED
    #[arg(long, value_name = "PERCENT", default_value = "0.1%", value_parser = percent, help_heading = CONTEXT)]
    pub(crate) failures_max: f64,
    /// Verdicts for which the exit code is not 4 or 5, such as unstable,too-few-samples
    #[arg(long, value_name = "VERDICT[,VERDICT]", help_heading = CONTEXT)]
    pub(crate) accept: Option<Verdicts>,
    /// A goal, such as 'p99<5ms', 'rate>50k' or 'failures<0.1%'; repeatable. Messages without a reply are slower
    /// than any limit. Exit code 3 if a goal is missed
    #[arg(long, value_name = "GOAL", help_heading = CONTEXT)]
    pub(crate) slo: Vec<String>,
    #[command(flatten)]
    pub(crate) study: StudyArgs,
}

/// The arguments of `echoloop doctor`: those of `bench` that say what the load is to be.
#[derive(Args, Debug)]
#[command(
    after_help = "Looks at this machine as every bench does before it begins, measures for 0.2 s how much other \
processes use the CPUs, and tries whether the server can be reached.

Times take ns, us, ms, s, m and h; a bare number is seconds.

Example:
  echoloop doctor -c 50k -R 200k 127.0.0.1:25555

Exit codes: 0 it can be done, 1 it can't, 2 usage."
)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

/// What a load is to be.
#[derive(Args, Debug)]
#[command(next_help_heading = "Load")]
pub(crate) struct LoadArgs {
    /// The servers: tcp://HOST:PORT, udp://HOST:PORT, or HOST:PORT for TCP. Connections go to them in turn.
    /// If a name has several addresses, TCP uses the one that accepts a connection first. UDP uses the next one if an
    /// address refuses the first messages or does not reply within --timeout
    #[arg(value_name = "SERVER", required = true)]
    pub(crate) targets: Vec<Target>,
    /// Connections, or flows of datagrams
    #[arg(short = 'c', long, value_name = "N", default_value = "1", value_parser = count)]
    pub(crate) connections: usize,
    /// How long to measure [default: 10s, or what the steps of --rate take]
    #[arg(short = 'd', long, value_name = "TIME", value_parser = time, conflicts_with = "messages")]
    pub(crate) duration: Option<Duration>,
    /// How many messages to measure, instead of a time
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub(crate) messages: Option<usize>,
    /// Messages a second in all: 20k, a ramp 1k:20k, or steps 1k@10s,2k@10s
    #[arg(short = 'R', long, value_name = "RATE")]
    pub(crate) rate: Option<RateArg>,
    /// How the messages of a rate are spread: at equal distances, or at random
    #[arg(long, value_enum, value_name = "HOW", default_value = "const")]
    pub(crate) arrival: ArrivalArg,
    /// Messages in flight on one connection [default: 1; with --rate over UDP 1024]
    #[arg(short = 'p', long, value_name = "N", value_parser = count)]
    pub(crate) pipeline: Option<usize>,
    /// How long the load runs before it is measured [default: 1s; with --messages none]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) warmup: Option<Duration>,
    /// Connections opened in a second [default: as fast as they are answered]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) connect_rate: Option<f64>,
    /// Open the connections evenly over this time
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "connect_rate")]
    pub(crate) ramp: Option<Duration>,
    /// Close a connection and open it again after N messages, or after a time with its unit, such as 500ms
    #[arg(long, value_name = "N|TIME", value_parser = churn)]
    pub(crate) churn: Option<Churn>,
    /// Connections held open beside the others, over which nothing is sent
    #[arg(long, value_name = "N", default_value = "0", value_parser = count)]
    pub(crate) idle: usize,
    /// The pause between an answer and the next message, without --rate
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = time)]
    pub(crate) think: Duration,

    /// How long messages are: 64, 64..1k, or 64@70,1k@30 by weight
    #[arg(short = 's', long, value_name = "SIZE", default_value = "64", help_heading = MESSAGES)]
    pub(crate) size: SizesArg,
    /// What they say: a text, or @FILE. Otherwise bytes that tell every place and connection apart
    #[arg(short = 'm', long, value_name = "TEXT", conflicts_with = "size", help_heading = MESSAGES)]
    pub(crate) message: Option<Message>,
    /// Interpret \n, \r, \t, \0, \\ and \xHH in --message, --reply and --greeting; without it a backslash is sent literally
    #[arg(short = 'e', long, help_heading = MESSAGES)]
    pub(crate) escapes: bool,
    /// What of an answer is verified
    #[arg(long, value_enum, value_name = "WHAT", default_value = "full", help_heading = MESSAGES)]
    pub(crate) verify: VerifyArg,
    /// What an answer is: echo, suffix:TEXT behind the message, size:N bytes, whatever ends in until:TEXT, or none
    #[arg(long, value_name = "REPLY", default_value = "echo", help_heading = MESSAGES)]
    pub(crate) reply: ReplyArg,
    /// What a TCP server sends before the first message, such as SMTP's 220 line: everything up to TEXT. It is not
    /// counted as a reply, and may take as long as --connect-timeout
    #[arg(long, value_name = "until:TEXT", help_heading = MESSAGES)]
    pub(crate) greeting: Option<GreetingArg>,
    /// How long an answer may take, from when its message was sent, before it is counted as timed out
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time, help_heading = MESSAGES)]
    pub(crate) timeout: Duration,
    /// With --rate: a message that can't be sent within this of when it was due is dropped, and counted
    #[arg(long, value_name = "TIME", value_parser = time, requires = "rate", help_heading = MESSAGES)]
    pub(crate) deadline: Option<Duration>,
    /// How long answers are awaited after the end
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time, help_heading = MESSAGES)]
    pub(crate) drain: Duration,
    /// What random sizes, times and bytes are drawn from
    #[arg(long, value_name = "N", default_value = "1", help_heading = MESSAGES)]
    pub(crate) seed: u64,

    /// Addresses to connect from, in turn: 127.0.0.1, 127.0.0.1-127.0.0.8,10.0.0.1, or fe80::1%eth0
    #[arg(long, value_name = "ADDRESSES", help_heading = SOCKETS)]
    pub(crate) source: Option<SourcesArg>,
    /// How connections are closed: in good order, or by a reset, which leaves nothing in TIME_WAIT
    #[arg(long, value_enum, value_name = "HOW", default_value = "fin", help_heading = SOCKETS)]
    pub(crate) close: CloseArg,
    /// Whether small writes are sent at once
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, help_heading = SOCKETS)]
    pub(crate) nodelay: bool,
    /// The size of the kernel's send buffers; the kernel doubles it, and caps it at net.core.wmem_max [default: the
    /// system's]
    #[arg(long, value_name = "SIZE", value_parser = nonzero_size, help_heading = SOCKETS)]
    pub(crate) sndbuf: Option<NonZeroUsize>,
    /// The size of the kernel's receive buffers; the kernel doubles it, and caps it at net.core.rmem_max [default: the
    /// system's]
    #[arg(long, value_name = "SIZE", value_parser = nonzero_size, help_heading = SOCKETS)]
    pub(crate) rcvbuf: Option<NonZeroUsize>,
    /// How long a connection may take to be opened; 0: as long as the system allows
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout, help_heading = SOCKETS)]
    pub(crate) connect_timeout: Timeout,
    /// How the loop sleeps until a message is due: by a timer of the kernel, by that and spinning at the end, or by the
    /// timeout of its poll, which is a millisecond late
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto", help_heading = SOCKETS)]
    pub(crate) timer: TimerArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArrivalArg {
    Const,
    Poisson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerifyArg {
    Full,
    Length,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloseArg {
    Fin,
    Rst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimerArg {
    Auto,
    Timerfd,
    Spin,
    Poll,
}

impl From<ArrivalArg> for Arrival {
    fn from(arg: ArrivalArg) -> Self {
        match arg {
            ArrivalArg::Const => Self::Constant,
            ArrivalArg::Poisson => Self::Poisson,
        }
    }
}

impl From<VerifyArg> for Verify {
    fn from(arg: VerifyArg) -> Self {
        match arg {
            VerifyArg::Full => Self::Full,
            VerifyArg::Length => Self::Length,
            VerifyArg::Off => Self::Off,
        }
    }
}

impl From<CloseArg> for Close {
    fn from(arg: CloseArg) -> Self {
        match arg {
            CloseArg::Fin => Self::Fin,
            CloseArg::Rst => Self::Reset,
        }
    }
}

impl LoadArgs {
    /// Every source address, as typed.
    pub(crate) fn sources(&self) -> &[SourceArg] {
        self.source.as_ref().map_or(&[], |sources| &sources.0)
    }
}
