//! `echoloop bench`: a plan carried out, and what came of it told.

mod buffers;
mod competition;
mod context;
mod doctor;
mod driven;
mod files;
mod logs;
mod plan;
mod ports;
mod preflight;
mod processes;
mod progress;
mod servers;
mod usage;

use std::cell::RefCell;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;

use echoloop::load::{Load, Outcome, Plan, Step, Stop};
use echoloop::probe::{Probe, Role};
use echoloop::reactor::{Reactor, Timer};
use echoloop::report::{Context, Goal, Report, Verdict};
use jiff::Timestamp;

pub(crate) use self::doctor::doctor;
use self::driven::{Costs, Driven};
use self::files::{Files, Outputs, Streams};
use self::logs::Logs;
use self::preflight::{Check, Health, Machine};
use self::progress::Progress;
use self::servers::Servers;
use crate::args::BenchArgs;
use crate::study::{self, Recorded, Study};
use crate::{Failure, SIGNALLED, fail};

/// A goal was missed.
const MISSED: u8 = 3;

/// A reply was wrong.
const MISMATCHED: u8 = 4;

/// The result says something else than how the server fared.
const NOT_VALID: u8 = 5;

/// No descriptor is left, in this process or in the whole system. The standard library has no
/// [`io::ErrorKind`] for it.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

const DESCRIPTORS_REMEDY: &str =
    "raise the limit of open files (ulimit -n), or close other programs";

/// Loads a server, and says what that has shown.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let servers = Servers::look_up(&args.load)?;
    let mut plan = plan::plan(&args.load, &servers, args.interval)?;
    let goals = goals(args)?;
    let outputs = Outputs::check(args)?;
    check_server(args.server_pid)?;
    let machine = Machine::before_a_run();
    let checks = machine.check(&plan);
    if let Some(broken) = checks.iter().find(|check| check.is_broken()) {
        return Err(Failure::Usage(broken.sentence()));
    }
    servers.choose(&mut plan)?;
    let mut context = Context {
        warnings: warnings(args, &checks),
        cpus: Some(machine.cpus),
        fd_limit: Some(machine.descriptors),
        failures_max: Some(args.failures_max),
        ..context::context(args)
    };
    let timer = plan::timer(args.load.timer);
    context.timer = Some(context::timer_name(timer).to_owned());
    // A FIFO without a reader is refused here. Everything else was checked above.
    let Files {
        json,
        hgrm,
        streams,
    } = outputs.open()?;
    let created = Timestamp::now();
    let Measured {
        outcome,
        costs,
        stopped_by,
        disturbances,
        mut written,
        ..
    } = measure(args, &plan, timer, streams)?;
    servers.note_addresses(&mut plan, &outcome);
    context.targets = servers.names(&plan);
    context.measured_from = context::measured_from(created, &outcome);
    context.ended_at = Some(Timestamp::now().to_string());
    let exhausted = exhausted(&outcome, &plan);
    context.warnings.extend(exhausted.clone());
    context.warnings.extend(disturbances);
    context::note_costs(&costs, &mut context);
    context.server = args
        .server_pid
        .and_then(|pid| context::server(pid, &costs, &plan));
    context.goals = goals
        .iter()
        .map(|goal| goal.judge(&outcome, &plan))
        .collect();
    let mut report = Report::new(&outcome, &plan, &context);
    if let Some(percentiles) = &args.percentiles {
        report = report.with_percentiles(percentiles.0.clone());
    }
    written.push(outputs.text.print(&report.text(args.latency)));
    written.extend(files::write((json, hgrm), &report, &outcome));
    let unwritten = failures(written);
    if let Some(signal) = stopped_by {
        let code = (SIGNALLED + signal) as u8;
        return Ok(unwritten.map_or_else(|| ExitCode::from(code), |line| fail(code, &line)));
    }
    if let Some(line) = unwritten {
        return Err(Failure::Failed(line));
    }
    could_run(&outcome, &plan, exhausted)?;
    let accepted = args.accept.as_ref().map_or(&[][..], |accept| &accept.0);
    Ok(code(report.judgement().verdict, accepted, &context))
}

