//! What a loop did, as a page for people: one HTML file that needs nothing else, and no network.
//!
//! Figures, sentences, tables and plots are in the page as text. Only the timeline is drawn by a script, from what is
//! embedded as JSON. Whatever a trace says is escaped: it was written by whoever had the file.

mod connections;
mod digest;
mod embedded;
mod figures;
mod findings;
mod plot;
#[cfg(test)]
mod tests;
mod text;

use std::fmt::Write;

use self::digest::Digest;
use self::text::{count, escaped, time};
use super::Trace;
use crate::probe::{Record, Role, What};

const PAGE: &str = include_str!("page/page.html");
const TIMELINE: &str = include_str!("page/timeline.html");
const STYLE: &str = include_str!("page/style.css");

/// The script, in the order in which its parts need each other.
const SCRIPT: [&str; 3] = [
    include_str!("page/slices.js"),
    include_str!("page/timeline.js"),
    include_str!("page/controls.js"),
];

/// What is known of the file that a trace was read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source<'a> {
    /// Its name.
    pub file: &'a str,
    /// When it was last written, for people.
    pub written: Option<&'a str>,
}

/// The most records of a page: ten times the default of `--trace-limit`. A browser has to hold and draw
/// them all. Ends of connections are not counted, because a trace has them beyond its limit.
const RECORDS_MAX: usize = 1_000_000;

/// The longest time that a page shows, in nanoseconds: 100 days. The script counts them in numbers that
/// are exact up to 2^53.
const SPAN_MAX: u64 = 100 * 24 * 3600 * 1_000_000_000;

/// What the head of every page of this program has, whatever its version.
const GENERATOR: &str = "<meta name=\"generator\" content=\"echoloop ";

/// Whether a file that begins with `start` is a page of this program.
pub fn is_page(start: &[u8]) -> bool {
    start.starts_with(b"<!doctype html>") && String::from_utf8_lossy(start).contains(GENERATOR)
}

/// A page of what `trace` holds: figures, lints, a timeline, and how long things took.
///
/// # Errors
///
/// The trace is one that a browser could not show, with the remedy.
pub fn page(trace: &Trace, source: Source<'_>) -> Result<String, String> {
    check_size(trace)?;
    let digest = Digest::new(trace);
    check_times(trace, &digest)?;
    Ok(whole_page(trace, source, &digest))
}

fn check_size(trace: &Trace) -> Result<(), String> {
    let count = |is: fn(&Record) -> bool| trace.records.iter().filter(|record| is(record)).count();
    let ends = count(|record| matches!(record.what, What::Close { .. }));
    let begins = count(|record| matches!(record.what, What::Open { .. }));
    // The end of a connection is drawn with its begin, if there is one.
    let records = trace.records.len() - ends.min(begins);
    if records <= RECORDS_MAX {
        return Ok(());
    }
    Err(format!(
        "has {records} records, and a browser can draw {RECORDS_MAX}: record fewer with \
         --trace-limit 1M, or open it with ui.perfetto.dev"
    ))
}

fn check_times(trace: &Trace, digest: &Digest<'_>) -> Result<(), String> {
    let span = digest.span();
    if span > SPAN_MAX {
        let days = |nanoseconds: u64| nanoseconds / (24 * 3600 * 1_000_000_000);
        return Err(format!(
            "spans {} days, and a page shows up to {}: record a shorter time",
            days(span),
            days(SPAN_MAX)
        ));
    }
    // The script visits each pixel of each slice: every pixel once for each kind, unless they overlap. Other
    // programs may have rounded the times.
    for (kind, what) in ["polls", "iterations", "turns of clients", "calls"]
        .into_iter()
        .enumerate()
    {
        let of_kind = trace
            .records
            .iter()
            .filter(|record| kind_of(record) == Some(kind));
        let sum = of_kind.fold(0, |sum: u64, record| sum.saturating_add(record.took));
        if sum / 2 > span {
            return Err(format!(
                "has {what} that overlap: {} of work in {}; the file was damaged, record it again",
                time(sum),
                time(span)
            ));
        }
    }
    Ok(())
}

