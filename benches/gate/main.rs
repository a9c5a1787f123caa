//! A gate for counts: what one message and one idle connection cost `serve` and `bench`.
//!
//! ```text
//! cargo bench --bench gate
//! ```
//!
//! strace counts system calls and valgrind counts user instructions; both figures are the slope
//! between two sizes of a run. Memory is the slope between two numbers of idle connections. Counts
//! are the same on a busy machine and on a quiet one. Every figure has a ceiling in `ceilings.txt`;
//! the gate fails if one is exceeded.
//!
//! `ECHOLOOP_PROGRAM` names another executable to measure. `ECHOLOOP_SKIP_GATE=1` skips everything.

#![allow(clippy::unwrap_used)]

mod ceilings;
mod figures;
mod lockstep;
#[path = "../../tests/support/program.rs"]
mod program;
mod watched;

use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::ceilings::{Ceilings, FILE};
use self::figures::{Figure, Group, groups};

/// How often a group is measured if a figure is above its ceiling. The lowest value counts: noise
/// only adds.
const ATTEMPTS: usize = 6;

/// Open files that are needed for the idle connections.
const DESCRIPTORS: u64 = 9_100;

fn main() -> ExitCode {
    if std::env::var_os("ECHOLOOP_SKIP_GATE").is_some_and(|value| value == "1") {
        println!("gate: SKIPPED, because ECHOLOOP_SKIP_GATE is 1");
        return ExitCode::SUCCESS;
    }
    match prepare().and_then(|()| Ceilings::read()) {
        Ok(ceilings) => judge(&ceilings),
        Err(why) => {
            println!("gate: FAILED: {why}");
            println!("ECHOLOOP_SKIP_GATE=1 skips the gate.");
            ExitCode::FAILURE
        }
    }
}

/// Checks that everything needed is there.
fn prepare() -> Result<(), String> {
    if cfg!(debug_assertions) && std::env::var_os("ECHOLOOP_PROGRAM").is_none() {
        return Err("not a release build: run cargo bench --bench gate".to_owned());
    }
    for tool in [&["strace", "-c", "true"][..], &["valgrind", "--version"]] {
        let mut command = Command::new(tool[0]);
        command.args(&tool[1..]);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(format!("'{}' does not work: install it", tool.join(" ")));
        }
    }
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.maximum.is_some_and(|most| most < DESCRIPTORS)
        || setrlimit(Resource::Nofile, raised).is_err()
    {
        return Err(format!(
            "fewer than {DESCRIPTORS} open files: raise ulimit -Hn"
        ));
    }
    Ok(())
}

/// Measures everything, and prints every figure beside its ceiling.
fn judge(ceilings: &Ceilings) -> ExitCode {
    let mut figures = Vec::new();
    for group in groups() {
        for figure in measure(&group, ceilings) {
            print(&figure, ceilings);
            figures.push(figure);
        }
    }
    let failed: Vec<&Figure> = figures
        .iter()
        .filter(|figure| !ceilings.allow(figure))
        .collect();
    let unused = ceilings.unused(&figures);
    for name in &unused {
        println!("{FILE}: '{name}' is not measured");
    }
    if failed.is_empty() && unused.is_empty() {
        println!("gate: passed, {} figures", figures.len());
        return ExitCode::SUCCESS;
    }
    println!(
        "gate: FAILED, {} of {} figures",
        failed.len(),
        figures.len()
    );
    if !failed.is_empty() {
        println!("If the new cost is intended, put these lines into {FILE}");
        println!("and give the reason in the commit message:");
    }
    for figure in failed {
        let old = ceilings
            .of(&figure.name)
            .unwrap_or(ceilings::Ceiling::AtMost(0.0));
        println!("{:<40} {}", figure.name, old.raised_to(figure.value));
    }
    ExitCode::FAILURE
}

/// Measures a group, again if a figure is above its ceiling.
fn measure(group: &Group, ceilings: &Ceilings) -> Vec<Figure> {
    let mut best = group.measure();
    for attempt in 2..=ATTEMPTS {
        let failed: Vec<&Figure> = best
            .iter()
            .filter(|figure| !ceilings.allow(figure))
            .collect();
        if failed.is_empty() {
            break;
        }
        for figure in failed {
            println!(
                "{:<40} {:>10.4}  attempt {attempt} follows",
                figure.name, figure.value
            );
        }
        for (figure, again) in best.iter_mut().zip(group.measure()) {
            if ceilings.allow(&again) || again.value < figure.value {
                *figure = again;
            }
        }
    }
    best
}

fn print(figure: &Figure, ceilings: &Ceilings) {
    let ceiling = ceilings.of(&figure.name);
    let text = ceiling.map_or_else(|| "no ceiling".to_owned(), |ceiling| ceiling.to_string());
    let verdict = if ceilings.allow(figure) { "" } else { "FAILED" };
    let line = format!(
        "{:<40} {:>10.4}  {text:<14} {verdict}",
        figure.name, figure.value
    );
    println!("{}", line.trim_end());
}