/// What makes the figures doubtful before the load begins. A mistake in the arguments is logged at once as well.
fn warnings(args: &BenchArgs, checks: &[Check]) -> Vec<String> {
    let literal = plan::literal_backslash(&args.load);
    if let Some(warning) = &literal {
        log::warn!("{warning}");
    }
    let checks = checks.iter();
    let doubtful = checks.filter(|check| check.verdict == Health::Doubtful);
    doubtful.map(Check::sentence).chain(literal).collect()
}

/// Which resource this machine had too little of for some connections, and the remedy.
fn exhausted(outcome: &Outcome, plan: &Plan) -> Option<String> {
    if outcome.connections.failed_locally == 0 {
        return None;
    }
    let happened = |name: &str| {
        outcome
            .errors
            .contains_key(&(Step::Connect, name.to_owned()))
    };
    Some(if happened("EMFILE") || happened("ENFILE") {
        format!("the descriptors were used up: {DESCRIPTORS_REMEDY}")
    } else if happened("ENOMEM") || happened("ENOBUFS") {
        "the kernel had no memory left for sockets: use fewer connections".to_owned()
    } else {
        ports::used_up(plan, plan.targets[0])
    })
}

/// Whether this program and this machine could carry out the plan. The report was printed all the same.
fn could_run(outcome: &Outcome, plan: &Plan, exhausted: Option<String>) -> Result<(), Failure> {
    if let Some(error) = &outcome.internal_error {
        return Err(Failure::Failed(format!(
            "internal error: {error}; do not trust this result, and please report it"
        )));
    }
    let connections = &outcome.connections;
    let wanted = (plan.connections + plan.idle) as u64;
    // Of a run for a time, nothing tells how much more it would have done.
    let mattered = connections.failed_locally * 1_000 > connections.attempted;
    let for_a_time = matches!(plan.stop, Stop::After(_)) && mattered;
    let incomplete = connections.most < wanted || outcome.gave_up.is_some() || for_a_time;
    match exhausted {
        Some(why) if incomplete => Err(Failure::Failed(format!(
            "{} of {} attempts to connect failed: {why}",
            connections.failed_locally, connections.attempted
        ))),
        _ => Ok(()),
    }
}

/// What a run has come to.
struct Measured {
    outcome: Outcome,
    costs: Costs,
    aborted: bool,
    stopped_by: Option<i32>,
    /// Warnings about others who used the processors.
    disturbances: Vec<String>,
    /// The result of each stream. The report is printed even if one has failed.
    written: Vec<Result<(), Failure>>,
}

/// All failures as one line.
fn failures(written: Vec<Result<(), Failure>>) -> Option<String> {
    let failed = written.into_iter().filter_map(Result::err);
    let lines = failed.map(|(Failure::Usage(line) | Failure::Failed(line))| line);
    let lines: Vec<String> = lines.collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// Carries out `plan`.
fn measure(
    args: &BenchArgs,
    plan: &Plan,
    timer: Timer,
    streams: Streams,
) -> Result<Measured, Failure> {
    let Streams {
        csv,
        hlog,
        trace,
        view,
    } = streams;
    let mut reactor =
        Reactor::with_timer(timer).map_err(|error| Failure::cannot("start the loop", &error))?;
    let progress = Progress::open(reactor.waker(), !args.study.watch)
        .map_err(|error| Failure::cannot("show the progress", &error))?;
    let logs = Logs::begin(csv, hlog, &reactor.waker())?;
    let watchers: Watchers = Rc::new(RefCell::new(Some((progress, logs))));
    let told = watchers.clone();
    let listener = move |tick: &echoloop::load::Tick<'_>| {
        if let Some((progress, logs)) = told.borrow_mut().as_mut() {
            progress.tell(tick);
            logs.tell(tick);
        }
    };
    let wrong = |error: io::Error| Failure::Usage(error.to_string());
    if !args.study.is_on() {
        let load = Load::new(plan.clone(), listener).map_err(wrong)?;
        let mut driven = Driven::new(load, args.server_pid);
        attach(&mut driven, &reactor)?;
        let ran = reactor.run(&mut driven);
        driven.detach();
        return measured(driven, plan, ran, &watchers);
    }
    let load =
        Load::with_probe(plan.clone(), listener, study::recorder(&args.study)).map_err(wrong)?;
    let mut driven = Driven::new(load, args.server_pid);
    let name = format!("echoloop bench {}", plan.targets[0]);
    let mut study = Study::begin(
        &args.study,
        (trace, view),
        Role::Load,
        &name,
        &reactor,
        driven.recorder(),
    )?;
    attach(&mut driven, &reactor)?;
    let ran = reactor.run(&mut study.of(&mut driven));
    driven.detach();
    let tracing = study.finish(driven.recorder());
    let mut measured = measured(driven, plan, ran, &watchers);
    let traced = tracing.map(|tracing| match &measured {
        Ok(measured) => tracing.finish(measured.aborted),
        Err(_) => tracing.discard(),
    });
    if let Ok(measured) = &mut measured {
        measured.written.extend(traced);
    }
    measured
}

