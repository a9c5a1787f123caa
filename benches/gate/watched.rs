//! A process that strace or valgrind watches.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::program;

/// How long to wait for anything. Only a hang takes that long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What counts.
#[derive(Clone, Copy)]
pub(crate) enum Tool {
    Strace,
    Callgrind,
    /// Nothing: the memory is that of the process alone.
    None,
}

/// `echoloop`, under a tool. It is killed when this is dropped.
pub(crate) struct Watched {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
    /// Of `echoloop` itself, which is a child of strace.
    pid: Pid,
}

impl Watched {
    /// Starts `echoloop` with `arguments`. A shell prints its process id and becomes `echoloop`.
    pub(crate) fn start(tool: Tool, arguments: &[&str]) -> Self {
        let (outer, inner): (&[&str], &[&str]) = match tool {
            Tool::Strace => (&["strace", "-f", "-c"], &[]),
            Tool::Callgrind => (
                &[],
                &[
                    "valgrind",
                    "--tool=callgrind",
                    "--callgrind-out-file=/dev/null",
                ],
            ),
            Tool::None => (&[], &[]),
        };
        let shell = ["sh", "-c", "echo $$; exec \"$@\"", "sh"];
        let words = [outer, &shell, inner].concat();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .arg(program())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = child.stderr.take().unwrap();
        let pid = stdout.next().unwrap().unwrap();
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        Self {
            child,
            stdout,
            stderr,
            pid,
        }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        self.stdout.next().expect("a line of output").unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Stops it while it sleeps, calls `act`, and continues it. What `act` sends arrives all at
    /// once.
    pub(crate) fn while_stopped(&self, act: impl FnOnce()) {
        self.wait_until(Self::is_asleep);
        self.signal(Signal::STOP);
        // 't' if a tracer sees it.
        self.wait_until(|watched| matches!(watched.state(), Some('T' | 't')));
        act();
        self.signal(Signal::CONT);
    }

    /// Whether it sleeps, as it does in a poll.
    pub(crate) fn is_asleep(&self) -> bool {
        self.state() == Some('S')
    }

    pub(crate) fn wait_until(&self, is_there: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_there(self) {
            assert!(start.elapsed() < DEADLINE, "echoloop does not get there");
            sleep(Duration::from_micros(50));
        }
    }

    /// The state that proc(5) names by a letter.
    fn state(&self) -> Option<char> {
        let stat = std::fs::read_to_string(self.path("stat")).ok()?;
        stat.rsplit_once(')')?.1.trim_start().chars().next()
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid.as_raw_nonzero())
    }

    /// How many descriptors it has.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = std::fs::read_dir(self.path("fd"));
        folder.map_or(0, Iterator::count)
    }

    /// Its anonymous memory, in bytes.
    pub(crate) fn anonymous(&self) -> f64 {
        let text = std::fs::read_to_string(self.path("smaps_rollup")).unwrap();
        let rest = text.split_once("Anonymous:").unwrap().1;
        let kib: f64 = rest.split_whitespace().next().unwrap().parse().unwrap();
        kib * 1024.0
    }

    /// Waits for its end, which has to be a success, and returns what it and the tool wrote to
    /// stderr.
    pub(crate) fn end(mut self) -> String {
        let mut report = String::new();
        self.stderr.read_to_string(&mut report).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "echoloop failed: {status}\n{report}");
        report
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // strace ends when what it watches has ended. After `end` there is no such process.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
