//! What a message costs with few connections and with many, all of them busy or one in a hundred; and processes side by side.

use std::process::Stdio;

use crate::Pace;
use crate::peers::Peers;
use crate::serving::{Server, bench, cost, report};
use crate::table::Table;

/// How many connections there are. The most that 20,000 descriptors a process allow, with some to spare.
const COUNTS: [usize; 5] = [10, 100, 1_000, 10_000, 19_000];

/// Measures ours beside raw epoll.
pub(crate) fn run(pace: Pace, peers: &Peers, table: &mut Table) {
    let Some(epoll) = Server::peer(peers, "raw epoll", "epoll", &[]) else {
        return table.missing("10 to 19,000 connections", "raw epoll is not there");
    };
    let tcp = ["--tcp", "127.0.0.1:0", "--no-udp", "--max-conns", "19500"];
    let ours = Server::ours(&tcp);
    for (busy, name) in [(1, "all busy"), (100, "1 % busy")] {
        for count in COUNTS.into_iter().filter(|count| count >= &busy) {
            let what = format!("{count} connections, {name}");
            let (active, idle) = (
                (count / busy).to_string(),
                (count - count / busy).to_string(),
            );
            let load = [
                "-c",
                &active,
                "--idle",
                &idle,
                "--source",
                "127.0.0.1-127.0.0.4",
                "-d",
                pace.time,
                "--warmup",
                pace.warmup,
            ];
            let once = |server: &Server| cost(&server.start()?.load(&load)?, "server");
            let rounds =
                (0..pace.rounds.div_ceil(2)).filter_map(|_| Some((once(&ours)?, once(&epoll)?)));
            let rounds: Vec<(f64, f64)> = rounds.collect();
            table.compare(&what, epoll.name, &rounds, None);
        }
    }
}

/// What a message costs one process, and two that share a port, on any core, beside the load: of their processor time together.
pub(crate) fn side_by_side(pace: Pace, table: &mut Table) {
    let what = "two processes, --reuse-port: µs a message";
    let rounds =
        (0..pace.rounds.div_ceil(2)).filter_map(|_| Some((shared(2, pace)?, shared(1, pace)?)));
    let rounds: Vec<(f64, f64)> = rounds.collect();
    table.compare(what, "one process", &rounds, None);
}

fn shared(count: usize, pace: Pace) -> Option<f64> {
    let first =
        Server::ours(&["--tcp", "127.0.0.1:0", "--no-udp", "--reuse-port"]).start_on(None)?;
    let address = first.address.clone();
    let tcp = address.strip_prefix("tcp://")?;
    let mut all = vec![first];
    for _ in 1..count {
        all.push(Server::ours(&["--tcp", tcp, "--no-udp", "--reuse-port"]).start_on(None)?);
    }
    let used = || -> Option<f64> { all.iter().map(|serving| serving.cpu()).sum() };
    let before = used()?;
    let mut load = bench(&["-c", "100", "--warmup", "0s", "-d", pace.time]);
    load.arg(&address).stderr(Stdio::null());
    let answered = report(load)?["messages"]["replied"].as_f64()?;
    Some((used()? - before) / answered / 1000.0)
}
