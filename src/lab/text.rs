//! Experiments and findings for a person: plain text, 80 columns. Pure.

use std::io;

use super::limit::TIME_MAX;
use super::{Experiment, Figure, Finding, Measured, Measurement, Unit, Verdict};
use crate::report::{bytes, thousands, time};

/// The most columns of a line.
const WIDTH: usize = 80;

/// How far what is labelled stands in.
const INDENT: usize = 15;

/// The blanks between two columns of a table.
const GAP: usize = 2;

/// Every experiment, with its question.
pub fn list_text(experiments: &[Experiment]) -> String {
    let mut text = String::new();
    for experiment in experiments {
        let first = format!("{:<INDENT$}", experiment.name);
        wrapped(&mut text, &first, experiment.question);
    }
    text
}

/// What is told of an experiment that could not be carried out.
pub fn failure_text(experiment: &Experiment, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        return format!(
            "{} did not end within {} s: is this machine busy?",
            experiment.name,
            TIME_MAX.as_secs()
        );
    }
    format!("cannot run {}: {error}", experiment.name)
}

impl Finding {
    /// Question, prediction, measurement, verdict and explanation.
    pub fn text(&self) -> String {
        let Experiment {
            name,
            question,
            prediction,
            explanation,
            doubt,
            expected,
            ..
        } = self.experiment;
        let mut text = format!("{name} ({})\n", time(self.took.as_nanos() as u64));
        labelled(&mut text, "question", question);
        labelled(&mut text, "prediction", prediction);
        table(&mut text, &self.measured);
        let verdict = self.verdict();
        labelled(&mut text, "verdict", verdict.name());
        for relation in *expected {
            let holds = relation.holds(&self.measured);
            let mark = if holds { "holds" } else { "FAILS" };
            wrapped(
                &mut text,
                &format!("    {mark:<11}"),
                &relation.text(&self.measured),
            );
        }
        if verdict == Verdict::Contradicted {
            labelled(&mut text, "perhaps", doubt);
        }
        labelled(&mut text, "explanation", explanation);
        text
    }
}

fn labelled(text: &mut String, label: &str, words: &str) {
    wrapped(
        text,
        &format!("  {label:<width$}", width = INDENT - 2),
        words,
    );
}

/// Words behind what comes first, in lines that are not too long.
fn wrapped(text: &mut String, first: &str, words: &str) {
    let mut line = first.to_owned();
    let mut column = line.chars().count();
    let mut begun = false;
    for word in pieces(words) {
        let length = word.chars().count();
        if begun && column + 1 + length > WIDTH {
            push_line(text, &line);
            line = " ".repeat(INDENT);
            column = INDENT;
            begun = false;
        }
        if begun {
            line.push(' ');
            column += 1;
        }
        line.push_str(&word);
        column += length;
        begun = true;
    }
    push_line(text, &line);
}

/// Words, of which those that make up one number, with its unit, are not parted.
fn pieces(words: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        match pieces.last_mut() {
            Some(last)
                if last.ends_with(|c: char| c.is_ascii_digit())
                    && (starts_with_digit(word) || is_unit(word)) =>
            {
                last.push(' ');
                last.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
    }
    pieces
}

fn is_unit(word: &str) -> bool {
    let word = word.trim_end_matches([',', '.', ':', ';', '?']);
    ["s", "ms", "µs", "ns", "KiB", "MiB", "%"].contains(&word)
}

/// A row for each subject, a column for each quantity.
fn table(text: &mut String, measured: &Measured) {
    let (mut subjects, mut columns) = (Vec::new(), Vec::<&Measurement>::new());
    for figure in measured.all() {
        if !subjects.contains(&figure.subject) {
            subjects.push(figure.subject);
        }
        if !columns.iter().any(|of| of.quantity == figure.quantity) {
            columns.push(figure);
        }
    }
    let mut rows = vec![vec!["measured".to_owned()], vec![String::new()]];
    for column in &columns {
        rows[0].push(column.quantity.to_owned());
        rows[1].push(header(column.unit).to_owned());
    }
    if rows[1].iter().all(String::is_empty) {
        rows.pop();
    }
    for subject in subjects {
        let mut row = vec![format!("  {subject}")];
        row.extend(columns.iter().map(|column| {
            let found = measured.find(Figure(subject, column.quantity));
            found.map_or_else(|| "-".to_owned(), cell)
        }));
        rows.push(row);
    }
    push_rows(text, &rows);
}

/// Rows of as many cells each: the first to the left, the others to the right. Columns that do not fit beside each
/// other follow below.
fn push_rows(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let length = |row: &Vec<String>, place: usize| row[place].chars().count();
    let widest = |place| rows.iter().map(|row| length(row, place)).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut from = 1;
    while from < columns {
        let (mut until, mut width) = (from, GAP + widths[0]);
        while until < columns && width + GAP + widths[until] <= WIDTH {
            width += GAP + widths[until];
            until += 1;
        }
        // One that is too wide is written all the same.
        until = until.max(from + 1);
        for row in rows {
            let mut line = format!("  {:<width$}", row[0], width = widths[0]);
            for (cell, width) in row.iter().zip(&widths).take(until).skip(from) {
                line.push_str(&" ".repeat(GAP));
                line.push_str(&format!("{cell:>width$}"));
            }
            push_line(text, &line);
        }
        from = until;
    }
}

/// What stands above figures that do not say it themselves.
const fn header(unit: Unit) -> &'static str {
    match unit {
        Unit::Bytes | Unit::Count | Unit::Nanoseconds => "",
        Unit::BytesPerSecond | Unit::PerSecond => "a second",
        Unit::PerMebibyte => "a MiB",
        Unit::PerMessage => "a message",
    }
}

