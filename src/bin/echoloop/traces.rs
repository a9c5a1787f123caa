//! `echoloop trace-merge`: where the time of each message went.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use echoloop::report::journeys;
use echoloop::trace::merge;

use crate::Failure;
use crate::args::MergeArgs;
use crate::output::{Destination, TextStream, check_distinct};

/// Joins two traces, and tells what that shows.
pub(crate) fn run(args: &MergeArgs) -> Result<ExitCode, Failure> {
    let [one, other] = &args.traces[..] else {
        return Err(Failure::Usage("give two traces".to_owned()));
    };
    let output = Destination::check_option("-o", args.output.as_ref())?;
    let named = |trace: &PathBuf| format!("TRACE {}", trace.display());
    let inputs = [one, other].map(|trace| (named(trace), trace.as_path()));
    check_distinct(output.as_ref().as_slice(), &inputs)?;
    let (first, second) = (read(one)?, read(other)?);
    let (names, texts) = (
        [one.display().to_string(), other.display().to_string()],
        [first, second],
    );
    let merged = merge((&names[0], &texts[0]), (&names[1], &texts[1])).map_err(Failure::Usage)?;
    if let Some(output) = &output {
        output.open()?.write(&merged.text)?;
    }
    TextStream::beside(&output).print(&journeys(&merged))?;
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
