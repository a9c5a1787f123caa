//! What an echoed message costs this server, and what it costs others: processor time of the server, user and system,
//! by turns.
//!
//! ```text
//! cargo bench --bench compare [-- --quick]
//! ```
//!
//! The peers are in `benches/peers`, a workspace of its own, and are built first; one that can't be is said and left
//! out. Each case is run with every server in turn, several rounds, and what is told is the median of the ratios of one
//! round: a single time says little on a shared machine. The server has the first core, and `echoloop bench`, which
//! verifies every byte, the second. Everything is written to `target/compare.json` as well.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echoloop");

/// Who is compared with. The first is the limit.
const PEERS: [&str; 3] = ["epoll", "tokio", "threads"];

/// What is done, with the options of `echoloop bench`, and how much of what raw epoll takes it may take.
const CASES: [Case; 6] = [
    Case {
        name: "64 B, 1 connection",
        options: &["-c", "1"],
        target: Some(1.03),
        churn: false,
    },
    Case {
        name: "64 B, 100 connections",
        options: &["-c", "100"],
        target: Some(1.03),
        churn: false,
    },
    Case {
        name: "64 B, 1 000 connections",
        options: &["-c", "1000"],
        target: Some(1.03),
        churn: false,
    },
    Case {
        name: "64 B, 100 connections, 16 in flight",
        options: &["-c", "100", "-p", "16"],
        target: Some(1.00),
        churn: false,
    },
    Case {
        name: "16 KiB, 10 connections",
        options: &["-c", "10", "-s", "16k"],
        target: None,
        churn: false,
    },
    Case {
        name: "connect, echo 64 B once, close",
        options: &[
            "-c",
            "50",
            "--churn",
            "1",
            "--source",
            "127.0.0.1-127.0.0.8",
        ],
        target: Some(1.03),
        churn: true,
    },
];

struct Case {
    name: &'static str,
    options: &'static [&'static str],
    target: Option<f64>,
    /// Clients come and go. What a thread has used is not known any more once it has ended, so who has one for each
    /// client is left out.
    churn: bool,
}

/// How much rounds may differ, the largest against the smallest, before there is too much noise to judge.
const NOISE_MAX: f64 = 1.25;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, time) = if quick { (2, "500ms") } else { (5, "1s") };
    let peers = build_peers();
    println!(
        "CPU of the server a message, in µs: medians of {rounds} rounds of {time}, by turns\n"
    );
    println!(
        "{:<37}{:>8}  {:<9}{:>8}{:>8}{:>14}{:>9}",
        "", "echoloop", "peer", "", "ratio", "rounds", "target"
    );
    let mut rows = Vec::new();
    for case in &CASES {
        let mut peers = peers.clone();
        peers.retain(|(name, _)| !(case.churn && *name == "threads"));
        let paths = peers.iter().map(|(_, path)| path.clone());
        let servers: Vec<PathBuf> = [PathBuf::from(PROGRAM)].into_iter().chain(paths).collect();
        let costs: Vec<Vec<f64>> = (0..rounds)
            .filter_map(|_| {
                servers
                    .iter()
                    .map(|server| cost(server, case, time))
                    .collect()
            })
            .collect();
        if costs.is_empty() {
            println!("{:<37}could not be measured", case.name);
            continue;
        }
        rows.extend(tell(case, &costs, &peers));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/compare.json");
    match std::fs::write(&path, format!("{:#}\n", Value::Array(rows))) {
        Ok(()) => println!("\nwritten to {}", path.display()),
        Err(error) => println!("\ncannot write {}: {error}", path.display()),
    }
}

/// Builds the peers. Returns those that could be, and where they are.
fn build_peers() -> Vec<(&'static str, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target/peers");
    let built = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
        ])
        .arg(root.join("benches/peers/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        println!("the peers could not be built: nothing to compare with");
    }
    let binary = |name: &'static str| (name, target.join("release").join(name));
    let (there, missing): (Vec<_>, Vec<_>) = PEERS
        .map(binary)
        .into_iter()
        .partition(|(_, path)| path.exists());
    for (name, _) in missing {
        println!("{name}: not there, and left out");
    }
    there
}

