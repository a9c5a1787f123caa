//! The connections, in a table: the lanes of the timeline, for whoever does not see them.

use std::fmt::Write;

use super::digest::{Connection, Digest, STILL_OPEN};
use super::embedded::LANES;
use super::text::{bytes, count, escaped, percent, time};

/// What the busiest connections have taken and moved.
pub(super) fn table(digest: &Digest<'_>) -> String {
    if digest.connections.is_empty() {
        return "<p class=\"calm\">There was no connection.</p>".to_owned();
    }
    let mut html = String::from("<table><thead><tr><th scope=\"col\">Connection</th>");
    for name in [
        "Served",
        "Time worked for it",
        "Longest at once",
        "Longest wait",
        "Read",
        "Written",
    ] {
        let _ = write!(html, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    html.push_str("<th scope=\"col\">End</th></tr></thead><tbody>");
    for connection in digest.connections.iter().take(LANES) {
        html.push_str(&row(connection, digest));
    }
    html.push_str("</tbody></table>");
    html
}

fn row(connection: &Connection, digest: &Digest<'_>) -> String {
    let share = connection.busy as f64 / digest.figures.busy.max(1) as f64;
    let longest = time(connection.longest.took);
    let longest = match digest.slice_at(connection.longest.at) {
        Some(index) if connection.served > 0 => format!("<a href=\"#slice-{index}\">{longest}</a>"),
        _ => longest,
    };
    let cells = [
        count(connection.served),
        format!(
            "{} <small>{}</small>",
            time(connection.busy),
            percent(share)
        ),
        longest,
        time(connection.waited),
        bytes(connection.bytes_in),
        bytes(connection.bytes_out),
    ];
    let mut html = format!("<tr><th scope=\"row\">{}</th>", escaped(&connection.name));
    for cell in cells {
        let _ = write!(html, "<td class=\"number\">{cell}</td>");
    }
    let end = connection.closed.map_or(STILL_OPEN, |(_, reason)| reason);
    let _ = write!(html, "<td>{}</td></tr>", escaped(end));
    html
}
