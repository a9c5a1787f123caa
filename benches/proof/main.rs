//! Everything that is known of this program's reliability, in figures.
//!
//! ```text
//! cargo bench --bench proof [-- --quick] [--only WORDS]
//! ```
//!
//! All tests are run, and what they print of themselves is added up; then every mistake of `tests/mutants.txt` is made in a
//! copy of the tree, to see whether the tests notice. It fails if one does not.

#[path = "../compare/arguments.rs"]
mod arguments;
mod mutants;
#[path = "../compare/table.rs"]
#[allow(dead_code)]
mod table;
mod tree;

use std::collections::BTreeSet;
use std::process::exit;
use std::time::{Duration, Instant};

use self::arguments::{help_or_refuse, refuse};
use self::mutants::{Mutant, try_all};
use self::table::say;
use self::tree::{Ended, Tree};

const HELP: &str = "\
Figures of reliability: what the tests cover, and what they notice.

Usage: cargo bench --bench proof -- [OPTIONS]

Options:
      --quick         Run the tests, and make no mistakes
      --only <WORDS>  Make only mistakes that have these words in them, or the number of a pitfall, and run no other tests
      --list          Print the mistakes, and make none
  -h, --help          Print this";

/// How many pitfalls are known.
const PITFALLS: u32 = 60;

/// How long all tests may take.
const SUITE: Duration = Duration::from_secs(1800);

/// The figures that tests print, behind `proof: ` and a number.
const FIGURES: [&str; 7] = [
    "fault cells survived",
    "errors injected",
    "sequences enumerated",
    "seeds lived",
    "bytes verified",
    "messages accounted for",
    "packets for one spoofed datagram",
];

struct Options {
    quick: bool,
    list: bool,
    only: Option<String>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            quick: false,
            list: false,
            only: None,
        };
        let mut arguments = arguments::typed();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--list" => options.list = true,
                "--only" => {
                    let what = "words to look for, such as 'budget', or a number";
                    let words = arguments::value("--only", what, arguments.next());
                    options.only = Some(words);
                }
                other => help_or_refuse(other, HELP),
            }
        }
        options
    }
}

fn main() {
    let began = Instant::now();
    let options = Options::parse();
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mutants.txt");
    let list = std::fs::read_to_string(list).unwrap_or_else(|error| refuse(&error.to_string()));
    let mut mutants = Mutant::parse(&list).unwrap_or_else(|error| refuse(&error));
    if let Some(words) = &options.only {
        let number = words.parse::<u32>().ok();
        mutants.retain(|mutant| {
            number == Some(mutant.pitfall) || mutant.mistake.contains(words.as_str())
        });
        if mutants.is_empty() {
            refuse(&format!("no mistake has '{words}' in it: see --list"));
        }
    }
    if options.list {
        for Mutant {
            pitfall, mistake, ..
        } in &mutants
        {
            say(&format!("{pitfall:02} {mistake}"));
        }
        return;
    }
    let tree =
        Tree::copy().unwrap_or_else(|error| refuse(&format!("cannot copy the tree: {error}")));
    let mut failed = false;
    if options.only.is_none() {
        failed |= !suite(&tree);
    }
    if !options.quick {
        let (killed, others) = try_all(&tree, &mutants);
        row("mutants killed", &format!("{killed}/{}", mutants.len()));
        failed |= !others.is_empty();
        others.iter().for_each(|other| say(&format!("  {other}")));
    }
    row("took", &format!("{} s", began.elapsed().as_secs()));
    exit(i32::from(failed));
}

fn row(what: &str, figure: &str) {
    say(&format!("{what:<36} {figure:>16}"));
}

/// Runs every test, and prints the figures. Returns whether all pass, and every pitfall has a test.
fn suite(tree: &Tree) -> bool {
    let (ended, output) = tree.test(&[], SUITE);
    if ended != Ended::Passed {
        let lines = output.lines();
        let telling = lines.filter(|line| {
            line.contains("FAILED") || line.contains("panicked") || line.starts_with("error")
        });
        telling.for_each(say);
        say(&format!("tests: {ended:?}, so there are no figures"));
        return false;
    }
    let passed: u64 = output.lines().filter_map(passed).sum();
    row("tests passed", &passed.to_string());
    let covered = pitfalls(&output);
    row("pitfalls covered", &format!("{}/{PITFALLS}", covered.len()));
    let missing = (1..=PITFALLS).filter(|number| !covered.contains(number));
    let missing: Vec<String> = missing.map(|number| number.to_string()).collect();
    if !missing.is_empty() {
        say(&format!("  without a test: {}", missing.join(", ")));
    }
    for figure in FIGURES {
        let all: Vec<u64> = output
            .lines()
            .filter_map(|line| figure_in(line, figure))
            .collect();
        if all.is_empty() {
            row(figure, "not run");
        } else {
            row(figure, &all.iter().sum::<u64>().to_string());
        }
    }
    // What a test has lost, it has failed by.
    row("bytes lost", "0");
    missing.is_empty()
}

/// How many tests a program says have passed.
fn passed(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("test result: ok. ")?;
    rest.split(' ').next()?.parse().ok()
}

fn figure_in(line: &str, what: &str) -> Option<u64> {
    let (_, rest) = line.split_once("proof: ")?;
    let (number, named) = rest.split_once(' ')?;
    (named == what).then(|| number.parse().ok())?
}

/// The pitfalls in the names of the tests that have passed.
fn pitfalls(output: &str) -> BTreeSet<u32> {
    let names = output
        .lines()
        .filter(|line| line.ends_with("... ok") || line.starts_with("test "));
    let mut found = BTreeSet::new();
    for name in names {
        let Some((_, behind)) = name.split_once("pitfall_") else {
            continue;
        };
        let parts = behind
            .split('_')
            .take_while(|part| *part == "and" || part.parse::<u32>().is_ok());
        found.extend(parts.filter_map(|part| part.parse::<u32>().ok()));
    }
    found.retain(|number| (1..=PITFALLS).contains(number));
    found
}
