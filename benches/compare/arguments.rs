//! The arguments of a benchmark, and what is said of wrong ones.

use std::process::exit;

use crate::table::say;

/// What was typed, without what cargo passes to every benchmark.
pub(crate) fn typed() -> impl Iterator<Item = String> {
    std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
}

/// The value that follows `option`, which is a wrong one if there is none.
pub(crate) fn value(option: &str, what: &str, next: Option<String>) -> String {
    next.unwrap_or_else(|| refuse(&format!("{option} needs {what}")))
}

/// Prints `help` if that is asked for; any other argument is unknown. Either is the end.
pub(crate) fn help_or_refuse(argument: &str, help: &str) -> ! {
    if !["-h", "--help"].contains(&argument) {
        refuse(&format!("unknown option '{argument}': see --help"));
    }
    say(help);
    exit(0);
}

/// Says why nothing is done.
pub(crate) fn refuse(why: &str) -> ! {
    eprintln!("error: {why}");
    exit(2)
}
