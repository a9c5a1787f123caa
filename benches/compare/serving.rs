//! A server on a core of its own, and a load on another.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::peers::{PROGRAM, Peers};
use crate::table::say;

/// A server to be started: its name, and what it is started with.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Server {
    /// This server, with `options` of `serve`.
    pub(crate) fn ours(options: &[&str]) -> Self {
        let serve = ["-q", "serve"].iter().chain(options);
        Self {
            name: "ours",
            path: PROGRAM.into(),
            arguments: serve.map(|&option| option.to_owned()).collect(),
        }
    }

    /// The peer called `binary`, known as `name`, if it is there.
    pub(crate) fn peer(
        peers: &Peers,
        name: &'static str,
        binary: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        Some(Self {
            name,
            path: peers.find(binary)?.to_owned(),
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
        })
    }

    /// Starts it on the first core.
    pub(crate) fn start(&self) -> Option<Serving> {
        self.start_on(Some(0))
    }

    /// Starts it on `core`, or on any.
    pub(crate) fn start_on(&self, core: Option<usize>) -> Option<Serving> {
        self.start_with_output(core).map(|(serving, _)| serving)
    }

    /// Starts it on `core`, or on any, and returns what it prints after its address as well.
    pub(crate) fn start_with_output(
        &self,
        core: Option<usize>,
    ) -> Option<(Serving, BufReader<ChildStdout>)> {
        let mut command = pinned(core, &self.path);
        let mut child = command
            .args(&self.arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take()?);
        stdout.read_line(&mut line).ok()?;
        let address = line.trim_end().strip_prefix("listening ")?.to_owned();
        Some((Serving { child, address }, stdout))
    }
}

/// A server that runs. It is killed when this is dropped.
pub(crate) struct Serving {
    child: Child,
    /// With its scheme.
    pub(crate) address: String,
}

impl Serving {
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// How many descriptors it has.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", self.pid()));
        folder.map_or(0, Iterator::count)
    }

    /// Its anonymous memory, in bytes.
    pub(crate) fn anonymous(&self) -> Option<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Anonymous:"))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024.0)
    }

    /// The processor time it has taken so far, in nanoseconds.
    pub(crate) fn cpu(&self) -> Option<f64> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).ok()?;
        let times = tasks.map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<f64>().ok()
        });
        times.sum()
    }

    /// Puts a load on it, of `options` of `bench`, on the second core, and returns the report. `None`, with the reason
    /// said, if anything of it was wrong.
    pub(crate) fn load(&self, options: &[&str]) -> Option<Value> {
        let mut bench = bench(options);
        bench.args(["--server-pid", &self.pid()]).arg(&self.address);
        report(bench)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A load on the second core that is still to be told where to.
pub(crate) fn bench(options: &[&str]) -> Command {
    let mut bench = pinned(Some(1), Path::new(PROGRAM));
    bench
        .args(["-q", "bench", "--json", "-"])
        .args(options)
        .stderr(Stdio::null());
    bench
}

/// Runs a load to its end.
pub(crate) fn report(mut bench: Command) -> Option<Value> {
    let output = bench.output().ok()?;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let answered = report["messages"]["replied"].as_f64().unwrap_or(0.0);
    if report["messages"]["mismatched"] != 0 || answered < 100.0 {
        say(&format!(
            "a load went wrong: {bench:?}: {}",
            report["validity"]
        ));
        return None;
    }
    Some(report)
}

/// What a message cost who is called `who` in a report, in microseconds of its processor time.
pub(crate) fn cost(report: &Value, who: &str) -> Option<f64> {
    let cpu = report[who]["cpu_ns"].as_f64().filter(|&cpu| cpu > 0.0)?;
    Some(cpu / report["messages"]["replied"].as_f64()? / 1000.0)
}

/// `program`, on a core of its own where that can be had.
pub(crate) fn pinned(core: Option<usize>, program: &Path) -> Command {
    let core = core.map(|core| core.to_string());
    let can = core.as_ref().is_some_and(|core| {
        let tried = Command::new("taskset").args(["-c", core, "true"]).status();
        tried.is_ok_and(|status| status.success())
    });
    match core {
        Some(core) if can => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core]).arg(program);
            command
        }
        _ => Command::new(program),
    }
}
