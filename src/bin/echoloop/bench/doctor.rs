//! `echoloop doctor`: what this machine can do of a plan, and whether the server can be reached.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use echoloop::load::{Plan, Reply};
use echoloop::reactor::{ConnectError, SourceAddr, connect_any, connect_datagrams};

use super::ports;
use super::preflight::{Check, Health, Machine};
use super::servers::{Server, Servers};
use crate::args::DoctorArgs;
use crate::{FAILED, Failure, print};

/// How long a server may take to be reached.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells what was found, and whether the server can be reached.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let servers = Servers::look_up(&args.load)?;
    let plan = super::plan::plan(&args.load, &servers, Duration::from_secs(1))?;
    let mut checks = Machine::look().check(&plan);
    for server in &servers.all {
        let mut reached = if servers.udp {
            ask_any(server, &servers, &plan)
        } else {
            reach(server, &servers, &plan)
        };
        tolerate_failures(&mut reached);
        // What an attempt has shown is truer than what the figures promise.
        let ports = reached
            .iter()
            .any(|check| check.what == "ports" && check.is_broken());
        checks.retain(|check| check.what != "ports" || !ports);
        checks.extend(reached);
    }
    let lines = checks.iter().map(|check| {
        let mark = match check.verdict {
            Health::Fine => "ok",
            Health::Doubtful => "note",
            Health::Broken => "FAILS",
        };
        format!("{mark:<6}{:<16}{}\n", check.what, check.told)
    });
    print(&lines.collect::<String>())
        .map_err(|error| Failure::cannot("write to stdout", &error))?;
    let broken = checks.iter().any(Check::is_broken);
    Ok(if broken {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// One address of a server is enough: the others do not break a run, and need no remedy.
fn tolerate_failures(checks: &mut [Check]) {
    let best = checks.iter().map(|check| check.verdict).min();
    for check in checks {
        if best == Some(Health::Fine) && check.verdict != Health::Fine {
            let without_remedy = check
                .told
                .rsplit_once("; ")
                .map(|(told, _)| told.to_owned());
            check.told = without_remedy.unwrap_or_else(|| check.told.clone());
        }
        if best != Some(Health::Broken) {
            check.verdict = check.verdict.min(Health::Doubtful);
        }
    }
}

/// Connects to one address of `server`: a check for each address that was tried, and the one in use
/// is the last.
fn reach(server: &Server, servers: &Servers, plan: &Plan) -> Vec<Check> {
    let failed = |failure: ConnectError| {
        let target = failure.address;
        let why = match failure.error {
            Some(error) if ports::are_used_up(&error, plan, target) => {
                return Check::broken("ports", ports::used_up(plan, target));
            }
            Some(error) => error.to_string(),
            None => "no reply in time".to_owned(),
        };
        let told = format!("{target} can't be connected to: {why}; start it, or check the address");
        Check::broken("server", told)
    };
    match connect_any(&server.addresses, &servers.sources, REACH_TIMEOUT) {
        Ok(connected) => {
            let took = connected.started.elapsed().as_micros();
            let target = connected.address;
            let told = format!("{target} answers a connection in {took} µs");
            let mut checks: Vec<Check> = connected.others.into_iter().map(failed).collect();
            checks.push(Check::fine("server", told + &in_use(server)));
            checks
        }
        Err(failures) => failures.into_iter().map(failed).collect(),
    }
}

/// That an address is in use, if `server` has several.
fn in_use(server: &Server) -> String {
    if server.addresses.len() < 2 {
        return String::new();
    }
    format!("; it is the address in use for {}", server.name())
}

/// Asks the addresses of `server` in turn until one answers: a check for each.
fn ask_any(server: &Server, servers: &Servers, plan: &Plan) -> Vec<Check> {
    let mut checks = Vec::new();
    for &target in &server.addresses {
        let mut sources = servers.sources.iter().copied();
        let source = sources.find(|source| source.reaches(target));
        let mut check = ask(target, source, plan);
        let is_fine = check.verdict == Health::Fine;
        if is_fine {
            check.told += &in_use(server);
        }
        checks.push(check);
        if is_fine {
            break;
        }
    }
    checks
}

/// A datagram may get lost, so silence is no proof that nobody is there.
fn ask(target: SocketAddr, source: Option<SourceAddr>, plan: &Plan) -> Check {
    match ask_once(target, source, plan) {
        Ok(took) => Check::fine(
            "server",
            format!("{target} answers a datagram in {} µs", took.as_micros()),
        ),
        Err(error) if plan.reply == Reply::None && is_silence(&error) => {
            Check::fine("server", format!("{target} took a datagram"))
        }
        Err(error) if is_silence(&error) => Check::doubtful(
            "server",
            format!("{target} did not answer a datagram within {REACH_TIMEOUT:?}; is it there?"),
        ),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Check::broken("ports", ports::used_up(plan, target))
        }
        Err(error) => Check::broken(
            "server",
            format!("{target} can't be asked: {error}; start it, or check the address"),
        ),
    }
}

fn ask_once(target: SocketAddr, source: Option<SourceAddr>, plan: &Plan) -> io::Result<Duration> {
    let socket = connect_datagrams(target, source)?;
    socket.set_read_timeout(Some(REACH_TIMEOUT))?;
    let blank = || vec![b'?'; plan.sizes.smallest()];
    let message = plan.message.clone().unwrap_or_else(blank);
    let start = Instant::now();
    socket.send(&message)?;
    socket.recv(&mut [0; 64])?;
    Ok(start.elapsed())
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
