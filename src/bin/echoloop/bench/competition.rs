//! How much other processes used the CPUs while a load was measured.
//!
//! The load average does not show that: it covers the last minutes, and so the previous run.
//! Instead, the CPU time of the whole machine is read when the measured window begins and when it
//! ends, and that of this client and of the server is subtracted.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::processes::{Processes, Servers, is_local, servers};
use super::usage::{cpu_of, own_cpu};

/// How much of the machine other processes may use. Beyond it, times may include waits for them.
const OTHERS_MAX: f64 = 0.1;

/// How much of the time may be given to other virtual machines.
const STEAL_MAX: f64 = 0.01;

/// Less time has too few clock ticks, usually of 10 ms, to judge by.
const LENGTH_MIN: Duration = Duration::from_millis(200);

/// The part of what other processes used that one must have used to be named.
const NAMED_MIN: f64 = 0.2;

/// The processor time of the whole machine so far, in clock ticks of all processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    /// Of processes and of the kernel for them. Interrupts are left out: those of the load are among
    /// them.
    work: u64,
    steal: u64,
    all: u64,
    cpus: u32,
}

/// The figures at one moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    ticks: Ticks,
    /// What this client and the server have used so far.
    known: Duration,
}

/// The use of the CPUs between two moments.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shares {
    /// How many CPUs other processes used, on average.
    others: f64,
    cpus: u32,
    /// The part of the time that the hypervisor gave to other virtual machines.
    steal: f64,
}

/// Measures what other processes use.
#[derive(Debug)]
pub(super) struct Competition {
    servers: Servers,
    /// `None` if no process is to be named.
    before: Option<Processes>,
    from: Option<Moment>,
    to: Option<Moment>,
}

impl Competition {
    /// For a load on `targets`; `server` is the process id of a server that is known. Without
    /// `names`, no other process is looked at.
    pub(super) fn new(targets: &[SocketAddr], udp: bool, server: Option<u32>, names: bool) -> Self {
        let servers = match (names, server) {
            (false, Some(server)) => Servers::Local(vec![server]),
            (false, None) if targets.iter().any(|target| is_local(target.ip())) => Servers::Unknown,
            (false, None) => Servers::Remote,
            (true, _) => match (servers(targets, udp), server) {
                (Servers::Local(found), Some(server)) => {
                    Servers::Local(found.into_iter().chain([server]).collect())
                }
                (_, Some(server)) => Servers::Local(vec![server]),
                (found, None) => found,
            },
        };
        Self {
            servers,
            before: names.then(Processes::look),
            from: None,
            to: None,
        }
    }

    /// The measured window begins.
    pub(super) fn begin(&mut self) {
        self.from = self.look();
    }

    /// The measured window ends.
    pub(super) fn end(&mut self) {
        self.to = self.look();
    }

    fn look(&self) -> Option<Moment> {
        let used = self.server_ids().iter().filter_map(|&id| cpu_of(id));
        Some(Moment {
            at: Instant::now(),
            ticks: Ticks::read()?,
            known: own_cpu() + used.sum(),
        })
    }

    fn server_ids(&self) -> &[u32] {
        match &self.servers {
            Servers::Local(ids) => ids,
            Servers::Remote | Servers::Unknown => &[],
        }
    }

    /// What makes the times doubtful, once the loop was left.
    pub(super) fn warnings(&self) -> Vec<String> {
        let Some(shares) = self.shares() else {
            return Vec::new();
        };
        let mut warnings = Vec::new();
        // The CPU time of an unknown server on this machine cannot be separated from that of others.
        let is_blind = self.servers == Servers::Unknown && self.before.is_none();
        if shares.are_disturbing() && !is_blind {
            warnings.push(format!("cpu: {}", self.sentence(&shares)));
        }
        warnings.extend(shares.stolen().map(|told| format!("steal: {told}")));
        warnings
    }

    fn shares(&self) -> Option<Shares> {
        Shares::between(self.from.as_ref()?, self.to.as_ref()?)
    }

    fn sentence(&self, shares: &Shares) -> String {
        let name = self.busiest(shares);
        let told = format!("{}{name}", shares.told("used", " while it was measured"));
        if self.servers == Servers::Unknown {
            return format!(
                "{told}; the server may be one of them: give its process id with --server-pid"
            );
        }
        format!("{told}; times may include waits for them")
    }

    /// The process that used most since this was created, which is the whole run, if it used a good
    /// part of what other processes used.
    fn busiest(&self, shares: &Shares) -> String {
        let busiest = self.before.as_ref().and_then(|before| {
            let except = [self.server_ids(), &[std::process::id()]].concat();
            Processes::look().busiest_since(before, &except)
        });
        let Some((id, process)) = busiest else {
            return String::new();
        };
        let all = self.from.zip(self.to);
        let ticks = all.map_or(0, |(from, to)| to.ticks.all - from.ticks.all);
        let used = process.ticks as f64 / ticks.max(1) as f64 * f64::from(shares.cpus);
        if used < shares.others * NAMED_MIN {
            return String::new();
        }
        format!(", the busiest {} (pid {id})", process.name)
    }

    /// What other processes use now, measured for a moment, and whether that disturbs a load.
    pub(super) fn now() -> Option<(bool, String)> {
        let mut competition = Self {
            servers: Servers::Remote,
            before: Some(Processes::look()),
            from: None,
            to: None,
        };
        competition.begin();
        thread::sleep(LENGTH_MIN);
        competition.end();
        let shares = competition.shares()?;
        let name = competition.busiest(&shares);
        let told = shares.told("use", "");
        Some(if shares.are_disturbing() {
            (
                true,
                format!("{told}{name}; times will include waits for them"),
            )
        } else {
            (false, told)
        })
    }
}