fn attach<P: Probe>(driven: &mut Driven<P>, reactor: &Reactor) -> Result<(), Failure> {
    let attached = driven.attach(reactor);
    attached.map_err(|error| Failure::cannot("watch for signals", &error))
}

/// What the load has come to, once the loop was left.
fn measured<P: Probe>(
    driven: Driven<P>,
    plan: &Plan,
    ran: io::Result<()>,
    watchers: &Watchers,
) -> Result<Measured, Failure> {
    let logs = watchers.borrow_mut().take().map(|(progress, logs)| {
        progress.close();
        logs
    });
    ran.map_err(|error| Failure::cannot("wait for events", &error))?;
    let Driven {
        load,
        costs,
        aborted,
        stopped_by,
        competition,
        ..
    } = driven;
    let used = load.plan().targets.clone();
    let outcome = load
        .finish()
        .map_err(|error| servers::unreachable_at(used, plan, &error))?;
    let logs = logs.unwrap_or_default();
    let written = logs.close(costs.began, aborted);
    Ok(Measured {
        outcome,
        costs,
        aborted,
        stopped_by,
        disturbances: competition.warnings(),
        written,
    })
}

/// Those who are told of every interval.
type Watchers = Rc<RefCell<Option<(Progress, Logs)>>>;

fn unreachable_server(plan: &Plan, error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let address = plan.targets[0];
    let why = match error.kind() {
        Kind::ConnectionRefused => {
            "refused: no program listens on that port, or a firewall rejects it".to_owned()
        }
        Kind::TimedOut => format!("no answer within {:?}", plan.connect_timeout),
        _ if ports::are_used_up(error, plan, address) => ports::used_up(plan, address),
        Kind::AddrNotAvailable if !plan.sources.is_empty() => {
            format!("{error}; is --source an address of this machine?")
        }
        Kind::HostUnreachable | Kind::NetworkUnreachable => {
            "unreachable: there is no way to that address".to_owned()
        }
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => {
            format!("{error}; {DESCRIPTORS_REMEDY}")
        }
        _ => error.to_string(),
    };
    Failure::Failed(format!("cannot connect to {address}: {why}"))
}

/// The exit code of a run that was made.
fn code(verdict: Verdict, accepted: &[Verdict], context: &Context) -> ExitCode {
    let code = match verdict {
        Verdict::Valid => None,
        _ if accepted.contains(&verdict) => None,
        Verdict::Mismatch => Some(MISMATCHED),
        _ => Some(NOT_VALID),
    };
    let missed = context.goals.iter().any(|finding| !finding.met);
    match code {
        Some(code) => ExitCode::from(code),
        None if missed => ExitCode::from(MISSED),
        None => ExitCode::SUCCESS,
    }
}

fn goals(args: &BenchArgs) -> Result<Vec<Goal>, Failure> {
    let goals = args.slo.iter().map(|goal| goal.parse::<Goal>());
    goals.collect::<Result<_, _>>().map_err(Failure::Usage)
}

fn check_server(pid: Option<u32>) -> Result<(), Failure> {
    match pid {
        Some(pid) if usage::used_by(pid).is_none() => Err(Failure::Usage(format!(
            "--server-pid {pid}: there is no such process to look at; give the id of one on this machine"
        ))),
        _ => Ok(()),
    }
}
