//! The file of ceilings, and how a figure compares with its ceiling.

use std::fmt;

use crate::figures::Figure;

/// Where the ceilings are, for messages.
pub(crate) const FILE: &str = "benches/gate/ceilings.txt";

const TEXT: &str = include_str!("ceilings.txt");

/// What a figure may be.
#[derive(Clone, Copy)]
pub(crate) enum Ceiling {
    /// Neither more nor less.
    Exactly(f64),
    AtMost(f64),
}

impl Ceiling {
    pub(crate) fn allows(self, value: f64) -> bool {
        match self {
            Self::Exactly(expected) => value == expected,
            Self::AtMost(most) => value <= most,
        }
    }

    /// The ceiling for a figure that is now `value`: 1 % above it, unless it is exact.
    pub(crate) fn raised_to(self, value: f64) -> Self {
        match self {
            Self::Exactly(_) => Self::Exactly(value),
            Self::AtMost(_) => Self::AtMost(value * 1.01),
        }
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => write!(formatter, "=  {value}"),
            Self::AtMost(value) => write!(formatter, "<= {value:.4}"),
        }
    }
}

/// The ceilings of all figures, by their names.
pub(crate) struct Ceilings(Vec<(String, Ceiling)>);

impl Ceilings {
    /// Reads the file: a line is a name, `=` or `<=`, and a number. Lines that start with `#` are
    /// comments.
    pub(crate) fn read() -> Result<Self, String> {
        let lines = TEXT
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parsed =
            lines.map(|line| parse(line).ok_or_else(|| format!("{FILE}: cannot read '{line}'")));
        parsed.collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn of(&self, name: &str) -> Option<Ceiling> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|&(_, ceiling)| ceiling)
    }

    /// Whether `figure` has a ceiling and keeps it.
    pub(crate) fn allow(&self, figure: &Figure) -> bool {
        self.of(&figure.name)
            .is_some_and(|ceiling| ceiling.allows(figure.value))
    }

    /// The names that are not among `figures`: such a ceiling guards nothing.
    pub(crate) fn unused(&self, figures: &[Figure]) -> Vec<&str> {
        let names = self.0.iter().map(|(name, _)| name.as_str());
        names
            .filter(|name| figures.iter().all(|figure| figure.name != *name))
            .collect()
    }
}

fn parse(line: &str) -> Option<(String, Ceiling)> {
    let (rest, number) = line.trim_end().rsplit_once(char::is_whitespace)?;
    let number = number.parse().ok()?;
    let (name, relation) = rest.trim_end().rsplit_once(char::is_whitespace)?;
    let ceiling = match relation {
        "=" => Ceiling::Exactly(number),
        "<=" => Ceiling::AtMost(number),
        _ => return None,
    };
    Some((name.trim_end().to_owned(), ceiling))
}
