//! The part of each server, as a table.

use hdrhistogram::Histogram;

use super::page::{INDENT, Page, WIDTH, columns};
use super::percentiles::percentile;
use super::units::{thousands, time};
use crate::load::{Outcome, Plan, Reply, Server};

/// The most servers that the text report lists.
const SERVERS_SHOWN: usize = 8;

/// How far the addresses stand in.
const ADDRESS_INDENT: usize = 4;

/// The blanks before a column.
const GAP: usize = 2;

/// A column: its name, and the figure of each server.
struct Column {
    name: &'static str,
    cells: Vec<String>,
}

/// A count of a server.
type Count = fn(&Server) -> u64;

/// Writes the table, if there are several servers.
pub(super) fn write(outcome: &Outcome, plan: &Plan, page: &mut Page) {
    if outcome.servers.len() < 2 {
        return;
    }
    let shown = &outcome.servers[..outcome.servers.len().min(SERVERS_SHOWN)];
    let table = table(shown, plan);
    let addresses: Vec<String> = shown
        .iter()
        .map(|server| server.address.to_string())
        .collect();
    let longest = addresses.iter().map(|address| columns(address)).max();
    let beside = (ADDRESS_INDENT + longest.unwrap_or(0)).max(INDENT);
    let width: usize = table.iter().map(Column::width).sum();
    if beside + width > WIDTH {
        write_as_items(&addresses, &table, page);
    } else {
        page.line(&line("  servers", beside, &table, |column| column.name));
        for (index, address) in addresses.iter().enumerate() {
            let label = format!("{}{address}", " ".repeat(ADDRESS_INDENT));
            page.line(&line(&label, beside, &table, |column| &column.cells[index]));
        }
    }
    let more = outcome.servers.len() - shown.len();
    if more > 0 {
        page.items("", &[format!("and {more} more (see --json)")]);
    }
}

/// Writes the figures of each server one after the other, on as many lines as they take.
fn write_as_items(addresses: &[String], table: &[Column], page: &mut Page) {
    for (index, address) in addresses.iter().enumerate() {
        let figures = table.iter();
        let figures = figures.map(|column| format!("{} {}", column.name, column.cells[index]));
        let items: Vec<String> = std::iter::once(address.clone()).chain(figures).collect();
        page.items(if index == 0 { "servers" } else { "" }, &items);
    }
}

/// The columns: of the counts that are usually 0, only those that are not.
fn table(servers: &[Server], plan: &Plan) -> Vec<Column> {
    let completed = match plan.reply {
        Reply::None => "written",
        _ => "replied",
    };
    let counts = |name, of: Count| Column {
        name,
        cells: servers.iter().map(|server| thousands(of(server))).collect(),
    };
    let mut table = vec![
        counts("conns", |server| server.established),
        counts("offered", |server| server.messages.offered),
        counts(completed, |server| server.messages.completed()),
        counts("failed", |server| server.messages.failed()),
    ];
    let rare: [(_, Count); 2] = [
        ("lost", |server| server.messages.lost),
        ("conns failed", |server| server.failed),
    ];
    for (name, of) in rare {
        if servers.iter().any(|server| of(server) > 0) {
            table.push(counts(name, of));
        }
    }
    for (name, wanted) in [("p50", 50.0), ("p99", 99.0)] {
        if servers.iter().any(|server| server.service.is_some()) {
            let cell = |server: &Server| told(server.service.as_ref(), wanted);
            table.push(Column {
                name,
                cells: servers.iter().map(cell).collect(),
            });
        }
    }
    table
}

fn told(times: Option<&Histogram<u64>>, wanted: f64) -> String {
    let time_of = |times| percentile(times, wanted).map(time);
    times.and_then(time_of).unwrap_or_else(|| "-".to_owned())
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| columns(cell));
        GAP + cells.chain([columns(self.name)]).max().unwrap_or(0)
    }
}

fn line<'a>(
    label: &str,
    indent: usize,
    table: &'a [Column],
    cell: impl Fn(&'a Column) -> &'a str,
) -> String {
    let mut line = format!("{label:<indent$}");
    for column in table {
        let cell = cell(column);
        let blank = column.width().saturating_sub(columns(cell));
        line.extend(std::iter::repeat_n(' ', blank));
        line.push_str(cell);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// The sample's load on servers of these addresses.
    fn written(addresses: &[&str], change: impl Fn(&mut Server)) -> String {
        let mut outcome = sample::outcome();
        let server = |address: &&str| {
            let mut server = outcome.servers[0].clone();
            server.address = address.parse().unwrap();
            server.service = Some(outcome.latency.service.clone());
            change(&mut server);
            server
        };
        outcome.servers = addresses.iter().map(server).collect();
        let mut page = Page::new();
        write(&outcome, &sample::plan(), &mut page);
        page.into_text()
    }

    #[test]
    fn servers_are_listed_beside_their_figures() {
        let expected = "  servers           conns  offered  replied  failed    p50     p99
    127.0.0.1:7000    200  500 000  500 000       0  58 µs  198 µs
    127.0.0.1:7001    200  500 000  500 000       0  58 µs  198 µs
";
        let told = written(&["127.0.0.1:7000", "127.0.0.1:7001"], |_| {});
        assert_eq!(told, expected);
        assert_eq!(written(&["127.0.0.1:7000"], |_| {}), "");
    }

    #[test]
    fn table_that_is_too_wide_is_a_list() {
        let long = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1111]:25555";
        let told = written(&[long, "[::1]:1"], |server| {
            server.failed = 1_000_000;
            server.messages.offered = 1_000_000_000_000;
            server.messages.lost = 1_000_000;
        });
        assert!(told.lines().all(|line| columns(line) <= WIDTH), "{told}");
        assert!(
            told.starts_with(&format!("  servers     {long}, conns 200,\n")),
            "{told}"
        );
        assert_eq!(told.matches("offered 1 000 000 000 000").count(), 2);
    }

    #[test]
    fn many_servers_are_cut_short() {
        let told = written(&["127.0.0.1:7000"; 11], |_| {});
        assert_eq!(told.lines().count(), 10);
        assert!(told.ends_with("and 3 more (see --json)\n"), "{told}");
    }
}
