//! The table of how long things took.

use hdrhistogram::Histogram;

use super::page::{INDENT, Page, Row, Table};
use super::percentiles::percentile;
use super::units::{percent, percentile_name, time};
use crate::load::{Outcome, Plan, Reply};

/// Tells how long things took, at `percentiles` and at most.
pub(super) fn write(outcome: &Outcome, plan: &Plan, percentiles: &[f64], page: &mut Page) {
    let latency = &outcome.latency;
    let row = |label, times: &Histogram<u64>| {
        let cells = percentiles.iter().chain(&[100.0]);
        Row {
            label,
            cells: cells.map(|&wanted| cell(times, wanted)).collect(),
        }
    };
    let (label, mut rows) = if plan.is_open() {
        let rows = vec![
            row("  response", &latency.response),
            row("  service", &latency.service),
            row("  lag", &latency.lag),
        ];
        ("latency", rows)
    } else {
        ("", vec![row("latency", &latency.service)])
    };
    if !plan.udp {
        let label = if plan.is_open() {
            "  connect"
        } else {
            "connect"
        };
        rows.push(row(label, &latency.connect));
    }
    let header = percentiles
        .iter()
        .map(|&wanted| format!("p{}", percentile_name(wanted)));
    let table = Table {
        header: Row {
            label,
            cells: header.chain(["max".to_owned()]).collect(),
        },
        rows,
    };
    table.write(page);
    remark(&legend(outcome, plan), page);
    let left_out = table
        .rows
        .iter()
        .any(|row| row.cells.contains(&NONE.to_owned()));
    if left_out {
        remark("- means that fewer than 10 samples lie beyond it.", page);
    }
    if !plan.is_open() {
        remark(
            "A closed loop sends least when the server is slowest, and so hides stalls: --rate shows them.",
            page,
        );
    }
}

/// What the times are measured from, and of which part of the messages.
fn legend(outcome: &Outcome, plan: &Plan) -> String {
    let messages = &outcome.messages;
    let covered = if plan.reply == Reply::None || messages.offered == 0 {
        String::new()
    } else {
        let share = percent(messages.share(messages.timed()));
        format!(", of {share} of the messages")
    };
    if plan.is_open() {
        format!(
            "response: from when a message was due; service: from when it was sent; lag: this client's own \
             lateness{covered}."
        )
    } else {
        format!("latency: from when a message was sent{covered}.")
    }
}

/// What stands where there are too few samples.
const NONE: &str = "-";

fn cell(times: &Histogram<u64>, wanted: f64) -> String {
    percentile(times, wanted).map_or_else(|| NONE.to_owned(), time)
}

fn remark(text: &str, page: &mut Page) {
    page.words(&" ".repeat(INDENT), INDENT, text);
}