impl Ticks {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Reads `/proc/stat`: see proc_stat(5).
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let fields = lines.next()?.strip_prefix("cpu ")?.split_whitespace();
        let fields: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        // The last ones, of guests, are part of the first.
        let &[user, nice, system, idle, iowait, irq, softirq, steal, ..] = &fields[..] else {
            return None;
        };
        let cpus = lines.take_while(|line| line.starts_with("cpu")).count();
        let work = user + nice + system;
        Some(Self {
            work,
            steal,
            all: work + idle + iowait + irq + softirq + steal,
            cpus: u32::try_from(cpus).ok()?,
        })
    }
}

impl Shares {
    /// `None` if that was too short to tell.
    fn between(from: &Moment, to: &Moment) -> Option<Self> {
        let elapsed = to.at.duration_since(from.at);
        let all = to.ticks.all.saturating_sub(from.ticks.all);
        // The sleep of a moment ends a little later than asked for, and never earlier.
        if elapsed < LENGTH_MIN || all == 0 {
            return None;
        }
        let part = |of: fn(&Ticks) -> u64| {
            of(&to.ticks).saturating_sub(of(&from.ticks)) as f64 / all as f64
        };
        let cpus = to.ticks.cpus;
        let known = to.known.saturating_sub(from.known).as_secs_f64() / elapsed.as_secs_f64();
        Some(Self {
            others: (part(|ticks| ticks.work) * f64::from(cpus) - known).max(0.0),
            cpus,
            steal: part(|ticks| ticks.steal),
        })
    }

    fn are_disturbing(&self) -> bool {
        self.others > OTHERS_MAX * f64::from(self.cpus)
    }

    fn told(&self, used: &str, when: &str) -> String {
        format!(
            "other processes {used} {:.2} of {} CPUs{when}",
            self.others, self.cpus
        )
    }

    fn stolen(&self) -> Option<String> {
        (self.steal > STEAL_MAX).then(|| {
            format!(
                "the hypervisor gave {:.1} % of the CPU time of this machine to others; times may include that",
                self.steal * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 10 40 800 20 5 5 20 7 0
cpu0 50 5 20 400 10 2 3 10 3 0
cpu1 50 5 20 400 10 3 2 10 4 0
intr 1 2 3
";

    #[test]
    fn ticks_are_read_without_counting_guests_twice() {
        let ticks = Ticks::parse(STAT).unwrap();
        let expected = Ticks {
            work: 150,
            steal: 20,
            all: 1_000,
            cpus: 2,
        };
        assert_eq!(ticks, expected);
        assert_eq!(Ticks::parse("cpu 1 2"), None);
        assert_eq!(Ticks::parse(""), None);
    }

    /// A window of a second on two processors, in which all processes used this many seconds.
    fn window(work: u64, steal: u64, known: u64) -> Competition {
        let at = Instant::now();
        let moment = |seconds: u64, work, steal, known| Moment {
            at: at + Duration::from_secs(seconds),
            ticks: Ticks {
                work,
                steal,
                all: 200 * seconds,
                cpus: 2,
            },
            known: Duration::from_millis(known),
        };
        Competition {
            servers: Servers::Remote,
            before: None,
            from: Some(moment(0, 0, 0, 0)),
            to: Some(moment(1, work, steal, known)),
        }
    }

    #[test]
    fn client_and_server_do_not_compete_with_the_load() {
        assert!(window(180, 0, 1_800).warnings().is_empty());
        assert!(window(180, 0, 1_650).warnings().is_empty());
        assert_eq!(
            window(180, 0, 800).warnings(),
            [
                "cpu: other processes used 1.00 of 2 CPUs while it was measured; times may include waits for them"
            ]
        );
        assert!(window(100, 0, 1_100).warnings().is_empty(), "rounding");
    }

    #[test]
    fn unknown_local_server_is_not_blamed() {
        let mut unknown = window(180, 0, 800);
        unknown.servers = Servers::Unknown;
        assert!(unknown.warnings().is_empty());
        unknown.before = Some(Processes::default());
        let told = unknown.warnings();
        assert!(
            told[0]
                .contains("; the server may be one of them: give its process id with --server-pid"),
            "{told:?}"
        );
    }

    #[test]
    fn steal_time_has_a_warning_of_its_own() {
        assert_eq!(
            window(10, 10, 100).warnings(),
            [
                "steal: the hypervisor gave 5.0 % of the CPU time of this machine to others; times may include that"
            ]
        );
        assert!(window(10, 2, 100).warnings().is_empty());
    }

    #[test]
    fn short_window_has_no_warning() {
        let mut short = window(180, 180, 0);
        short.to.as_mut().unwrap().at = short.from.unwrap().at + Duration::from_millis(199);
        assert!(short.warnings().is_empty());
        short.to = None;
        assert!(short.warnings().is_empty());
    }

    #[test]
    fn busiest_process_of_this_machine_has_a_name() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let targets = ["192.0.2.1:1".parse().unwrap()];
        let mut competition = Competition::new(&targets, false, None, true);
        competition.begin();
        thread::sleep(Duration::from_secs(1));
        competition.end();
        let except: Vec<u32> = Vec::new();
        let before = competition.before.as_ref().unwrap();
        let (_, busiest) = Processes::look().busiest_since(before, &except).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(busiest.ticks > 0 && !busiest.name.is_empty(), "{busiest:?}");
    }
}
