//! The program, run as a process.

#![allow(dead_code, unreachable_pub)]

#[path = "program.rs"]
mod program;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

#[allow(unused_imports)]
pub use self::program::{NOISE, program};
use crate::support::serving::{DEADLINE, connect};

/// A server process. It is killed when the test is done with it, however that comes.
pub struct Process {
    pub child: Child,
    pub stdout: Option<BufReader<ChildStdout>>,
    pub tcp: Vec<SocketAddr>,
    pub udp: Vec<SocketAddr>,
}

impl Process {
    /// Starts `echoloop serve` on free ports of loopback and waits until it can be reached.
    pub fn serve(options: &[&str]) -> Self {
        let mut command = Command::new(program());
        command
            .args([
                "-q",
                "serve",
                "--tcp",
                "127.0.0.1:0",
                "--udp",
                "127.0.0.1:0",
            ])
            .args(options);
        Self::start(&mut command)
    }

    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self {
            child,
            stdout: None,
            tcp: Vec::new(),
            udp: Vec::new(),
        };
        for _ in 0..2 {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if let Some(address) = line.strip_prefix("listening tcp://") {
                process.tcp.push(address.parse().unwrap());
            } else if let Some(address) = line.strip_prefix("listening udp://") {
                process.udp.push(address.parse().unwrap());
            } else {
                panic!("{line:?}");
            }
        }
        process.stdout = Some(stdout);
        process
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.tcp[0])
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end; returns the exit code, and what was printed after the listening lines.
    pub fn end(mut self) -> (i32, String, String) {
        let start = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(start.elapsed() < DEADLINE, "the program does not end"),
            }
            thread::sleep(Duration::from_millis(2));
        };
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_string(&mut out).unwrap();
        }
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (status.code().expect("an exit code, not a signal"), out, err)
    }

    /// How many of its open descriptors are of this kind.
    pub fn descriptors(&self, kind: &str) -> usize {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        let targets = descriptors.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap());
        targets
            .filter(|target| target.to_str().unwrap().contains(kind))
            .count()
    }

    /// User and system time used so far, in clock ticks of 10 ms.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
