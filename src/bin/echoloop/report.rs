//! `echoloop report`: a trace as a page.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use echoloop::trace::{self, Source};

use crate::Failure;
use crate::args::ReportArgs;
use crate::output::{Destination, check_distinct};

/// Reads a trace and writes a page of it.
pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let input = &args.trace;
    let text = fs::read_to_string(input).map_err(|error| unreadable(input, &error))?;
    let beside = input.with_extension("html");
    let output = args.output.as_deref().unwrap_or(&beside);
    let output = Destination::check("-o", output)?;
    check_distinct(&[&output], &[(format!("TRACE {}", input.display()), input)])?;
    let trace = trace::read(&text).map_err(|error| bad(input, &error))?;
    // Where it lies concerns nobody to whom the page is sent.
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let written = written(input);
    let source = Source {
        file: &name,
        written: written.as_deref(),
    };
    let page = trace::page(&trace, source).map_err(|error| bad(input, &error))?;
    output.open()?.write(&page)?;
    Ok(ExitCode::SUCCESS)
}

/// When a file was last written, in universal time.
fn written(path: &Path) -> Option<String> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    let time = jiff::Timestamp::try_from(modified).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    // What is not even text.
    if error.kind() == io::ErrorKind::InvalidData {
        return bad(path, trace::NOT_A_TRACE);
    }
    Failure::Usage(format!(
        "cannot read {}: {error}; give a file that serve or bench has written with --trace",
        path.display()
    ))
}

/// What a file is instead of a trace.
fn bad(path: &Path, what: &str) -> Failure {
    let is_predicate = ["is ", "has ", "spans "]
        .iter()
        .any(|verb| what.starts_with(verb));
    let colon = if is_predicate { "" } else { ":" };
    Failure::Usage(format!("{}{colon} {what}", path.display()))
}
