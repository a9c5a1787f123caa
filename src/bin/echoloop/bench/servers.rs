//! The servers of a run: their addresses, and the one of each that is in use.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use echoloop::load::{Outcome, Plan};
use echoloop::reactor::{ConnectError, SourceAddr, connect_any};

use super::unreachable_server;
use crate::args::{LoadArgs, Target};
use crate::{Failure, names};

/// The servers, and the addresses that connections come from.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    pub(super) udp: bool,
    pub(super) all: Vec<Server>,
    pub(super) sources: Vec<SourceAddr>,
}

/// One server.
#[derive(Clone, Debug)]
pub(super) struct Server {
    target: Target,
    /// The addresses that the sources reach, at least one, in the order of the resolver.
    pub(super) addresses: Vec<SocketAddr>,
}

impl Servers {
    /// Looks up the names of `args`.
    pub(super) fn look_up(args: &LoadArgs) -> Result<Self, Failure> {
        let sources = args.sources().iter().map(names::source);
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let udp = args.targets[0].udp;
        let mut all = Vec::new();
        for target in &args.targets {
            if target.udp != udp {
                return Err(Failure::Usage(
                    "servers of TCP and of UDP are two loads: run one bench for each".to_owned(),
                ));
            }
            let found = names::addresses(&target.host, target.port)?;
            all.push(Server {
                target: target.clone(),
                addresses: names::reachable(found, &sources)?,
            });
        }
        let servers = Self { udp, all, sources };
        servers.check_sources()?;
        Ok(servers)
    }

    /// The first address of each server.
    pub(super) fn first_addresses(&self) -> Vec<SocketAddr> {
        let first = self.all.iter().map(|server| server.addresses.first());
        first.flatten().copied().collect()
    }

    /// All but the first address of each server.
    pub(super) fn other_addresses(&self) -> Vec<Vec<SocketAddr>> {
        let others = self.all.iter().map(|server| &server.addresses[1..]);
        others.map(<[_]>::to_vec).collect()
    }

    /// Every source has to reach a server.
    fn check_sources(&self) -> Result<(), Failure> {
        let addresses = || self.all.iter().flat_map(|server| &server.addresses);
        for source in &self.sources {
            if !addresses().any(|&address| source.reaches(address)) {
                return Err(Failure::Usage(format!(
                    "--source {source} can't reach {}: give addresses of the same kind, IPv4 or IPv6",
                    self.first_addresses()[0]
                )));
            }
        }
        Ok(())
    }

    /// Chooses the address of each TCP server that has several: the one that accepts a connection
    /// first (RFC 8305). That connection is closed. The plan keeps the first address of a server if no
    /// address accepts one.
    ///
    /// # Errors
    ///
    /// The error of the first address, and the other addresses that were tried, if no server accepts a
    /// connection.
    pub(super) fn choose(&self, plan: &mut Plan) -> Result<(), Failure> {
        if self.udp {
            return Ok(());
        }
        let mut failed = Vec::new();
        for (server, target) in self.all.iter().zip(&mut plan.targets) {
            if server.addresses.len() < 2 {
                continue;
            }
            match connect_any(&server.addresses, &self.sources, plan.connect_timeout) {
                Ok(connected) => {
                    *target = connected.address;
                    let others = list(&connected.others);
                    log::debug!("{}: using {target}{others}", server.name());
                }
                Err(failures) => failed.push((server, failures)),
            }
        }
        if failed.len() == self.all.len() {
            let (_, failures) = failed.swap_remove(0);
            return Err(unreachable(plan, failures));
        }
        for (server, failures) in failed {
            let others = list(&failures);
            log::warn!("{}: no address accepts a connection{others}", server.name());
        }
        Ok(())
    }

    /// Has `plan` name the addresses that were in use at the end: UDP may have moved on to others.
    pub(super) fn note_addresses(&self, plan: &mut Plan, outcome: &Outcome) {
        let used = outcome.servers.iter().map(|server| server.address);
        for ((server, target), used) in self.all.iter().zip(&mut plan.targets).zip(used) {
            if *target != used {
                log::debug!("{}: using {used} ({target} did not reply)", server.name());
                *target = used;
            }
        }
    }

    /// The servers as they were given, with the address of `plan` where a name has several.
    pub(super) fn names(&self, plan: &Plan) -> Vec<String> {
        let servers = self.all.iter().zip(&plan.targets);
        let names = servers.map(|(server, address)| {
            let scheme = if self.udp { "udp" } else { "tcp" };
            match server.addresses.len() {
                1 => format!("{scheme}://{}", server.name()),
                _ => format!("{scheme}://{} ({address})", server.name()),
            }
        });
        names.collect()
    }
}

impl Server {
    /// HOST:PORT, as it was given.
    pub(super) fn name(&self) -> String {
        names::host_and_port(&self.target.host, self.target.port)
    }
}

/// The addresses that were tried in vain, in parentheses.
fn list(failures: &[ConnectError]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let failures = failures.iter().map(ToString::to_string);
    format!(" (tried {})", failures.collect::<Vec<_>>().join("; "))
}

/// The failure of a run that ended when the servers had the addresses `used`.
pub(super) fn unreachable_at(used: Vec<SocketAddr>, plan: &Plan, error: &io::Error) -> Failure {
    let (first, last) = (plan.targets[0], used[0]);
    let plan = Plan {
        targets: used,
        ..plan.clone()
    };
    let failure = unreachable_server(&plan, error);
    if first == last {
        return failure;
    }
    let (Failure::Usage(line) | Failure::Failed(line)) = failure;
    let others = plan.other_addresses.iter().take(1).flatten();
    let before = [first].into_iter().chain(others.copied());
    let before = before.take_while(|address| *address != last);
    let before = before.map(|address| address.to_string());
    let before = before.collect::<Vec<_>>().join(", ");
    Failure::Failed(format!("{line} (tried {before} before)"))
}

/// The failure of a run to a server that has several addresses.
fn unreachable(plan: &Plan, failures: Vec<ConnectError>) -> Failure {
    let (first, others): (Vec<_>, Vec<_>) = failures
        .into_iter()
        .partition(|failure| failure.address == plan.targets[0]);
    let error = first.into_iter().find_map(|failure| failure.error);
    let error = error.unwrap_or_else(|| ErrorKind::TimedOut.into());
    let (Failure::Usage(line) | Failure::Failed(line)) = unreachable_server(plan, &error);
    Failure::Failed(line + &list(&others))
}
