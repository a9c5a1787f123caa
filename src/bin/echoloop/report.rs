//! `echoloop report`: a trace as a page.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use echoloop::trace::{self, Source};

use crate::Failure;
use crate::args::ReportArgs;

/// Reads a trace and writes a page of it.
pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let input = &args.trace;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| input.with_extension("html"));
    let to_stdout = output.as_os_str() == "-";
    if !to_stdout && is_same(input, &output) {
        return Err(Failure::Usage(format!(
            "the page would take the place of its trace {}: give another file with -o",
            input.display()
        )));
    }
    let text = fs::read_to_string(input).map_err(|error| unreadable(input, &error))?;
    let trace = trace::read(&text).map_err(|error| bad(input, &error))?;
    // Where it lies concerns nobody to whom the page is sent.
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let written = written(input);
    let source = Source {
        file: &name,
        written: written.as_deref(),
    };
    let page = trace::page(&trace, source);
    if to_stdout {
        crate::print(&page).map_err(|error| Failure::cannot("write the page", &error))?;
    } else {
        let what = format!("write {}", output.display());
        fs::write(&output, page).map_err(|error| Failure::cannot(&what, &error))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether both are one file that is there.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = fs::canonicalize(one);
    place.is_ok_and(|place| fs::canonicalize(other).is_ok_and(|other| other == place))
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
    let colon = if what.starts_with("is ") { "" } else { ":" };
    Failure::Usage(format!("{}{colon} {what}", path.display()))
}
