//! Signals and blocked outputs: at any time, a signal ends the program.

#![allow(clippy::unwrap_used, clippy::duplicate_mod)]

mod blocked;
mod inherited;
mod moments;
#[path = "../support/process.rs"]
mod process;
mod reports;

#[path = "../support/mod.rs"]
mod support;
mod terminals;

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use process::program;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use support::serving::DEADLINE;

/// A program that is running. It is killed when the test is done with it.
struct Running(Child);

impl Running {
    /// Starts `command`, whose streams are closed or a null device unless they were set.
    fn start(command: &mut Command) -> Self {
        Self(command.env_remove("RUST_LOG").spawn().unwrap())
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    fn signal(&self, name: &str) {
        let pid = self.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.unwrap().success());
    }

    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    /// Waits for the end; returns the exit code, or `None` if a signal killed it.
    fn end(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < DEADLINE, "the program does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until it handles SIGTERM, which is the first thing it does.
    fn handles_signals(&self) {
        let caught = || mask(self.id(), "SigCgt:") & (1 << (15 - 1)) != 0;
        eventually_slow("it handles signals", caught);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A set of signals of a process (proc(5)).
fn mask(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix(name));
    mask.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap())
}

/// As `eventually`, for conditions that may take a system call or two.
fn eventually_slow(what: &str, condition: impl FnMut() -> bool) {
    support::serving::eventually(what, condition);
}

/// `echoloop` with `arguments`, without standard streams.
fn echoloop(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).env("LC_ALL", "C");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A pipe that is full and is not read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while writer.write(&vec![b'x'; size]).is_ok() {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// A directory that is removed at the end of its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("signals-{name}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn fifo(&self, name: &str) -> String {
        let path = self.path(name);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
