//! `echoloop report`: a trace as a page.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use echoloop::report::thousands;
use echoloop::trace::{self, Source, Trace};

use crate::Failure;
use crate::args::ReportArgs;
use crate::inputs;
use crate::output::{Destination, TextStream, check_distinct};

/// Reads a trace, writes a page of it, and prints what was written.
pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let input = &args.trace;
    // A typed name is checked before the input is read. A derived one is checked after it: without an
    // input there is none.
    let typed = args.output.as_ref().map(|path| check(path, input));
    let typed = typed.transpose()?;
    let text = inputs::read(input)?;
    let path = output_path(args)?;
    let output = match typed {
        Some(output) => output,
        None => {
            let output = check(&path, input)?;
            check_own_page(&path)?;
            output
        }
    };
    let trace = trace::read(&text).map_err(|error| inputs::bad(input, &error))?;
    drop(text);
    // Where it lies concerns nobody to whom the page is sent.
    let file = match input.file_name() {
        Some(name) if !inputs::is_stdin(input) => name.to_string_lossy(),
        _ => "".into(),
    };
    let written = written(input);
    let source = Source {
        file: &file,
        written: written.as_deref(),
    };
    let page = trace::page(&trace, source).map_err(|error| inputs::bad(input, &error))?;
    output.open()?.write(&page)?;
    TextStream::beside([&output]).print(&summary(&path, &trace))?;
    Ok(ExitCode::SUCCESS)
}

/// Checks that the page can be written to `path`, and would not replace the `input`.
fn check(path: &Path, input: &Path) -> Result<Destination, Failure> {
    let output = Destination::check("-o", path)?;
    check_distinct(&[&output], &[inputs::replaceable(input)])?;
    Ok(output)
}

/// Where the page goes: beside the trace, unless the user says otherwise.
fn output_path(args: &ReportArgs) -> Result<PathBuf, Failure> {
    match &args.output {
        Some(path) => Ok(path.clone()),
        None if !inputs::is_stream(&args.trace) => Ok(args.trace.with_extension("html")),
        None if TextStream::Stdout.is_terminal() => Err(Failure::Usage(format!(
            "{} has no name for the page, and standard output is a terminal: give a file with -o",
            inputs::name(&args.trace)
        ))),
        None => Ok("-".into()),
    }
}

/// Refuses a name that the user did not type if another file than a page of this program has it.
fn check_own_page(path: &Path) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        return Ok(());
    }
    let Ok(metadata) = fs::metadata(path) else {
        // No file has this name.
        return Ok(());
    };
    let mut start = Vec::new();
    let is_page = metadata.is_file()
        && File::open(path)
            .and_then(|file| file.take(trace::START as u64).read_to_end(&mut start))
            .is_ok_and(|_| trace::is_page(&start));
    if is_page {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{} exists and is not a page of echoloop report: give the page another name with -o, or \
         replace the file with -o {0}",
        path.display()
    )))
}

/// One line about the page, and one for each limitation of the trace.
fn summary(page: &Path, trace: &Trace) -> String {
    let page = if page.as_os_str() == "-" {
        "the page".to_owned()
    } else {
        page.display().to_string()
    };
    let counted = |number: u64, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{} {what}{plural}", thousands(number))
    };
    let mut text = format!(
        "wrote {page}: {}, {}\n",
        counted(trace.connections() as u64, "connection"),
        counted(trace.records.len() as u64, "record")
    );
    if trace.dropped > 0 {
        let dropped = counted(trace.dropped, "record");
        text.push_str(&format!(
            "missing in the trace: {dropped} (limit, or a slow disk)\n"
        ));
    }
    if !trace.complete {
        text.push_str("the trace has no end: its writer was killed, or is still writing\n");
    }
    text
}

/// When a file was last written, in universal time.
fn written(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let time = jiff::Timestamp::try_from(file.modified().ok()?).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}
