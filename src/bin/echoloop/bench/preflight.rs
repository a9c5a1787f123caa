//! Whether this machine can carry out a plan, told before it is begun.

use std::fs;
use std::io;

use echoloop::load::Plan;
use echoloop::reactor::{SourceAddr, connect_datagrams};
use echoloop::report::thousands;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::buffers::Buffers;
use super::competition::Competition;
use super::ports::Ports;

/// Descriptors that are not connections: standard streams, poll, waker, timer, signals, files that are written.
const DESCRIPTORS_RESERVED: u64 = 24;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) verdict: Health,
    pub(super) what: &'static str,
    pub(super) told: String,
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Fine,
    /// The run can be made, and may tell less than it seems to.
    Doubtful,
    /// The run would die half-way.
    Broken,
}

/// What this machine has.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// How many descriptors this process may have.
    pub(super) descriptors: u64,
    ports: Ports,
    backlog: Option<u64>,
    buffers: Buffers,
    pub(super) cpus: usize,
    /// Whether others use the processors so much that it disturbs a load, and how much. `None`: not measured.
    competition: Option<(bool, String)>,
}

impl Machine {
    /// Looks at everything. That takes a moment, in which the competition for the processors is measured.
    pub(super) fn look() -> Self {
        Self {
            competition: Competition::now(),
            ..Self::before_a_run()
        }
    }

    /// Looks at what a run needs, and raises the limit of open files as far as the system lets us.
    pub(super) fn before_a_run() -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let limit = if setrlimit(Resource::Nofile, raised).is_ok() {
            raised
        } else {
            limit
        };
        Self {
            descriptors: limit.current.unwrap_or(u64::MAX),
            ports: Ports::look(),
            backlog: number("/proc/sys/net/core/somaxconn"),
            buffers: Buffers::look(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            competition: None,
        }
    }

    /// Everything that is known about whether `plan` can be carried out here.
    pub(super) fn check(&self, plan: &Plan) -> Vec<Check> {
        let mut checks = vec![self.check_descriptors(plan)];
        checks.extend(
            plan.sources
                .iter()
                .find_map(|&source| check_source(source, plan)),
        );
        checks.push(self.ports.check(plan));
        if !plan.udp {
            checks.push(self.check_backlog(plan));
        }
        checks.extend(self.buffers.check(plan));
        checks.push(self.check_cores(plan));
        checks.extend(self.check_competition());
        checks
    }

    fn check_descriptors(&self, plan: &Plan) -> Check {
        let needed = (plan.connections + plan.idle) as u64 + DESCRIPTORS_RESERVED;
        let told = format!(
            "{} of {} needed",
            thousands(needed),
            thousands(self.descriptors)
        );
        if needed <= self.descriptors {
            return Check::fine("descriptors", told);
        }
        let most = self.descriptors.saturating_sub(DESCRIPTORS_RESERVED);
        Check::broken(
            "descriptors",
            format!(
                "{told}: raise the limit of open files (ulimit -Hn), or ask for at most {} connections",
                thousands(most)
            ),
        )
    }

    fn check_backlog(&self, plan: &Plan) -> Check {
        let told = |backlog| format!("the kernel keeps at most {backlog} connections for a server");
        match self.backlog {
            Some(backlog) if backlog < 128 && plan.connect_rate.is_none() => Check::doubtful(
                "backlog",
                format!(
                    "{}: set net.core.somaxconn, or --connect-rate",
                    told(backlog)
                ),
            ),
            Some(backlog) => Check::fine("backlog", told(backlog)),
            None => Check::fine("backlog", "not known here".to_owned()),
        }
    }

    fn check_cores(&self, plan: &Plan) -> Check {
        let told = format!("{} core{}", self.cpus, plural(self.cpus as u64));
        let local = plan.targets.iter().any(|target| target.ip().is_loopback());
        if local && self.cpus < 2 {
            let told = format!("{told}, shared with the server: each waits for the other");
            return Check::doubtful("cores", told);
        }
        let shared = if local {
            ", shared with the server"
        } else {
            ""
        };
        Check::fine("cores", format!("{told}{shared}"))
    }

    fn check_competition(&self) -> Option<Check> {
        let (disturbing, told) = self.competition.clone()?;
        Some(if disturbing {
            Check::doubtful("cpu", told)
        } else {
            Check::fine("cpu", told)
        })
    }
}

impl Check {
    pub(super) const fn fine(what: &'static str, told: String) -> Self {
        Self::new(Health::Fine, what, told)
    }

    pub(super) const fn doubtful(what: &'static str, told: String) -> Self {
        Self::new(Health::Doubtful, what, told)
    }

