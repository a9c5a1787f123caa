//! What processes have used: this one, and a server's on this machine.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this process has used so far.
pub(crate) fn own_cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.max(0) as u64, used.tv_nsec.max(0) as u32)
}

/// How much memory this process has now, in bytes.
pub(crate) fn own_memory() -> u64 {
    field(Path::new("/proc/self/status"), "VmRSS:").unwrap_or(0) * 1024
}

/// What a server has used so far, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// User and system time of all its threads, of those that have ended as well.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    /// Memory that is no file's: what connections cost.
    pub(crate) anonymous_bytes: u64,
    /// The context switches of each thread that runs now, by its id. The kernel has no figure for
    /// threads that have ended.
    switches: HashMap<u32, Switches>,
}

/// Context switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
}

/// What a server has used between two looks, and what it held at the second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Of all threads, of those that have ended as well.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) anonymous_bytes: u64,
    /// Of the threads that ran at the second look.
    pub(crate) switches: Switches,
}

impl Used {
    /// The difference to `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Spent {
        let mut switches = Switches::default();
        for (thread, now) in &self.switches {
            // Thread ids are used again: the counts of a later thread may be the smaller ones.
            let before = earlier.switches.get(thread).copied().unwrap_or_default();
            switches.voluntary += now.voluntary.saturating_sub(before.voluntary);
            switches.involuntary += now.involuntary.saturating_sub(before.involuntary);
        }
        Spent {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            resident_bytes: self.resident_bytes,
            anonymous_bytes: self.anonymous_bytes,
            switches,
        }
    }
}

/// What the process `pid` has used. `None` if there is none, or it is not ours to look at.
pub(crate) fn used_by(pid: u32) -> Option<Used> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let cpu = cpu_of(pid)?;
    let field_of = |file: &str, name| field(Path::new(&format!("/proc/{pid}/{file}")), name);
    Some(Used {
        cpu,
        resident_bytes: field_of("status", "VmRSS:").unwrap_or(0) * 1024,
        anonymous_bytes: field_of("smaps_rollup", "Anonymous:").unwrap_or(0) * 1024,
        // A thread may end while it is looked at.
        switches: tasks
            .filter_map(|task| switches_of(&task.ok()?.path()))
            .collect(),
    })
}

/// The id of the thread at this path of `/proc`, and its context switches so far.
fn switches_of(task: &Path) -> Option<(u32, Switches)> {
    let thread = task.file_name()?.to_str()?.parse().ok()?;
    let count = |name| field(&task.join("status"), name);
    let switches = Switches {
        voluntary: count("voluntary_ctxt_switches:")?,
        involuntary: count("nonvoluntary_ctxt_switches:")?,
    };
    Some((thread, switches))
}

/// The CPU clock of the process `pid` (clock_getcpuclockid(3)): the kernel adds up what threads
/// have used when they end, which no file of `/proc` has in nanoseconds.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_of(pid: u32) -> Option<Duration> {
    use nix::time::ClockId;
    use nix::unistd::Pid;

    let pid = Pid::from_raw(i32::try_from(pid).ok()?);
    let clock = ClockId::pid_cpu_clock_id(pid).ok()?;
    Some(Duration::from(clock.now().ok()?))
}

#[cfg(not(target_os = "linux"))]
pub(crate) const fn cpu_of(_pid: u32) -> Option<Duration> {
    None
}

/// The number behind `name` in a file of lines.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_seen_from_both_sides() {
        let pid = std::process::id();
        let before = used_by(pid).unwrap();
        let mut sum = 0u64;
        while own_cpu() < Duration::from_millis(30) || used_by(pid).unwrap().cpu == before.cpu {
            sum = (0..100_000u64).fold(sum, |sum, number| sum.wrapping_mul(31) ^ number);
        }
        assert!(sum != 1 && used_by(pid).unwrap().cpu > before.cpu);
        assert!(own_memory() > 100_000 && before.anonymous_bytes > 0);
        for nobody in [0, u32::MAX, i32::MAX as u32] {
            assert_eq!(used_by(nobody), None);
        }
    }

    #[test]
    fn threads_that_have_ended_are_part_of_the_cpu_time() {
        let pid = std::process::id();
        let before = used_by(pid).unwrap();
        let thread = std::thread::spawn(|| {
            let own = || clock_gettime(ClockId::ThreadCPUTime);
            let mut sum = 0u64;
            while own().tv_nsec < 200_000_000 && own().tv_sec == 0 {
                sum = (0..100_000u64).fold(sum, |sum, number| sum.wrapping_mul(31) ^ number);
            }
            sum
        });
        std::hint::black_box(thread.join().unwrap());
        // join(3) returns when the thread is about to leave the list of tasks.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while used_by(pid).unwrap().switches.len() > before.switches.len()
            && std::time::Instant::now() < deadline
        {
            std::thread::yield_now();
        }
        let spent = used_by(pid).unwrap().since(&before);
        assert!(spent.cpu >= Duration::from_millis(200), "{spent:?}");
    }

    #[test]
    fn context_switches_are_those_of_the_threads_at_the_end() {
        let used = |switches: &[(u32, u64, u64)]| Used {
            switches: switches
                .iter()
                .map(|&(thread, voluntary, involuntary)| {
                    let switches = Switches {
                        voluntary,
                        involuntary,
                    };
                    (thread, switches)
                })
                .collect(),
            ..Used::default()
        };
        // Thread 2 has ended, 3 has been begun, and 4 is another thread with the same id.
        let before = used(&[(1, 10, 5), (2, 1_000_000, 900_000), (4, 50, 50)]);
        let now = used(&[(1, 30, 6), (3, 7, 2), (4, 1, 60)]);
        let switches = now.since(&before).switches;
        assert_eq!((switches.voluntary, switches.involuntary), (27, 13));
    }
}
