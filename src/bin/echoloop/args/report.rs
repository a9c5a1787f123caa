//! The arguments of `echoloop report`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `echoloop report`.
#[derive(Args, Debug)]
#[command(
    after_help = "Makes one HTML file of a trace that serve or bench has written with --trace: how \
busy the loop was, what is odd about it, and a timeline of its turns and connections. It needs no \
network, and can be sent to others as it is.

Examples:
  echoloop report trace.json                   writes trace.html
  echoloop report trace.json -o report.html
  echoloop report trace.json -o - > report.html
  zcat trace.json.gz | echoloop report - > report.html

Without -o, an existing TRACE.html is replaced only if it is a page of echoloop report.

Exit codes: 0 written, 1 writing failed, 2 usage, the page can't be written there, or the file is not a trace."
)]
pub(crate) struct ReportArgs {
    /// The trace: a file that serve or bench has written with --trace; -: standard input
    #[arg(value_name = "TRACE")]
    pub(crate) trace: PathBuf,
    /// Where to write the page; -: to standard output [default: TRACE, ending in .html; standard
    /// output if TRACE is standard input or a FIFO]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
