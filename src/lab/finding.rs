//! What an experiment has shown: figures, and whether they are related as was predicted. Pure.

use std::fmt;

use crate::report::{thousands, time};

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Bytes in a second.
    BytesPerSecond,
    /// Whole things.
    Count,
    /// Nanoseconds.
    Nanoseconds,
    /// So many for each mebibyte.
    PerMebibyte,
    /// So many for each message.
    PerMessage,
    /// So many in a second.
    PerSecond,
}

impl Unit {
    /// As programs are told it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "B",
            Self::BytesPerSecond => "B/s",
            Self::Count => "count",
            Self::Nanoseconds => "ns",
            Self::PerMebibyte => "1/MiB",
            Self::PerMessage => "1/message",
            Self::PerSecond => "1/s",
        }
    }
}

/// One figure, measured in this run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Of what: one of the things that are compared.
    pub subject: &'static str,
    /// Which of its figures.
    pub quantity: &'static str,
    /// How much.
    pub value: f64,
    /// Of what unit.
    pub unit: Unit,
}

impl Measurement {
    /// Subject and quantity.
    pub fn name(&self) -> String {
        format!("{}: {}", self.subject, self.quantity)
    }
}

/// The figures of one run, in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured(Vec<Measurement>);

impl Measured {
    /// Adds a figure. One that is no number, such as what each of no messages has cost, was not measured.
    pub(super) fn put(
        &mut self,
        subject: &'static str,
        quantity: &'static str,
        value: f64,
        unit: Unit,
    ) {
        if value.is_finite() {
            self.0.push(Measurement {
                subject,
                quantity,
                value,
                unit,
            });
        }
    }

    /// All figures.
    pub fn all(&self) -> &[Measurement] {
        &self.0
    }

    /// A figure. `None` if it was not measured.
    pub fn find(&self, Figure(subject, quantity): Figure) -> Option<&Measurement> {
        let mut figures = self.0.iter();
        figures.find(|of| of.subject == subject && of.quantity == quantity)
    }
}

/// Names a figure: subject and quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure(pub &'static str, pub &'static str);

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.1, self.0)
    }
}

/// What is predicted of figures. It holds or it does not; one that is not there satisfies nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Relation {
    /// At least this much.
    AtLeast(Figure, f64),
    /// Less than this much.
    Below(Figure, f64),
    /// Exactly this much.
    Is(Figure, f64),
    /// The same as these together.
    Sum(Figure, &'static [Figure]),
    /// At least so many times as much as the other.
    Times(Figure, f64, Figure),
}

impl Relation {
    /// Whether it is so.
    pub fn holds(&self, measured: &Measured) -> bool {
        self.judge(measured).unwrap_or(false)
    }

    /// As it is written. What was measured knows the unit.
    pub fn text(&self, measured: &Measured) -> String {
        let bound = |figure, number| bound(number, measured.find(figure).map(|of| of.unit));
        match *self {
            Self::AtLeast(figure, least) => format!("{figure} >= {}", bound(figure, least)),
            Self::Below(figure, most) => format!("{figure} < {}", bound(figure, most)),
            Self::Is(figure, wanted) => format!("{figure} = {}", bound(figure, wanted)),
            Self::Sum(figure, parts) => {
                let parts: Vec<_> = parts.iter().map(Figure::to_string).collect();
                format!("{figure} = {}", parts.join(" + "))
            }
            Self::Times(more, 1.0, less) => format!("{more} >= {less}"),
            Self::Times(more, factor, less) => format!("{more} >= {factor} x {less}"),
        }
    }

    fn judge(&self, measured: &Measured) -> Option<bool> {
        let value = |figure| measured.find(figure).map(|of| of.value);
        Some(match *self {
            Self::AtLeast(figure, least) => value(figure)? >= least,
            Self::Below(figure, bound) => value(figure)? < bound,
            // Counts are whole numbers, which are exact.
            Self::Is(figure, wanted) => value(figure)? == wanted,
            Self::Sum(figure, parts) => {
                let parts = parts.iter().map(|&part| value(part));
                value(figure)? == parts.sum::<Option<f64>>()?
            }
            Self::Times(more, factor, less) => value(more)? >= factor * value(less)?,
        })
    }
}

