//! What a report tells besides what the load has counted.

use std::time::Duration;

use super::goals::Finding;

/// What was asked for, in the words it was asked in, and where the load ran. All of it may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// The version of the program.
    pub version: Option<String>,
    /// When the run began (RFC 3339).
    pub started_at: Option<String>,
    /// When the measured window began (RFC 3339).
    pub measured_from: Option<String>,
    /// When the run ended (RFC 3339).
    pub ended_at: Option<String>,
    /// Which part of the messages, and of the attempts to connect, may fail, as a part of 1. `None`:
    /// [`FAILURES_MAX`](super::FAILURES_MAX).
    pub failures_max: Option<f64>,
    /// The servers, as they were given.
    pub targets: Vec<String>,
    /// The sizes of messages, as they were given.
    pub size: Option<String>,
    /// The rate, as it was given.
    pub rate: Option<String>,
    /// What the run is to be known by.
    pub labels: Vec<(String, String)>,
    /// The operating system and its version.
    pub os: Option<String>,
    /// How many processors there are.
    pub cpus: Option<usize>,
    /// How many descriptors this process may have.
    pub fd_limit: Option<u64>,
    /// How the loop ends its sleep.
    pub timer: Option<String>,
    /// The processor time this client has used, while it was measured.
    pub cpu: Option<Duration>,
    /// The most memory this client has had.
    pub rss_bytes: Option<u64>,
    /// What the server has used, if it runs on the same machine.
    pub server: Option<ServerFigures>,
    /// What was found to be doubtful before the load began.
    pub warnings: Vec<String>,
    /// The goals that were set, and whether they were met.
    pub goals: Vec<Finding>,
}

/// What the server's process has used, while the load was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerFigures {
    /// Its number.
    pub pid: u32,
    /// The processor time of all its threads, of those that have ended as well.
    pub cpu: Duration,
    /// Its memory, of all kinds.
    pub rss_bytes: u64,
    /// Of that, what it has allocated itself.
    pub anonymous_bytes: u64,
    /// By how much that has grown for each connection, if that was seen.
    pub bytes_per_connection: Option<f64>,
    /// How often it waited: voluntary context switches of the threads that ran at the end. The kernel
    /// has no figure for threads that have ended.
    pub ctx_voluntary: u64,
    /// How often another thread was let run in its stead: involuntary context switches, of the same
    /// threads.
    pub ctx_involuntary: u64,
}
