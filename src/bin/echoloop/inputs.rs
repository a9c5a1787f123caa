//! Traces as input: files, FIFOs and standard input. They are untrusted.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use echoloop::report::bytes;
use echoloop::trace;

use crate::Failure;
use crate::patient::Patient;

/// The most bytes of a trace that are read: 20 million records. The whole is in memory.
const SIZE_MAX: u64 = 4 << 30;

/// Whether `path` stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether `path` has no name that another file's could be made of: standard input, a FIFO.
pub(crate) fn is_stream(path: &Path) -> bool {
    is_stdin(path) || fs::metadata(path).is_ok_and(|file| !file.is_file())
}

/// The name of an input in messages.
pub(crate) fn name(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

/// What an output option must not replace: the input, as typed and as a path.
pub(crate) fn replaceable(path: &Path) -> (String, &Path) {
    let file = if is_stdin(path) {
        Path::new("/dev/stdin")
    } else {
        path
    };
    (format!("TRACE {}", path.display()), file)
}

/// The text of the trace at `path`; `-`: of standard input.
///
/// # Errors
///
/// A usage error that says what the file is instead.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: io::Error| {
        Failure::Usage(format!(
            "cannot read {}: {error}; give a file that serve or bench has written with --trace",
            name(path)
        ))
    };
    if is_stdin(path) {
        return read_from(Patient(io::stdin().lock()))
            .map_err(unreadable)?
            .map_err(|what| bad(path, &what));
    }
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().is_ok_and(|file| file.len() > SIZE_MAX) {
        return Err(bad(path, &too_large()));
    }
    read_from(file)
        .map_err(unreadable)?
        .map_err(|what| bad(path, &what))
}

/// Reads a trace to its end. Any other file is refused by its first bytes.
fn read_from(mut input: impl Read) -> io::Result<Result<String, String>> {
    let mut text = Vec::new();
    input
        .by_ref()
        .take(trace::START as u64)
        .read_to_end(&mut text)?;
    if let Err(what) = trace::check_start(&text) {
        return Ok(Err(what));
    }
    let left = SIZE_MAX + 1 - text.len() as u64;
    input.take(left).read_to_end(&mut text)?;
    if text.len() as u64 > SIZE_MAX {
        return Ok(Err(too_large()));
    }
    Ok(trace::text(text))
}

fn too_large() -> String {
    format!(
        "is larger than {}: record fewer events with --trace-limit",
        bytes(SIZE_MAX as f64)
    )
}

/// What an input is instead of a trace.
pub(crate) fn bad(path: &Path, what: &str) -> Failure {
    let is_predicate = ["is ", "has ", "spans "]
        .iter()
        .any(|verb| what.starts_with(verb));
    let colon = if is_predicate { "" } else { ":" };
    Failure::Usage(format!("{}{colon} {what}", name(path)))
}