    pub(super) const fn broken(what: &'static str, told: String) -> Self {
        Self::new(Health::Broken, what, told)
    }

    const fn new(verdict: Health, what: &'static str, told: String) -> Self {
        Self {
            verdict,
            what,
            told,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.verdict == Health::Broken
    }

    /// In one sentence.
    pub(super) fn sentence(&self) -> String {
        format!("{}: {}", self.what, self.told)
    }
}

/// A source that is no address of this machine.
fn check_source(source: SourceAddr, plan: &Plan) -> Option<Check> {
    // bind(2) takes the interface of a link-local source from the server, if it has none.
    let target = plan.addresses().find(|&address| source.reaches(address))?;
    // Connecting a UDP socket binds it, and sends nothing.
    let error = connect_datagrams(target, Some(source)).err()?;
    // Any other error, such as a lack of descriptors, is not one of the address.
    if error.kind() != io::ErrorKind::AddrNotAvailable {
        return None;
    }
    let told = format!("{source}: {error}; give --source addresses of this machine");
    Some(Check::broken("source", told))
}

pub(super) fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

pub(super) const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn sources(all: &[[u8; 4]]) -> Vec<SourceAddr> {
        all.iter().map(|&ip| IpAddr::from(ip).into()).collect()
    }

    fn machine() -> Machine {
        Machine {
            descriptors: 20_000,
            ports: Ports {
                count: 28_232,
                time_wait: Some(0),
                reuse: Some(2),
            },
            backlog: Some(4096),
            buffers: Buffers::look(),
            cpus: 2,
            competition: Some((false, String::new())),
        }
    }

    fn plan(change: impl FnOnce(&mut Plan)) -> Plan {
        let mut plan = Plan::new();
        plan.targets = vec!["127.0.0.1:25555".parse().unwrap()];
        change(&mut plan);
        plan
    }

    fn told(machine: &Machine, plan: &Plan, what: &str) -> (Health, String) {
        let checks = machine.check(plan);
        let check = checks.iter().find(|check| check.what == what).unwrap();
        (check.verdict, check.told.clone())
    }

    #[test]
    fn what_a_run_would_die_of_is_named_with_its_remedy() {
        let plan = plan(|plan| plan.connections = 50_000);
        let (health, told_) = told(&machine(), &plan, "descriptors");
        assert_eq!(health, Health::Broken);
        assert!(
            told_.starts_with("50 024 of 20 000 needed: raise"),
            "{told_}"
        );
        let (health, told_) = told(&machine(), &plan, "ports");
        assert_eq!(health, Health::Broken);
        assert!(
            told_.ends_with("add --source 127.0.0.1-127.0.0.4"),
            "{told_}"
        );
        let roomy = Machine {
            descriptors: 100_000,
            ..machine()
        };
        assert_eq!(told(&roomy, &plan, "descriptors").0, Health::Fine);
    }

    #[test]
    fn sources_and_servers_multiply_the_ports() {
        let plan = plan(|plan| {
            plan.connections = 50_000;
            plan.sources = sources(&[1, 2, 3, 4].map(|last| [127, 0, 0, last]));
        });
        assert_eq!(told(&machine(), &plan, "ports").0, Health::Fine);
    }

    #[test]
    fn an_address_counts_once_however_often_it_is_given() {
        let plan = plan(|plan| {
            plan.connections = 30_000;
            plan.targets = vec![plan.targets[0]; 3];
            plan.sources = sources(&[[127, 0, 0, 1]; 2]);
        });
        assert_eq!(told(&machine(), &plan, "ports").0, Health::Broken);
    }

    #[test]
    fn a_source_that_is_elsewhere_is_named() {
        let plan = plan(|plan| plan.sources = sources(&[[127, 0, 0, 1], [192, 0, 2, 1]]));
        let (health, told_) = told(&machine(), &plan, "source");
        assert_eq!(health, Health::Broken);
        assert!(told_.starts_with("192.0.2.1: "), "{told_}");
    }

    #[test]
    fn what_makes_figures_doubtful_is_told() {
        let busy = Machine {
            competition: Some((true, String::new())),
            cpus: 1,
            ..machine()
        };
        let tcp = plan(|_| ());
        assert_eq!(told(&busy, &tcp, "cpu").0, Health::Doubtful);
        assert_eq!(told(&busy, &tcp, "cores").0, Health::Doubtful);
        assert!(
            machine()
                .check(&tcp)
                .iter()
                .all(|check| check.verdict == Health::Fine)
        );
    }
}
