//! `echoloop trace-merge`: where the time of each message went.

use std::process::ExitCode;

use echoloop::report::{journeys, thousands};
use echoloop::trace::{Named, join};

use crate::Failure;
use crate::args::MergeArgs;
use crate::inputs;
use crate::output::{Destination, TextStream, check_distinct};

/// Joins two traces, and tells what that shows.
pub(crate) fn run(args: &MergeArgs) -> Result<ExitCode, Failure> {
    let [one, other] = &args.traces[..] else {
        return Err(Failure::Usage("give two traces".to_owned()));
    };
    if inputs::is_stdin(one) && inputs::is_stdin(other) {
        return Err(Failure::Usage(
            "both traces are standard input: give a file for one of them".to_owned(),
        ));
    }
    let output = Destination::check_option("-o", args.output.as_ref())?;
    let paths = [one, other].map(|trace| inputs::replaceable(trace));
    check_distinct(output.as_ref().as_slice(), &paths)?;
    let names = [one, other].map(|trace| inputs::name(trace));
    // The second input may be large, or a pipe whose writer takes its time.
    let text = inputs::read(one)?;
    let first = Named::read(&names[0], &text).map_err(Failure::Usage)?;
    let text = inputs::read(other)?;
    let second = Named::read(&names[1], &text).map_err(Failure::Usage)?;
    let merged = join(&first, &second).map_err(Failure::Usage)?;
    if let Some(process) = merged.renumbered {
        log::info!(
            "both programs have the same process number, as in containers: the server's is \
             {process} in the merged trace"
        );
    }
    if let Some(output) = &output {
        output.open()?.write(&merged.text)?;
    }
    if !merged.complete {
        log::warn!("a trace has no end: its writer was killed, or is still writing");
    }
    let mut text = journeys(&merged);
    if let Some(path) = args.output.as_ref().filter(|path| path.as_os_str() != "-") {
        let records = thousands(merged.records);
        text.push_str(&format!("\nwrote {}: {records} records\n", path.display()));
    }
    TextStream::beside(&output).print(&text)?;
    Ok(ExitCode::SUCCESS)
}
