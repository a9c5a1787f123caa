//! `echoloop lab`: experiments, carried out and told.

use std::process::ExitCode;

use echoloop::lab::{self, EXPERIMENTS, Experiment};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::LabArgs;
use crate::{Failure, offer};

/// What stands for every experiment.
const ALL: &str = "all";

/// Carries out the experiment that is named, or lists them.
pub(crate) fn run(args: &LabArgs) -> Result<ExitCode, Failure> {
    let Some(name) = &args.name else {
        tell(&if args.json {
            lab::list_json(&EXPERIMENTS) + "\n"
        } else {
            lab::list_text(&EXPERIMENTS)
        })?;
        return Ok(ExitCode::SUCCESS);
    };
    raise_descriptor_limit();
    if name == ALL {
        return run_all(args.json);
    }
    let experiment = lab::find(name).ok_or_else(|| unknown(name))?;
    let finding = experiment
        .run()
        .map_err(|error| Failure::Failed(lab::failure_text(experiment, &error)))?;
    tell(&if args.json {
        finding.json() + "\n"
    } else {
        finding.text()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Carries out all of them. One that can't be carried out keeps no other from it.
fn run_all(json: bool) -> Result<ExitCode, Failure> {
    let mut findings = Vec::new();
    let mut failures = Vec::new();
    for experiment in &EXPERIMENTS {
        match experiment.run() {
            Ok(finding) => {
                let gap = if findings.is_empty() { "" } else { "\n" };
                // Nobody waits for the others when nobody reads any more.
                if !json && !tell(&format!("{gap}{}", finding.text()))? {
                    return Ok(ExitCode::SUCCESS);
                }
                findings.push(finding);
            }
            Err(error) => failures.push(lab::failure_text(experiment, &error)),
        }
    }
    if json {
        tell(&(lab::findings_json(&findings) + "\n"))?;
    }
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::Failed(failures.join("; ")))
}

/// Prints what was found. Whether anybody reads it still.
fn tell(text: &str) -> Result<bool, Failure> {
    offer(text).map_err(|error| Failure::cannot("write to stdout", &error))
}

fn unknown(name: &str) -> Failure {
    let names: Vec<_> = EXPERIMENTS
        .iter()
        .map(|Experiment { name, .. }| *name)
        .collect();
    Failure::Usage(format!(
        "there is no experiment '{name}': give {ALL}, or one of {}",
        names.join(", ")
    ))
}

/// Some experiments hold thousands of connections.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        // There are fewer of them then, and their number is told.
        log::debug!("the limit of open files stays: {error}");
    }
}
