//! What a load is described with: rates, sizes, answers and addresses, as typed.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use echoloop::load::{Churn, Profile, Reply, Sizes};
use echoloop::report::{Verdict, parse_percentiles};

use super::escapes::bytes;
use crate::units;

/// Verdicts that are accepted, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdicts(pub(crate) Vec<Verdict>);

impl FromStr for Verdicts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let verdicts = text.split(',').map(|name| name.trim().parse());
        verdicts.collect::<Result<_, _>>().map(Self)
    }
}

/// A total rate of messages, and how it was typed.
#[derive(Clone, Debug)]
pub(crate) struct RateArg(pub(crate) Rate, pub(crate) String);

impl FromStr for RateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(text.parse()?, text.to_owned()))
    }
}

/// A total rate of messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rate {
    Constant(f64),
    /// From one to the other over the whole time.
    Ramp(f64, f64),
    Steps(Vec<(f64, Duration)>),
}

impl Rate {
    /// The rate over time, of a load that is measured for `duration`.
    pub(crate) fn profile(&self, duration: Duration) -> Profile {
        match self {
            Self::Constant(rate) => Profile::constant(*rate),
            Self::Ramp(from, to) => Profile::ramp(*from, *to, duration),
            Self::Steps(steps) => Profile::steps(steps),
        }
    }

    /// How long it lasts, if it says so.
    pub(crate) fn length(&self) -> Option<Duration> {
        match self {
            Self::Steps(steps) => Some(steps.iter().map(|(_, time)| *time).sum()),
            _ => None,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how = "write messages a second, such as 20k, a ramp 1k:20k, or steps 1k@10s,2k@10s";
        if text.contains('@') {
            let step = |step: &str| {
                let (rate, time) = step.split_once('@')?;
                let rate = units::rate(rate).ok()?;
                let time = units::time(time).ok().filter(|time| !time.is_zero())?;
                Some((rate, time))
            };
            let steps: Option<Vec<_>> = text.split(',').map(step).collect();
            return steps.map(Self::Steps).ok_or_else(|| how.to_owned());
        }
        if let Some((from, to)) = text.split_once(':') {
            let from = if from == "0" {
                Ok(0.0)
            } else {
                units::rate(from)
            };
            return match (from, units::rate(to)) {
                (Ok(from), Ok(to)) => Ok(Self::Ramp(from, to)),
                _ => Err(how.to_owned()),
            };
        }
        units::rate(text)
            .map(Self::Constant)
            .map_err(|_| how.to_owned())
    }
}

/// Message sizes, as typed.
#[derive(Clone, Debug)]
pub(crate) struct SizesArg(pub(crate) Sizes, pub(crate) String);

impl FromStr for SizesArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let how =
            || "write a size such as 64, a range 64..1k, or sizes by weight 64@70,1k@30".to_owned();
        let sizes = if let Some((least, most)) = text.split_once("..") {
            let (least, most) = (units::size(least), units::size(most));
            match (least, most) {
                (Ok(least), Ok(most)) if least <= most => Sizes::range(least, most),
                _ => return Err(how()),
            }
        } else if text.contains('@') {
            let weighed = |choice: &str| {
                let (size, weight) = choice.split_once('@')?;
                Some((units::size(size).ok()?, weight.parse::<u32>().ok()?))
            };
            let choices: Option<Vec<_>> = text.split(',').map(weighed).collect();
            match choices {
                Some(choices) if choices.iter().any(|choice| choice.1 > 0) => {
                    Sizes::weighted(&choices)
                }
                _ => return Err(how()),
            }
        } else {
            Sizes::fixed(units::size(text).map_err(|_| how())?)
        };
        Ok(Self(sizes, text.to_owned()))
    }
}

/// What messages say, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Text(String),
    File(PathBuf),
}

impl FromStr for Message {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(text.strip_prefix('@').map_or_else(
            || Self::Text(text.to_owned()),
            |path| Self::File(path.into()),
        ))
    }
}

/// What an answer is to be, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyArg {
    Echo,
    Suffix(String),
    Size(usize),
    Until(String),
    None,
}