/// Tells how this server compares with each peer, of what each round has come to: ours first, then theirs.
fn tell(case: &Case, costs: &[Vec<f64>], peers: &[(&'static str, PathBuf)]) -> Vec<Value> {
    let column = |index: usize| costs.iter().map(|round| round[index]).collect::<Vec<_>>();
    let ours = median(column(0));
    let mut rows = Vec::new();
    for (index, (peer, _)) in peers.iter().enumerate() {
        let theirs = median(column(index + 1));
        let ratios: Vec<f64> = costs
            .iter()
            .map(|round| round[0] / round[index + 1])
            .collect();
        let ratio = median(ratios.clone());
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        // The limit may be reached; everybody else is to be beaten.
        let target = if *peer == PEERS[0] {
            case.target
        } else {
            Some(1.0)
        };
        let verdict = target.map_or("-", |target| judge(target, least, ratio, most));
        let aim = target.map_or_else(|| "-".to_owned(), |target| format!("{target:.2}"));
        let (name, own) = if index == 0 {
            (case.name, format!("{ours:.3}"))
        } else {
            ("", String::new())
        };
        println!(
            "{name:<37}{own:>8}  {peer:<9}{theirs:>8.3}{ratio:>8.3}{:>14}{aim:>9}  {verdict}",
            format!("{least:.2}..{most:.2}")
        );
        rows.push(json!({
            "case": case.name, "peer": peer, "echoloop_us": ours, "peer_us": theirs, "ratio": ratio,
            "least": least, "most": most, "target": target, "verdict": verdict,
        }));
    }
    rows
}

/// What the ratios of all rounds say of a target: if none of them, or each of them, is beyond it, noise does not matter.
fn judge(target: f64, least: f64, ratio: f64, most: f64) -> &'static str {
    if most <= target {
        "met"
    } else if least > target {
        "missed"
    } else if most / least > NOISE_MAX {
        "noise"
    } else if ratio <= target {
        "met"
    } else {
        "missed"
    }
}

/// What a message costs `server`, in microseconds of its processor time. `None`, with the reason said, if that can't be
/// told.
fn cost(server: &Path, case: &Case, time: &str) -> Option<f64> {
    let mut serving = Serving::start(server)?;
    let pid = serving.child.id().to_string();
    let mut bench = pinned(1, Path::new(PROGRAM));
    bench
        .args([
            "-q", "bench", "-d", time, "--warmup", "300ms", "--json", "-",
        ])
        .args(["--server-pid", &pid])
        .args(case.options)
        .arg(&serving.address);
    let output = bench.stderr(Stdio::null()).output().ok()?;
    serving.stop();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let answered = report["messages"]["answered"].as_f64().unwrap_or(0.0);
    let cpu = report["server"]["cpu_ns"].as_f64().unwrap_or(0.0);
    let wrong = report["messages"]["mismatch"] != 0 || answered < 100.0 || cpu == 0.0;
    if wrong {
        println!(
            "{}: {}: {}",
            server.display(),
            case.name,
            report["validity"]
        );
        return None;
    }
    Some(cpu / answered / 1000.0)
}

/// A server that is pinned to the first core.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(server: &Path) -> Option<Self> {
        let mut command = pinned(0, server);
        if server == Path::new(PROGRAM) {
            command.args(["-q", "serve", "--tcp", "127.0.0.1:0", "--no-udp"]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take()?)
            .read_line(&mut line)
            .ok()?;
        let address = line.trim_end().strip_prefix("listening tcp://")?.to_owned();
        Some(Self { child, address })
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `program`, on a core of its own where that can be had.
fn pinned(core: usize, program: &Path) -> Command {
    let can = Command::new("taskset")
        .args(["-c", &core.to_string(), "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !can {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        return (numbers[middle - 1] + numbers[middle]) / 2.0;
    }
    numbers[middle]
}