/// Which of the kinds of slices that do not overlap a record is.
const fn kind_of(record: &Record) -> Option<usize> {
    match record.what {
        What::Poll { .. } => Some(0),
        What::Turn => Some(1),
        What::Serve { .. } | What::Accept { .. } | What::Datagrams { .. } => Some(2),
        What::Read(_) | What::Write(_) => Some(3),
        What::Open { .. } | What::Close { .. } | What::Message { .. } => None,
    }
}

fn whole_page(trace: &Trace, source: Source<'_>, digest: &Digest<'_>) -> String {
    let timeline = if digest.slices.is_empty() {
        "<p class=\"calm\">The trace holds nothing that the loop did.</p>".to_owned()
    } else {
        filled(TIMELINE, |name| match name {
            "lanes" => lanes(digest),
            "data" => embedded::json(trace, digest),
            "script" => SCRIPT.concat(),
            _ => String::new(),
        })
    };
    filled(PAGE, |name| match name {
        "name" => escaped(&trace.name),
        "style" => STYLE.to_owned(),
        "facts" => facts(trace, source, digest),
        "notices" => notices(trace),
        "headline" => figures::headline(&digest.figures),
        "findings" => findings::list(digest),
        "timeline" => timeline.clone(),
        "times" => plot::section(digest),
        "figures" => figures::table(digest),
        "connections" => connections::table(digest),
        "version" => env!("CARGO_PKG_VERSION").to_owned(),
        _ => String::new(),
    })
}

/// `template` with what `part` says in place of each `{{name}}`. What was put in is not looked at again.
fn filled(template: &str, part: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let mut pieces = template.split("{{");
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        text.push_str(&part(name));
        text.push_str(rest);
    }
    text
}

/// Whose loop it was, when, and how much there was of it.
fn facts(trace: &Trace, source: Source<'_>, digest: &Digest<'_>) -> String {
    let loop_of = match trace.role {
        Role::Server => "A server\u{2019}s loop",
        Role::Load => "A load generator\u{2019}s loop",
    };
    let most = match digest.connections.len() as u64 {
        all if all > digest.figures.open => format!(
            "{}, {} at once",
            text::counted(all, "connection"),
            count(digest.figures.open)
        ),
        all => text::counted(all, "connection"),
    };
    let mut facts = vec![
        ("What", loop_of.to_owned()),
        ("Recorded", time(digest.span())),
        (
            "Began",
            format!(
                "at {}.{:03}\u{a0}s of the monotonic clock",
                count(digest.began / 1_000_000_000),
                digest.began / 1_000_000 % 1000
            ),
        ),
        ("Connections", most),
        ("Records", count(trace.records.len() as u64)),
    ];
    if !source.file.is_empty() {
        facts.push(("File", escaped(source.file)));
    }
    if let Some(written) = source.written {
        facts.push(("Written", escaped(written)));
    }
    let mut html = String::new();
    for (name, fact) in facts {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{fact}</dd></div>");
    }
    html
}

/// What a reader has to know of what is missing.
fn notices(trace: &Trace) -> String {
    let mut html = String::new();
    if trace.dropped > 0 {
        let _ = write!(
            html,
            "<p class=\"notice\"><strong>{} not in this trace:</strong> they came behind its limit, or faster than they \
             could be written. Everything here is about those that are.</p>",
            match trace.dropped {
                1 => "1 record is".to_owned(),
                many => format!("{} records are", count(many)),
            }
        );
    }
    if !trace.complete {
        html.push_str(
            "<p class=\"notice\"><strong>The trace has no end:</strong> the program was killed, or is still writing. \
             What was written until then is here.</p>",
        );
    }
    html
}

/// How many of the connections have a lane.
fn lanes(digest: &Digest<'_>) -> String {
    let all = digest.connections.len();
    if all > embedded::LANES {
        format!(
            "the {} busiest of {} connections",
            embedded::LANES,
            count(all as u64)
        )
    } else {
        "the connections, the busiest first".to_owned()
    }
}
