//! The arguments of `echoloop trace-merge`.

use std::path::PathBuf;

use clap::Args;

/// The arguments of `echoloop trace-merge`.
#[derive(Args, Debug)]
#[command(
    after_help = "Both traces have to be of this machine, since it was started: that is the clock they share. What is \
told is where the time of each message went: whether it was the client that sent late or woke late, or the server. The \
server has to answer with an echo, because it is by its place in the stream that a message is known.

Example:
  echoloop serve --trace server.json                           (until Ctrl-C, behind the bench)
  echoloop bench -R 1k -d 2s --trace client.json 127.0.0.1:25555
  echoloop trace-merge client.json server.json -o both.json

Exit codes: 0 done, 1 failed, 2 usage."
)]
pub(crate) struct MergeArgs {
    /// The trace of a bench, and the trace of the server that it has loaded, in either order; one may be -, standard
    /// input
    #[arg(value_name = "TRACE", num_args = 2, required = true)]
    pub(crate) traces: Vec<PathBuf>,
    /// Write both as one trace, with arrows from each end to the other, for ui.perfetto.dev; - for standard output,
    /// and the table goes to stderr
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
