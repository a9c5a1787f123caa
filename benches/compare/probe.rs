//! What it costs to be watched.

use crate::Pace;
use crate::serving::{Server, cost};
use crate::table::Table;

/// Measures `--watch` and `--trace` beside neither.
pub(crate) fn run(pace: Pace, table: &mut Table) {
    let tcp = ["--tcp", "127.0.0.1:0", "--no-udp"];
    let watched: [(&str, &[&str], Option<f64>); 2] = [
        ("counters on, --watch", &["--watch"], Some(1.02)),
        ("a trace written, --trace", &["--trace", "/dev/null"], None),
    ];
    for (what, options, target) in watched {
        let once = |options: &[&str]| {
            let serving = Server::ours(&[&tcp, options].concat()).start()?;
            let load = ["-c", "100", "-d", pace.time, "--warmup", pace.warmup];
            cost(&serving.load(&load)?, "server")
        };
        let rounds = (0..pace.rounds).filter_map(|_| Some((once(options)?, once(&[])?)));
        let rounds: Vec<(f64, f64)> = rounds.collect();
        table.compare(what, "without", &rounds, target);
    }
}
