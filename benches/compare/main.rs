//! What this server costs, and what others cost: one table, against the targets it has.
//!
//! ```text
//! cargo bench [--bench compare] [-- --quick] [-- --only WORDS]
//! ```
//!
//! The peers are in `benches/peers`, and are built first; one that can't be is said and left out. Each case is run with
//! every server in turn, several rounds, and what is told is the median of the ratios of one round: a single time says
//! little on a shared machine. The server has the first core, and `echoloop bench`, which verifies every byte, the
//! second. Everything is written to `target/bench.json` as well.

mod arguments;
mod cases;
#[path = "../hot_path/counts.rs"]
mod counts;
mod generator;
mod memory;
mod peers;
mod probe;
mod scale;
mod serving;
mod table;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use self::arguments::{help_or_refuse, refuse};
use self::peers::Peers;
use self::table::{Table, say};

const HELP: &str = "\
What this server costs, and what others cost, by turns. Eight minutes.

Usage: cargo bench [--bench compare] -- [OPTIONS]

Options:
      --quick         One short round of each, which is not judged: a minute
      --only <WORDS>  Only cases whose name has these words in it; repeatable
                      (with --bench compare)
  -h, --help          Print this";

/// How much is measured.
#[derive(Clone, Copy)]
struct Pace {
    rounds: usize,
    time: &'static str,
    warmup: &'static str,
}

struct Options {
    quick: bool,
    only: Vec<String>,
}

impl Options {
    /// What the command line asks for. One that can't be taken, or asks for help, ends the program.
    fn parse() -> Self {
        let mut options = Self {
            quick: false,
            only: Vec::new(),
        };
        let mut arguments = arguments::typed();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only.push(arguments::value(
                    "--only",
                    "words to look for, such as 'UDP'",
                    arguments.next(),
                )),
                other => help_or_refuse(other, HELP),
            }
        }
        options
    }

    const fn pace(&self) -> Pace {
        if self.quick {
            Pace {
                rounds: 1,
                time: "250ms",
                warmup: "100ms",
            }
        } else {
            Pace {
                rounds: 12,
                time: "300ms",
                warmup: "100ms",
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|words| name.contains(words.as_str()))
    }
}

fn main() {
    let options = Options::parse();
    let start = Instant::now();
    let peers = Peers::build();
    let pace = options.pace();
    say(&format!(
        "Processor time of a server for a message, in µs: medians of {} rounds of {}, by turns",
        pace.rounds, pace.time
    ));
    let mut table = Table::new();
    cases::run(&options, &peers, &mut table);
    if options.wants("counts") {
        table.part("Counts, at 64 B, 100 connections");
        count(&mut table);
    }
    if options.wants("probe") {
        table.part("Being watched, at 64 B, 100 connections: µs a message");
        probe::run(pace, &mut table);
    }
    if options.wants("memory") {
        table.part("Memory");
        memory::run(options.quick, &peers, &mut table);
    }
    if options.wants("generator") {
        table.part("The load generator");
        generator::run(pace, &peers, &mut table);
    }
    if options.wants("scale") {
        table.part("Scale: µs a message");
        scale::side_by_side(pace, &mut table);
        if !options.quick {
            scale::run(pace, &peers, &mut table);
        }
    }
    if table.is_empty() {
        refuse(&format!(
            "no case has '{}' in its name: 'UDP', '16 KiB', 'counts', 'probe', 'memory', 'generator' and 'scale' are some",
            options.only.join("' or '")
        ));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench.json");
    table.finish(&machine(&options), &path);
    say(&format!("took {:.0} s", start.elapsed().as_secs_f64()));
}

/// What valgrind and strace count, where they are.
fn count(table: &mut Table) {
    let (instructions, calls) = (
        "user instructions a message",
        "system calls a message, saturated",
    );
    match counts::instructions(100, &[]) {
        Some(count) => table.limit(instructions, count, Some(150.0)),
        None => table.missing(instructions, "valgrind is not installed"),
    }
    let Some(counted) = counts::system_calls(100, &[]) else {
        return table.missing(calls, "strace is not installed, or may not trace");
    };
    table.limit(calls, counted.all, Some(2.1));
    table.limit("  of them recvfrom", counted.recvfrom, None);
    table.limit("  of them sendto", counted.sendto, None);
    table.limit("  of them epoll_wait", counted.epoll_wait, None);
    table.limit("  of them epoll_ctl", counted.epoll_ctl, Some(0.01));
}

fn machine(options: &Options) -> Value {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    json!({
        "system": said("uname", &["-sr"]),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "rustc": said("rustc", &["--version"]),
        "quick": options.quick,
        "version": env!("CARGO_PKG_VERSION"),
    })
}
