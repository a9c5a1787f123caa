//! The arguments of `echoloop lab`.

use clap::Args;

/// The arguments of `echoloop lab`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each takes five seconds at most, and all of them less than two minutes. Without a name they are \
listed. Everything happens on loopback, on ports that the system chooses.

Examples:
  echoloop lab
  echoloop lab drain
  echoloop lab all --json > findings.json

Exit codes: 0 done, whatever was found; 1 an experiment could not be carried out; 2 usage."
)]
pub(crate) struct LabArgs {
    /// The experiment; all: one after the other
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print JSON: an object for one experiment, an array for all, and for the list
    #[arg(long)]
    pub(crate) json: bool,
}
