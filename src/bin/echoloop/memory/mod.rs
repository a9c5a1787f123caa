//! The memory of a server: how much it may use, the default that follows from that, and what it may take.

mod bound;
mod limit;

use std::fs;
use std::path::Path;

use echoloop::reactor::BufferSizes;
use echoloop::server::Config;
use log::Level;
use rustix::param::page_size;
use rustix::system::sysinfo;
use socket2::Type;

use self::bound::{Bound, Kernel};
use self::limit::{MemoryLimit, memory_limit};
use crate::socket_buffers::actual_sizes;

/// The part of the memory limit that pending output may take by default.
const UNSENT_PART: u64 = 4;

/// The least and the largest default of `--unsent-max`.
const UNSENT_MIN: u64 = 64 << 20;
const UNSENT_MAX: u64 = 4 << 30;

/// The part of a machine's memory that all TCP connections may take, unless `net.ipv4.tcp_mem` was changed: 3/32
/// (`tcp_init_mem` in the source of Linux).
const TCP_PART: u64 = 3;
const TCP_PARTS: u64 = 32;

/// How much memory this process may use.
#[derive(Debug)]
pub(crate) struct Memory {
    /// What the machine has.
    machine: u64,
    limit: MemoryLimit,
}

impl Memory {
    /// Reads the limits of the control groups of this process.
    pub(crate) fn look() -> Self {
        let text = |path: &str| read(Path::new(path)).unwrap_or_default();
        // The unit in the README hides /proc/meminfo (ProcSubset=pid), which has the same number.
        let system = sysinfo();
        let machine = (system.totalram as u64).saturating_mul(u64::from(system.mem_unit));
        let (cgroup, mounts) = (text("/proc/self/cgroup"), text("/proc/self/mountinfo"));
        Self {
            machine,
            limit: memory_limit(&cgroup, &mounts, machine, read),
        }
    }

    /// The default of `--unsent-max`.
    pub(crate) fn unsent_max(&self) -> usize {
        let most = (self.limit.bytes / UNSENT_PART).clamp(UNSENT_MIN, UNSENT_MAX);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// How much memory a server with the settings `config` may take, and a warning if that is too much. It has `room`
    /// for that number of connections, and its replies are longer than a message by `suffix` bytes.
    pub(crate) fn notice(
        &self,
        config: &Config,
        room: usize,
        suffix: usize,
        console: bool,
    ) -> Notice {
        let config = Config {
            max_conns: config.max_conns.min(room),
            ..config.clone()
        };
        let bound = Bound::new(
            &config,
            suffix,
            console,
            &kernel(&config.buffers, self.machine),
        );
        let limit = &self.limit;
        if bound.exceeds(limit) {
            Notice(Level::Warn, bound.warning(limit))
        } else {
            Notice(
                Level::Info,
                format!("memory: {bound}; the limit is {limit}"),
            )
        }
    }
}

/// A line for the log, once the server has its sockets: an error at the start is one line.
#[derive(Debug)]
pub(crate) struct Notice(Level, String);

impl Notice {
    pub(crate) fn log(&self) {
        log::log!(self.0, "{}", self.1);
    }
}

/// What the kernel gives to sockets of these sizes on a machine with this memory.
fn kernel(sizes: &BufferSizes, machine: u64) -> Kernel {
    let parameter = |name: &str| {
        let text = read(&Path::new("/proc/sys/net/ipv4").join(name))?;
        // The least, the usual, the most.
        text.split_whitespace().nth(2)?.parse::<u64>().ok()
    };
    let tcp = actual_sizes(Type::STREAM, sizes);
    let udp = actual_sizes(Type::DGRAM, sizes);
    // A buffer grows up to the parameter, unless its size is set.
    let tcp_size = |asked: Option<usize>, actual: Option<u64>, name| match asked {
        Some(_) => actual,
        None => parameter(name),
    };
    Kernel {
        tcp_send: tcp_size(sizes.send, tcp.map(|(send, _)| send), "tcp_wmem"),
        tcp_receive: tcp_size(sizes.receive, tcp.map(|(_, receive)| receive), "tcp_rmem"),
        // It can't be read in a network namespace of its own, such as that of a container, nor with ProcSubset=pid.
        tcp_all: parameter("tcp_mem").map_or(machine / TCP_PARTS * TCP_PART, |pages| {
            pages.saturating_mul(page_size() as u64)
        }),
        udp: udp.map_or(0, |(send, receive)| send + receive),
    }
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_of_unsent_max_is_a_quarter_of_the_limit_from_64_mib_to_4_gib() {
        let unsent_max = |bytes| {
            let limit = MemoryLimit { bytes, file: None };
            Memory {
                machine: bytes,
                limit,
            }
            .unsent_max()
        };
        assert_eq!(unsent_max(1 << 30), 256 << 20);
        assert_eq!(unsent_max(8 << 30), 2 << 30);
        assert_eq!(unsent_max(64 << 30), 4 << 30);
        assert_eq!(unsent_max(100 << 20), 64 << 20);
        assert_eq!(unsent_max(0), 64 << 20);
    }
}
