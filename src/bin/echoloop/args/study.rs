//! The arguments that have a loop tell what it does.

use std::path::PathBuf;

use clap::Args;

use crate::units::count;

/// The group of these options in the help.
const STUDY: &str = "Study";

/// What is to be seen of a loop as it runs.
#[derive(Args, Debug)]
pub(crate) struct StudyArgs {
    /// Show how the loop is doing, three times a second; a line a second where that is no terminal. On stderr if a result
    /// goes to standard output
    #[arg(long, help_heading = STUDY)]
    pub(crate) watch: bool,
    /// Write every turn, event and call as a trace, for ui.perfetto.dev and for 'echoloop report'; - for standard output
    #[arg(long, value_name = "FILE", help_heading = STUDY)]
    pub(crate) trace: Option<PathBuf>,
    /// The most records of a trace; what comes behind is counted, and not written
    #[arg(long, value_name = "N", default_value = "100k", value_parser = count, requires = "trace", help_heading = STUDY)]
    pub(crate) trace_limit: usize,
}

impl StudyArgs {
    /// Whether anything is to be seen.
    pub(crate) const fn is_on(&self) -> bool {
        self.watch || self.trace.is_some()
    }
}