impl FromStr for ReplyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("suffix", suffix)) => Ok(Self::Suffix(suffix.to_owned())),
            Some(("until", end)) => Ok(Self::Until(end.to_owned())),
            Some(("size", size)) => units::size(size).map(Self::Size),
            None if text == "echo" => Ok(Self::Echo),
            None if text == "none" => Ok(Self::None),
            _ => Err("write echo, suffix:TEXT, size:N, until:TEXT or none".to_owned()),
        }
    }
}

impl ReplyArg {
    /// The text that replies have or end in, as typed.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Suffix(text) | Self::Until(text) => Some(text),
            Self::Echo | Self::Size(_) | Self::None => None,
        }
    }

    /// What that is in bytes.
    pub(crate) fn reply(&self, escapes: bool) -> Result<Reply, String> {
        Ok(match self {
            Self::Echo => Reply::Echo,
            Self::Suffix(text) => Reply::Suffix(bytes(text, escapes)?),
            Self::Size(size) => Reply::Size(*size),
            Self::Until(text) => Reply::Until(bytes(text, escapes)?),
            Self::None => Reply::None,
        })
    }
}

/// What ends the greeting of a server, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GreetingArg(pub(crate) String);

impl FromStr for GreetingArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("until:") {
            Some(end) if !end.is_empty() => Ok(Self(end.to_owned())),
            _ => Err("write until: and the text that ends the greeting".to_owned()),
        }
    }
}

/// After how many messages, or how much time, a connection is closed and opened again. A bare number is messages.
pub(crate) fn churn(text: &str) -> Result<Churn, String> {
    let how = "write a number of messages, such as 100, or a time with its unit, such as 500ms";
    if let Ok(count) = units::count(text) {
        return match count {
            0 => Err("give at least 1".to_owned()),
            count => Ok(Churn::Messages(count as u64)),
        };
    }
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    match units::time(text) {
        Ok(time) if has_unit && !time.is_zero() => Ok(Churn::After(time)),
        _ => Err(how.to_owned()),
    }
}

/// A name and a value.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as host=laptop".to_owned()),
    }
}

/// Percentiles, as typed.
#[derive(Clone, Debug)]
pub(crate) struct Percentiles(pub(crate) Vec<f64>);

impl FromStr for Percentiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_percentiles(text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_constant_a_ramp_or_steps() {
        let seconds = Duration::from_secs;
        assert_eq!("20k".parse(), Ok(Rate::Constant(20_000.0)));
        assert_eq!("0.5".parse(), Ok(Rate::Constant(0.5)));
        assert_eq!("0:1k".parse(), Ok(Rate::Ramp(0.0, 1000.0)));
        let steps: Rate = "1k@10s,2.5k@500ms".parse().unwrap();
        assert_eq!(
            steps,
            Rate::Steps(vec![
                (1000.0, seconds(10)),
                (2500.0, Duration::from_millis(500))
            ])
        );
        assert_eq!(steps.length(), Some(Duration::from_millis(10_500)));
        assert_eq!("1k@10,2.5k@500ms".parse(), Ok(steps));
        for text in [
            "", "0", "-1", "1k:", "1k@", "1k@0", "1k@1s,", "nan", "inf", "1e9",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_one_a_range_or_by_weight() {
        let sizes = |text: &str| text.parse::<SizesArg>().map(|sizes| sizes.0);
        assert_eq!(sizes("1k"), Ok(Sizes::fixed(1024)));
        assert_eq!(sizes("64..1k"), Ok(Sizes::range(64, 1024)));
        assert_eq!(
            sizes("64@70,1k@30"),
            Ok(Sizes::weighted(&[(64, 70), (1024, 30)]))
        );
        for text in ["", "a", "1k..64", "64@", "64@0", "64@1,", "..", "-1"] {
            assert!(sizes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn churn_is_by_count_or_by_time() {
        assert_eq!(churn("100"), Ok(Churn::Messages(100)));
        assert_eq!(churn("1s"), Ok(Churn::After(Duration::from_secs(1))));
        for text in ["0", "0s", "1.5", "often"] {
            assert!(churn(text).is_err(), "{text}");
        }
    }
}
