//! What processes have used: this one, and a server's on this machine.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this process has used so far.
pub(crate) fn own_cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.max(0) as u64, used.tv_nsec.max(0) as u32)
}

/// How much memory this process has now, in bytes.
pub(crate) fn own_memory() -> u64 {
    field("/proc/self/status", "VmRSS:").unwrap_or(0) * 1024
}

/// What a server has used so far, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    /// Memory that is no file's: what connections cost.
    pub(crate) anonymous_bytes: u64,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

/// What the process `pid` has used. `None` if there is none, or it is not ours to look at.
pub(crate) fn used_by(pid: u32) -> Option<Used> {
    let mut used = Used::default();
    for entry in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let task = entry.ok()?.path();
        // A thread may end while it is looked at.
        let schedule = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        let ran = schedule.split_whitespace().next();
        used.cpu += Duration::from_nanos(ran.and_then(|text| text.parse().ok()).unwrap_or(0));
        let status = task.join("status");
        let count = |name| field(status.to_str()?, name);
        used.voluntary_switches += count("voluntary_ctxt_switches:").unwrap_or(0);
        used.involuntary_switches += count("nonvoluntary_ctxt_switches:").unwrap_or(0);
    }
    used.resident_bytes = field(&format!("/proc/{pid}/status"), "VmRSS:").unwrap_or(0) * 1024;
    let anonymous = field(&format!("/proc/{pid}/smaps_rollup"), "Anonymous:");
    used.anonymous_bytes = anonymous.unwrap_or(0) * 1024;
    Some(used)
}

/// The number behind `name` in a file of lines.
fn field(path: &str, name: &str) -> Option<u64> {
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
        assert_eq!(used_by(u32::MAX), None);
    }
}
