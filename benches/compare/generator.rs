//! What the load generator itself costs, and how late it is.

use serde_json::Value;

use crate::Pace;
use crate::peers::Peers;
use crate::serving::{Server, cost, pinned};
use crate::table::Table;

const TCP: [&str; 3] = ["--tcp", "127.0.0.1:0", "--no-udp"];

/// Measures what a message costs it, whether its memory stays, and how late it sends what is due.
pub(crate) fn run(pace: Pace, peers: &Peers, table: &mut Table) {
    by_turns(pace, peers, table);
    memory(pace, table);
    lateness(pace, table);
}

/// Its processor time a message beside that of the smallest client of C that does the same.
fn by_turns(pace: Pace, peers: &Peers, table: &mut Table) {
    let what = "load generator, 100 connections: µs a message";
    let rounds = (0..pace.rounds).filter_map(|_| Some((ours(pace, peers)?, theirs(pace, peers)?)));
    let rounds: Vec<(f64, f64)> = rounds.collect();
    table.compare(what, "client in C", &rounds, Some(1.15));
}

fn ours(pace: Pace, peers: &Peers) -> Option<f64> {
    let serving = Server::peer(peers, "raw epoll", "epoll", &[])?.start()?;
    let time = ["-c", "100", "-d", pace.time, "--warmup", pace.warmup];
    cost(&serving.load(&time)?, "client")
}

fn theirs(pace: Pace, peers: &Peers) -> Option<f64> {
    let serving = Server::peer(peers, "raw epoll", "epoll", &[])?.start()?;
    let (_, port) = serving.address.rsplit_once(':')?;
    let milliseconds = |time: &str| time.strip_suffix("ms").map(str::to_owned);
    let mut client = pinned(Some(1), peers.find("client")?);
    client.args([
        port,
        "100",
        &milliseconds(pace.time)?,
        &milliseconds(pace.warmup)?,
    ]);
    let said: Value = serde_json::from_slice(&client.output().ok()?.stdout).ok()?;
    Some(said["cpu_ns"].as_f64()? / said["messages"].as_f64()? / 1000.0)
}

/// How much of its memory there is after ten times as many messages.
fn memory(pace: Pace, table: &mut Table) {
    let many = if pace.rounds > 2 {
        10_000_000
    } else {
        1_000_000
    };
    let what = format!("load generator: KiB after {many} messages");
    let resident = |count: u32| {
        let serving = Server::ours(&TCP).start()?;
        let report = serving.load(&["-c", "100", "-p", "64", "-n", &count.to_string()])?;
        Some(report["client"]["rss_bytes"].as_f64()? / 1024.0)
    };
    let (Some(all), Some(tenth)) = (resident(many), resident(many / 10)) else {
        return table.missing(&what, "could not be measured");
    };
    // A count, for which one round is enough.
    if let Some(growth) = table.compare(&what, "after a tenth", &[(all, tenth)], None) {
        table.limit("  the one / the other", growth, Some(1.05));
    }
}

/// How late it was itself with what was due.
fn lateness(pace: Pace, table: &mut Table) {
    let what = "open loop, 20,000/s: p99 of lateness, best, µs";
    let once = || {
        let load = [
            "-c", "100", "--rate", "20000", "-d", "1s", "--warmup", "200ms",
        ];
        let report = Server::ours(&TCP).start()?.load(&load)?;
        report["latency_ns"]["lag"]["p"]["99"].as_f64()
    };
    let p99s: Vec<f64> = (0..pace.rounds.div_ceil(2))
        .filter_map(|_| once())
        .collect();
    if p99s.is_empty() {
        return table.missing(what, "could not be measured");
    }
    // Whatever else runs on the machine makes a run late, and nothing makes one early.
    let least = p99s.iter().copied().fold(f64::INFINITY, f64::min);
    table.limit(what, least / 1000.0, Some(100.0));
}
