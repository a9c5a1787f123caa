//! What it costs to be counted, and to be watched.

use crate::Pace;
use crate::serving::{Server, cost};
use crate::table::Table;

/// Measures each beside nothing of the kind.
pub(crate) fn run(pace: Pace, table: &mut Table) {
    let tcp = ["--tcp", "127.0.0.1:0", "--no-udp"];
    let watched: [(&str, &[&str], Option<f64>); 3] = [
        (
            "counters, --stats-interval 1s",
            &["--stats-interval", "1s"],
            Some(1.02),
        ),
        ("figures, --watch", &["--watch"], Some(1.02)),
        ("a trace, --trace", &["--trace", "/dev/null"], None),
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
