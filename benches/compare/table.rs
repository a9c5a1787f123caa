//! The table: a row for each figure, printed as it comes, and all of them as JSON.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

/// How wide the interval may be in which the median ratio lies, before there is too much noise to judge.
const NOISE_MAX: f64 = 1.25;

/// With fewer rounds, the median can lie beyond the least and the most with more than one in twenty.
const ROUNDS_MIN: usize = 6;

/// The rows so far.
pub(crate) struct Table {
    rows: Vec<Value>,
    /// What was said in the row before, so that it is not repeated.
    last: String,
}

impl Table {
    /// Prints what the columns are.
    pub(crate) fn new() -> Self {
        print_line(&["", "ours", "", "theirs", "ratio", "95 % sure", "target", ""]);
        Self {
            rows: Vec::new(),
            last: String::new(),
        }
    }

    /// Begins a part of the table.
    pub(crate) fn part(&mut self, title: &str) {
        say(&format!("\n{title}"));
        self.last.clear();
    }

    /// What ours and `peer` have come to in each of `rounds`, by turns. `target`: how much of theirs ours may be. Returns the
    /// median of the ratios.
    pub(crate) fn compare(
        &mut self,
        what: &str,
        peer: &str,
        rounds: &[(f64, f64)],
        target: Option<f64>,
    ) -> Option<f64> {
        if rounds.is_empty() {
            self.missing(what, &format!("could not be measured, beside {peer}"));
            return None;
        }
        let (ours, theirs): (Vec<f64>, Vec<f64>) = rounds.iter().copied().unzip();
        let (ours, theirs) = (median(ours), median(theirs));
        let ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
        let (least, most) = interval(ratios.clone());
        let ratio = median(ratios);
        let enough = rounds.len() >= ROUNDS_MIN;
        let verdict = target.map_or("", |target| match enough {
            true => judge(target, least, ratio, most),
            false => "rough",
        });
        let spread = if enough {
            format!("{least:.2}..{most:.2}")
        } else {
            String::new()
        };
        let repeated = self.last == what;
        what.clone_into(&mut self.last);
        let own = if repeated { String::new() } else { short(ours) };
        print_line(&[
            if repeated { "" } else { what },
            &own,
            peer,
            &short(theirs),
            &format!("{ratio:.3}"),
            &spread,
            &target.map_or_else(String::new, |target| format!("{target:.2}")),
            verdict,
        ]);
        self.rows.push(json!({
            "what": what, "ours": ours, "peer": peer, "theirs": theirs, "ratio": ratio,
            "least": least, "most": most, "rounds": rounds.len(), "target": target, "verdict": verdict,
        }));
        Some(ratio)
    }

    /// A figure of ours, and the most it should be.
    pub(crate) fn limit(&mut self, what: &str, ours: f64, target: Option<f64>) {
        let verdict = target.map_or("", |target| if ours <= target { "met" } else { "missed" });
        what.clone_into(&mut self.last);
        let aim = target.map_or_else(String::new, short);
        print_line(&[what, &short(ours), "", "", "", "", &aim, verdict]);
        self.rows.push(json!({
            "what": what, "ours": ours, "target": target, "verdict": verdict,
        }));
    }

    /// A figure that could not be had, and why.
    pub(crate) fn missing(&mut self, what: &str, why: &str) {
        self.last.clear();
        say(&format!("{what:<44}        - {why}"));
        self.rows.push(json!({ "what": what, "missing": why }));
    }

    /// No row was wanted.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Says how many targets were met, and writes every row, and what `machine` they were had on, to `path`.
    pub(crate) fn finish(self, machine: &Value, path: &Path) {
        let count = |verdict| {
            let rows = self.rows.iter();
            rows.filter(|row| row["verdict"] == verdict).count()
        };
        let (met, missed, noise) = (
            count("met"),
            count("missed"),
            count("noise") + count("rough"),
        );
        let mut sum = format!("\n{met} targets met, {missed} missed");
        if noise > 0 {
            sum += &format!(", {noise} not judged: noise, or too few rounds");
        }
        say(&sum);
        let all = json!({
            "schema": "echoloop.compare/1", "machine": machine, "met": met, "missed": missed, "noise": noise,
            "rows": self.rows,
        });
        match std::fs::write(path, format!("{all:#}\n")) {
            Ok(()) => say(&format!("written to {}", path.display())),
            Err(error) => say(&format!("cannot write {}: {error}", path.display())),
        }
    }
}

/// Prints a line. Whoever reads no further wants nothing more measured either.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

fn print_line(cells: &[&str; 8]) {
    let [what, ours, peer, theirs, ratio, spread, target, verdict] = cells;
    let line = format!(
        "{what:<44}{ours:>9}  {peer:<18}{theirs:>9}{ratio:>8}{spread:>13}{target:>8}  {verdict}"
    );
    say(line.trim_end());
}

/// As many digits as say something.
fn short(figure: f64) -> String {
    let digits = match figure {
        100.0.. => 0,
        10.0.. => 1,
        _ => 3,
    };
    format!("{figure:.digits$}")
}

/// Where the median of what `numbers` were drawn from lies, with a confidence of 95 %, whatever their distribution: between
/// two of them, of six and less the least and the most. (As in Le Boudec, "Performance Evaluation", 2.2.)
fn interval(mut numbers: Vec<f64>) -> (f64, f64) {
    numbers.sort_by(f64::total_cmp);
    let count = numbers.len();
    let outside = ((count as f64 - 1.96 * (count as f64).sqrt()) / 2.0).max(0.0) as usize;
    (numbers[outside], numbers[count - 1 - outside])
}

/// What is known of the median ratio says of a target: beyond it on neither side, or on one, noise does not matter.
fn judge(target: f64, least: f64, ratio: f64, most: f64) -> &'static str {
    if most <= target {
        "met"
    } else if least > target {
        "missed"
    } else if most / least > NOISE_MAX {
        "noise"
    } else if ratio <= target {
        "met"
    } else {
        "missed"
    }
}

/// The middle of `numbers`, of which there is one at least.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        return f64::midpoint(numbers[middle - 1], numbers[middle]);
    }
    numbers[middle]
}
