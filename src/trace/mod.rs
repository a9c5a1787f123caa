//! What a loop did, in files that [Perfetto](https://ui.perfetto.dev) and `chrome://tracing` open.
//!
//! Trace events as [Chrome's format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU)
//! has them: an array of objects, one a line. Times are in microseconds of the machine's monotonic clock, so that the
//! traces of two programs on one machine fit together.
//!
//! * The track `loop` has the polls and turns; in a turn, whoever is served, and in that, the calls. All are strictly
//!   nested: Perfetto knows no others on a track.
//! * Each slot has a track, on which connections live one after the other: how long each was ready, and was served.
//! * Arrows lead from the moment a connection was ready, on its track, to when it had been served, on the loop's.
//! * Counters tell how busy the loop is, how many events a poll brings, and how many connections there are.
//!
//! [`page`](page()) makes one HTML file of such a trace, which needs no viewer.

mod check;
mod document;
mod event;
mod events;
mod joined;
mod lives;
mod merge;
mod page;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use check::check;
pub use document::{NOT_A_TRACE, START, check_start, text};
pub use merge::{Journey, Merged, Named, PARTS, join, merge};
pub use page::{Source, is_page, page};
pub use reader::{Trace, read};
pub use writer::{End, TraceWriter};

use crate::probe::Role;

/// The format of these files, in their first line.
const FORMAT: &str = "echoloop.trace/1";

/// The track of the loop. Those of slots follow behind [`SLOTS`].
const LOOP: u64 = 1;

/// The track of slot 0.
const SLOTS: u64 = 1000;

/// As it is written.
const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Load => "load",
    }
}