fn cell(measurement: &Measurement) -> String {
    let value = measurement.value;
    match measurement.unit {
        Unit::Bytes | Unit::BytesPerSecond => bytes(value),
        Unit::Count => thousands(value as u64),
        Unit::Nanoseconds => time(value as u64),
        Unit::PerMebibyte | Unit::PerMessage if value < 0.1 => format!("{value:.3}"),
        Unit::PerMebibyte | Unit::PerMessage if value < 100.0 => format!("{value:.2}"),
        Unit::PerMebibyte | Unit::PerMessage | Unit::PerSecond => thousands(value.round() as u64),
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::{EXPERIMENTS, Limit, Relation, find};
    use super::*;

    pub(in crate::lab) static SAMPLE: Experiment = Experiment {
        name: "sample",
        question: "How many system calls does it take, and how long does a message of 4 096 bytes wait?",
        prediction: "Fewer than 2.2.",
        expected: &[
            Relation::Below(Figure("short", "calls"), 2.2),
            Relation::Times(Figure("long", "time"), 2.0, Figure("short", "time")),
        ],
        explanation: "Because it is so.",
        doubt: "This machine may be busy.",
        run: |_: &Limit| Ok(Measured::default()),
    };

    pub(in crate::lab) fn finding(calls: f64) -> Finding {
        let mut measured = Measured::default();
        measured.put("short", "calls", calls, Unit::PerMessage);
        measured.put("short", "time", 1_310_000.0, Unit::Nanoseconds);
        measured.put("long", "time", 2_900_000_000.0, Unit::Nanoseconds);
        measured.put("long", "owed", 81_920.0, Unit::Bytes);
        Finding {
            experiment: &SAMPLE,
            measured,
            took: Duration::from_millis(131),
        }
    }

    #[test]
    fn a_finding_is_told_from_question_to_explanation() {
        let text = "\
sample (131 ms)
  question     How many system calls does it take, and how long does a message
               of 4 096 bytes wait?
  prediction   Fewer than 2.2.
  measured      calls     time      owed
            a message
    short        2.00  1.31 ms         -
    long            -   2.90 s  80.0 KiB
  verdict      confirmed
    holds      calls (short) < 2.2
    holds      time (long) >= 2 x time (short)
  explanation  Because it is so.
";
        assert_eq!(finding(2.0).text(), text);
    }

    #[test]
    fn a_contradiction_says_which_relation_fails_and_why_that_can_be() {
        let finding = finding(3.0);
        assert_eq!(finding.verdict(), Verdict::Contradicted);
        let text = finding.text();
        for line in [
            "  verdict      contradicted\n    FAILS      calls (short) < 2.2\n",
            "    holds      time (long)",
            "  perhaps      This machine may be busy.\n  explanation  Because",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn columns_that_do_not_fit_follow_below() {
        let row = |cell: &str| {
            let mut row = vec!["label".to_owned()];
            row.extend(std::iter::repeat_n(cell.to_owned(), 8));
            row
        };
        let mut text = String::new();
        push_rows(&mut text, &[row("quantities"), row("1")]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        let cells = |line: &str| line.matches("quantities").count();
        assert_eq!((cells(lines[0]), cells(lines[2])), (6, 2), "{text}");
        assert!(lines[3].starts_with("  label"), "{text}");
    }

    #[test]
    fn lines_fit_and_numbers_are_not_cut_in_two() {
        let mut text = list_text(&EXPERIMENTS);
        for experiment in &EXPERIMENTS {
            let finding = Finding {
                experiment,
                measured: Measured::default(),
                took: Duration::ZERO,
            };
            assert_eq!(finding.verdict(), Verdict::Contradicted, "nothing is there");
            text.push_str(&finding.text());
        }
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(!line.starts_with("               096"), "{line}");
        }
    }

    #[test]
    fn an_experiment_is_found_by_its_name_and_there_is_one_of_each() {
        for experiment in &EXPERIMENTS {
            let found = find(experiment.name).expect("it is in the list");
            assert!(std::ptr::eq(found, experiment));
            assert!(!experiment.expected.is_empty(), "{experiment:?}");
        }
        assert!(find("drian").is_none() && find("").is_none());
    }

    #[test]
    fn what_took_too_long_is_told_as_that() {
        let late = io::ErrorKind::TimedOut.into();
        assert_eq!(
            failure_text(&SAMPLE, &late),
            "sample did not end within 5 s: is this machine busy?"
        );
        let refused = io::Error::other("no descriptors");
        assert_eq!(
            failure_text(&SAMPLE, &refused),
            "cannot run sample: no descriptors"
        );
    }
}
