//! The figures of a trace: five that say how its loop fares, and all of them.

use std::fmt::Write;

use super::digest::Digest;
use super::text::{bytes, count, percent, time};
use crate::probe::Figures;

/// What stands where nothing was counted: it is not 0.
const NONE: &str = "none";

/// The five figures that are looked at first, each with what it says.
pub(super) fn headline(figures: &Figures) -> String {
    let data = |value: String, shown: String| format!("<data value=\"{value}\">{shown}</data>");
    let or_none = |is: bool, shown: String| if is { shown } else { NONE.to_owned() };
    let quantile = |name: &str, value: u64| {
        let number = data(value.to_string(), count(value));
        format!("<span>{number} <small>{name}</small></span>")
    };
    let batches = &figures.batches;
    let calls = figures.system_calls_per_message();
    let wait = figures.waits.value_at_quantile(0.99);
    let utilisation = figures.utilisation();
    let wasted = figures.wasted_share();
    let five = [
        (
            "Loop utilisation",
            or_none(
                figures.turns > 0,
                data(format!("{utilisation:.6}"), percent(utilisation)),
            ),
            "of the time the loop worked instead of sleeping in poll. Near 100\u{a0}%, it is what limits.",
        ),
        (
            "Events a turn",
            or_none(
                !batches.is_empty(),
                quantile("p50", batches.value_at_quantile(0.5))
                    + &quantile("p99", batches.value_at_quantile(0.99))
                    + &quantile("max", batches.max()),
            ),
            "were brought by a poll that brought any. Whoever is last in a batch waits for the others.",
        ),
        (
            "System calls a message",
            calls.map_or_else(
                || NONE.to_owned(),
                |calls| data(format!("{calls:.6}"), format!("{calls:.2}")),
            ),
            "polls, reads, writes and accepts together. A read, a write and a share of a poll is what an echo needs.",
        ),
        (
            "Wasted wake-ups",
            or_none(
                figures.served > 0,
                data(format!("{wasted:.6}"), percent(wasted)),
            ),
            "of the times a connection was served, an event had called for it and no byte was moved.",
        ),
        (
            "Ready to served, p99",
            or_none(
                !figures.waits.is_empty(),
                data(wait.to_string(), time(wait)),
            ),
            "is how long 1 in 100 had to wait, or longer, from being ready to being served: the queue within the loop.",
        ),
    ];
    let mut html = String::new();
    for (name, value, says) in five {
        let _ = write!(
            html,
            "<div><dt>{name}</dt><dd class=\"value\">{value}</dd><dd class=\"says\">{says}</dd></div>"
        );
    }
    html
}

/// A row of the table: a name, a value, and what it is.
type Row = (&'static str, String, &'static str);

/// All of them, in a table.
pub(super) fn table(digest: &Digest<'_>) -> String {
    let figures = &digest.figures;
    let rows = [
        loop_rows(figures),
        served_rows(figures),
        call_rows(figures),
        other_rows(figures),
    ];
    let mut html = String::from(
        "<table><thead><tr><th scope=\"col\">Figure</th><th scope=\"col\" class=\"number\">Value</th>\
         <th scope=\"col\">What it is</th></tr></thead><tbody>",
    );
    for (name, value, what) in rows.iter().flatten() {
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{name}</th><td class=\"number\">{value}</td><td>{what}</td></tr>"
        );
    }
    html.push_str("</tbody></table>");
    html
}

fn loop_rows(figures: &Figures) -> Vec<Row> {
    vec![
        ("Turns", count(figures.turns), "as many as polls"),
        ("Time worked", time(figures.busy), "in turns"),
        ("Time slept", time(figures.blocked), "in polls"),
        (
            "Longest turn",
            time(figures.longest_turn.took),
            "whoever becomes ready waits for its end",
        ),
        ("Events", count(figures.events), "that polls have brought"),
        (
            "Full polls",
            of(figures.full_batches, figures.turns),
            "brought as many events as one can",
        ),
    ]
}

fn served_rows(figures: &Figures) -> Vec<Row> {
    let served = figures.served;
    vec![
        ("Served", count(served), "times a connection was"),
        (
            "Served for nothing",
            of(figures.wasted, served),
            "an event called for it, no byte was moved",
        ),
        (
            "Budget spent",
            of(figures.yielded, served),
            "there was more to do, and others were to have their turn",
        ),
        (
            "Input left behind",
            of(figures.undrained, served),
            "though no budget was spent",
        ),
        (
            "Messages",
            count(figures.messages),
            "brought by a read, or a datagram",
        ),
    ]
}

fn call_rows(figures: &Figures) -> Vec<Row> {
    let (reads, writes) = (figures.reads, figures.writes);
    let blocked = "<code>WouldBlock</code>";
    vec![
        (
            "System calls",
            count(figures.system_calls()),
            "of polling, reading, writing, accepting",
        ),
        ("Reads", count(reads), "calls of read"),
        (
            "Reads that found nothing",
            of(figures.reads_blocked, reads),
            blocked,
        ),
        (
            "Short reads",
            of(figures.short_reads, reads),
            "brought less than there was room for",
        ),
        ("Writes", count(writes), "calls of write"),
        (
            "Writes that found no room",
            of(figures.writes_blocked, writes),
            blocked,
        ),
        (
            "Short writes",
            of(figures.short_writes, writes),
            "took less than they were given",
        ),
        ("Read", bytes(figures.bytes_in), "from streams"),
        ("Written", bytes(figures.bytes_out), "to streams"),
    ]
}

fn other_rows(figures: &Figures) -> Vec<Row> {
    vec![
        ("Accepted", count(figures.accepted), "connections"),
        (
            "Opened",
            count(figures.opened),
            "connections that have come to be",
        ),
        ("Closed", count(figures.closed), "connections that are over"),
        ("Most at once", count(figures.open), "connections"),
        (
            "Owed bytes at the end",
            count(figures.blocked_now),
            "connections whose other side does not read",
        ),
        ("Datagrams in", count(figures.datagrams_in), "received"),
        ("Datagrams out", count(figures.datagrams_out), "sent"),
    ]
}

/// A part of a whole, and how much of it that is.
fn of(part: u64, whole: u64) -> String {
    let share = part as f64 / whole.max(1) as f64;
    format!("{} <small>{}</small>", count(part), percent(share))
}