/// A number as it is written behind a figure.
fn bound(number: f64, unit: Option<Unit>) -> String {
    if number.fract() != 0.0 || number < 0.0 {
        return number.to_string();
    }
    let whole = number as u64;
    match unit {
        Some(Unit::Bytes) => format!("{} B", thousands(whole)),
        Some(Unit::Nanoseconds) => time(whole),
        _ => thousands(whole),
    }
}

/// Whether what was measured is what was predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every relation holds.
    Confirmed,
    /// Some do not.
    Contradicted,
}

impl Verdict {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Contradicted => "contradicted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Figure = Figure("short", "calls");
    const LONG: Figure = Figure("long", "calls");
    const NONE: Figure = Figure("none", "calls");

    fn measured() -> Measured {
        let mut measured = Measured::default();
        measured.put("short", "calls", 2.0, Unit::PerMessage);
        measured.put("long", "calls", 3.0, Unit::PerMessage);
        measured
    }

    #[test]
    fn a_relation_holds_or_does_not_up_to_its_bound() {
        let measured = measured();
        for (relation, holds) in [
            (Relation::Below(SHORT, 2.0), false),
            (Relation::Below(SHORT, 2.1), true),
            (Relation::AtLeast(SHORT, 2.0), true),
            (Relation::AtLeast(SHORT, 2.1), false),
            (Relation::Is(SHORT, 2.0), true),
            (Relation::Is(SHORT, 3.0), false),
            (Relation::Sum(LONG, &[SHORT]), false),
            (Relation::Sum(LONG, &[LONG]), true),
            (Relation::Times(LONG, 1.5, SHORT), true),
            (Relation::Times(LONG, 1.6, SHORT), false),
        ] {
            assert_eq!(relation.holds(&measured), holds, "{relation:?}");
        }
    }

    #[test]
    fn what_was_not_measured_satisfies_nothing() {
        let measured = measured();
        for relation in [
            Relation::Below(NONE, f64::INFINITY),
            Relation::AtLeast(NONE, 0.0),
            Relation::Is(NONE, 0.0),
            Relation::Sum(SHORT, &[SHORT, NONE]),
            Relation::Sum(NONE, &[]),
            Relation::Times(LONG, 0.0, NONE),
            Relation::Times(NONE, 0.0, LONG),
        ] {
            assert!(!relation.holds(&measured), "{relation:?}");
        }
    }

    #[test]
    fn a_relation_reads_as_it_is_checked() {
        let mut measured = measured();
        measured.put("long", "time", 0.0, Unit::Nanoseconds);
        measured.put("long", "owed", 0.0, Unit::Bytes);
        let (time, owed) = (Figure("long", "time"), Figure("long", "owed"));
        for (relation, text) in [
            (Relation::Below(SHORT, 2.2), "calls (short) < 2.2"),
            (Relation::Is(SHORT, 2_000.0), "calls (short) = 2 000"),
            (Relation::Is(NONE, 1.0), "calls (none) = 1"),
            (Relation::AtLeast(time, 500_000.0), "time (long) >= 500 µs"),
            (Relation::Below(owed, 81_921.0), "owed (long) < 81 921 B"),
            (
                Relation::Sum(LONG, &[SHORT, NONE]),
                "calls (long) = calls (short) + calls (none)",
            ),
            (
                Relation::Times(LONG, 1.4, SHORT),
                "calls (long) >= 1.4 x calls (short)",
            ),
            (
                Relation::Times(LONG, 5.0, SHORT),
                "calls (long) >= 5 x calls (short)",
            ),
            (
                Relation::Times(LONG, 1.0, SHORT),
                "calls (long) >= calls (short)",
            ),
        ] {
            assert_eq!(relation.text(&measured), text);
        }
    }
}
