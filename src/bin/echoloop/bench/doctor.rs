//! `echoloop doctor`: what this machine can do of a plan, and whether the server can be reached.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use echoloop::load::{Plan, Reply};
use echoloop::reactor::connect_from;

use super::ports;
use super::preflight::{Check, Health, Machine};
use crate::args::DoctorArgs;
use crate::{FAILED, Failure, print};

/// How long a server may take to be reached.
const REACH_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells what was found, and whether the server can be reached.
pub(crate) fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let plan = super::plan::plan(&args.load, Duration::from_secs(1))?;
    let mut checks = Machine::look().check(&plan);
    for &target in &plan.targets {
        let reached = if plan.udp {
            ask(target, &plan)
        } else {
            reach(target, &plan)
        };
        // What an attempt has shown is truer than what the figures promise.
        checks.retain(|check| check.what != "ports" || reached.what != "ports");
        checks.push(reached);
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
    let broken = checks.iter().any(|check| check.verdict == Health::Broken);
    Ok(if broken {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

fn reach(target: SocketAddr, plan: &Plan) -> Check {
    let start = Instant::now();
    match connect_from(target, ports::source(plan, target), REACH_TIMEOUT) {
        Ok(_) => {
            let took = start.elapsed().as_micros();
            Check::fine(
                "server",
                format!("{target} answers a connection in {took} µs"),
            )
        }
        Err(error) if ports::are_used_up(&error, plan, target) => {
            Check::broken("ports", ports::used_up(plan, target))
        }
        Err(error) => Check::broken(
            "server",
            format!("{target} can't be connected to: {error}; start it, or check the address"),
        ),
    }
}

/// A datagram may get lost, so silence is no proof that nobody is there.
fn ask(target: SocketAddr, plan: &Plan) -> Check {
    match ask_once(target, plan) {
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

fn ask_once(target: SocketAddr, plan: &Plan) -> io::Result<Duration> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((ports::source(plan, target).unwrap_or(any), 0))?;
    socket.connect(target)?;
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
