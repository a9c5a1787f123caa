//! What is odd about a loop, with where it can be seen.

use std::fmt::Write;

use super::digest::Digest;
use super::text::{counted, escaped, time};
use crate::probe::{Lint, What};

/// The lints as sentences, each with a link to the turn that it speaks of.
pub(super) fn list(digest: &Digest<'_>) -> String {
    if digest.lints.is_empty() {
        return "<p class=\"calm\">Nothing: no lint found anything odd in this trace.</p>"
            .to_owned();
    }
    let mut html = String::from("<ol class=\"lints\">");
    for lint in &digest.lints {
        let _ = write!(
            html,
            "<li><h3>{}</h3><p>{}</p>{}</li>",
            escaped(lint.name),
            with_options(&lint.sentence),
            evidence(lint, digest)
        );
    }
    html.push_str("</ol>");
    html
}

/// A sentence in which options can be told from words, and no line ends between a number and its unit.
fn with_options(sentence: &str) -> String {
    let mut html = String::new();
    for word in sentence.split(' ') {
        let end = word.trim_end_matches([',', ';', ':', '.']).len();
        let (inner, rest) = word.split_at(end);
        if !html.is_empty() {
            let follows = html.ends_with(|c: char| c.is_ascii_digit());
            let is_unit = matches!(inner, "%" | "ns" | "µs" | "ms" | "s");
            html.push(if follows && is_unit { '\u{a0}' } else { ' ' });
        }
        if inner.starts_with("--") {
            let _ = write!(html, "<code>{}</code>{}", escaped(inner), escaped(rest));
        } else {
            html.push_str(&escaped(word));
        }
    }
    html
}

/// The turn in which it can be seen best, and the way there.
fn evidence(lint: &Lint, digest: &Digest<'_>) -> String {
    let Some((at, index)) = lint.at.and_then(|at| Some((at, digest.slice_at(at)?))) else {
        return "<p class=\"evidence\">Seen all over the trace, at no one moment.</p>".to_owned();
    };
    let slice = digest.slices[index];
    let since = time(at.saturating_sub(digest.began));
    if slice.what != What::Turn {
        return format!(
            "<p class=\"evidence\"><a href=\"#slice-{index}\">Show it, at {since}</a></p>"
        );
    }
    let within = digest.slices[index + 1..]
        .iter()
        .take_while(|inner| inner.at + inner.took <= slice.at + slice.took);
    let served = within.filter(|inner| matches!(inner.what, What::Serve { .. }));
    format!(
        "<p class=\"evidence\"><a href=\"#slice-{index}\">Show the turn at {since}</a> It took {} and served {}.</p>",
        time(slice.took),
        counted(served.count() as u64, "connection")
    )
}
