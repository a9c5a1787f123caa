//! What threads of this process have used, as the kernel tells (proc(5)).

use std::fs;
use std::path::Path;

/// What all threads but the calling one have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// How often they gave a core away, or had it taken, in the life of those that are there now.
    pub(super) switches: u64,
    /// Memory of the whole process that is no file's, in bytes.
    pub(super) memory: u64,
}

impl Usage {
    /// Looks at it.
    pub(super) fn of_others() -> Self {
        let mut usage = Self {
            memory: field(Path::new("/proc/self/status"), "RssAnon:").unwrap_or(0) * 1024,
            ..Self::default()
        };
        let own = fs::read_link("/proc/thread-self").unwrap_or_default();
        let Ok(tasks) = fs::read_dir("/proc/self/task") else {
            return usage;
        };
        for task in tasks.flatten() {
            if Some(task.file_name().as_os_str()) == own.file_name() {
                continue;
            }
            // A thread may end while it is looked at.
            let status = task.path().join("status");
            let count = |name| field(&status, name).unwrap_or(0);
            usage.switches +=
                count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:");
        }
        usage
    }
}

/// The number behind `name` in a file of lines.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn the_switches_of_another_thread_are_seen() {
        let before = Usage::of_others();
        let (to_other, from_us) = mpsc::channel();
        let (to_us, from_other) = mpsc::channel();
        let other = thread::spawn(move || {
            for () in from_us {
                to_us.send(()).unwrap();
            }
        });
        // It has to wait for each, sooner or later.
        while Usage::of_others().switches <= before.switches + 10 {
            to_other.send(()).unwrap();
            from_other.recv().unwrap();
        }
        assert!(Usage::of_others().memory > 0);
        drop(to_other);
        other.join().unwrap();
    }
}
