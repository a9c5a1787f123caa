//! `echoloop trace-merge`: where the time of each message went.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use echoloop::report::journeys;
use echoloop::trace::merge;

use crate::args::MergeArgs;
use crate::report::is_same;
use crate::{Failure, print};

/// Joins two traces, and tells what that shows.
pub(crate) fn run(args: &MergeArgs) -> Result<ExitCode, Failure> {
    let [one, other] = &args.traces[..] else {
        return Err(Failure::Usage("give two traces".to_owned()));
    };
    if let Some(output) = &args.output
        && let Some(trace) = args.traces.iter().find(|trace| is_same(trace, output))
    {
        return Err(Failure::Usage(format!(
            "both would take the place of {}: give another file with -o",
            trace.display()
        )));
    }
    let (first, second) = (read(one)?, read(other)?);
    let (names, texts) = (
        [one.display().to_string(), other.display().to_string()],
        [first, second],
    );
    let merged = merge((&names[0], &texts[0]), (&names[1], &texts[1])).map_err(Failure::Usage)?;
    let output = args.output.as_deref();
    if output == Some(Path::new("-")) {
        return print(&merged.text)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| Failure::cannot("write to stdout", &error));
    }
    if let Some(path) = output {
        fs::write(path, &merged.text).map_err(|error| {
            Failure::Failed(format!("cannot write {}: {error}", path.display()))
        })?;
    }
    print(&journeys(&merged)).map_err(|error| Failure::cannot("write to stdout", &error))?;
    Ok(ExitCode::SUCCESS)
}

/// What is in a trace.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "{}: {error}; give a file that serve or bench has written with --trace",
            path.display()
        ))
    })
}
