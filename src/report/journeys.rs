//! Where the time of messages went, as a table.

use std::fmt::Write as _;

use super::percentiles::can_be_told;
use super::units::{count, thousands, time};
use crate::probe::Role;
use crate::trace::{Journey, Merged, PARTS};

/// How many of the slowest messages are told one by one.
const SLOWEST: usize = 5;

/// Tells where the time of the messages of two traces went: each part, and then the slowest of them.
pub fn journeys(merged: &Merged) -> String {
    let all = &merged.journeys;
    let mut text = format!(
        "{} with both ends in the traces",
        count(all.len() as u64, "message")
    );
    if merged.unmatched > 0 {
        let _ = write!(text, ", {} without", thousands(merged.unmatched));
    }
    text.push_str("\n\n                        p50        p99        max\n");
    let rows = PARTS
        .iter()
        .enumerate()
        .map(|(index, (name, _))| (*name, times(all.iter().map(|journey| journey.parts[index]))));
    let total = ("in all", times(all.iter().map(Journey::total)));
    for (name, times) in rows.chain([total]) {
        let cell = |wanted| at(&times, wanted).map_or_else(|| "-".to_owned(), time);
        let _ = writeln!(
            text,
            "  {name:<15}{:>11}{:>11}{:>11}",
            cell(50.0),
            cell(99.0),
            cell(100.0)
        );
    }
    text.push_str(&slowest(all));
    text
}

/// In order. Some are nothing: a server may have what a client is still about to have written.
fn times(parts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut times: Vec<u64> = parts.collect();
    times.sort_unstable();
    times
}

/// The nearest rank, if enough lie beyond it; the largest for 100.
fn at(times: &[u64], percentile: f64) -> Option<u64> {
    if percentile == 100.0 {
        return times.last().copied();
    }
    let rank = (times.len() as f64 * percentile / 100.0).ceil() as usize;
    let told = can_be_told(times.len() as u64, percentile);
    times.get(rank.max(1) - 1).copied().filter(|_| told)
}

fn slowest(all: &[Journey]) -> String {
    let mut slowest: Vec<&Journey> = all.iter().collect();
    slowest.sort_by_key(|journey| std::cmp::Reverse(journey.total()));
    let mut text = String::new();
    for (index, journey) in slowest.into_iter().take(SLOWEST).enumerate() {
        if index == 0 {
            text.push_str("\nThe slowest:\n");
        }
        let whose = match journey.blamed() {
            Role::Server => "the server's",
            Role::Load => "the client's",
        };
        let parts = journey.parts.iter().zip(&PARTS);
        let most = parts.max_by_key(|(part, _)| **part);
        let (part, name) = most.map_or((0, ""), |(part, (name, _))| (*part, *name));
        let _ = writeln!(
            text,
            "  {} byte {}: {}, mostly {whose} ({name} {})",
            journey.client,
            thousands(journey.offset),
            time(journey.total()),
            time(part)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_row_and_the_slowest_are_named_with_whose_fault_they_are() {
        let journey = |offset, parts| Journey {
            client: ([127, 0, 0, 1], 4711).into(),
            offset,
            due: 0,
            parts,
        };
        let mut all = vec![journey(0, [1_000, 2_000, 3_000, 4_000, 5_000, 6_000]); 20];
        all.push(journey(
            6_400,
            [1_000, 2_000, 3_000, 2_000_000, 5_000, 6_000],
        ));
        all.push(journey(64, [9_000_000, 2_000, 3_000, 4_000, 5_000, 6_000]));
        let merged = Merged {
            text: String::new(),
            records: 0,
            journeys: all,
            complete: true,
            unmatched: 1,
            renumbered: None,
        };
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
        let text: String = journeys(&merged).lines().map(words).collect();
        for told in [
            "22 messages with both ends in the traces, 1 without\n",
            "server's queue 3.00 µs - 3.00 µs\n",
            "server answers 4.00 µs - 2.00 ms\n",
            "in all 21 µs - 9.02 ms\n",
            "127.0.0.1:4711 byte 64: 9.02 ms, mostly the client's (client sends 9.00 ms)\n",
            "127.0.0.1:4711 byte 6 400: 2.02 ms, mostly the server's (server answers 2.00 ms)\n",
        ] {
            assert!(text.contains(told), "{told}\n{text}");
        }
        assert!(
            journeys(&Merged {
                text: String::new(),
                records: 0,
                journeys: vec![],
                complete: true,
                unmatched: 0,
                renumbered: None,
            })
            .starts_with("0 messages")
        );
    }
}
