//! One event of a trace, as it is read: checked, and without anything that the program does not use.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::document::damaged;

/// The latest time and the longest duration of a trace, in nanoseconds: 100 years. The clock starts with
/// the machine, so anything later is damage. Times up to here are added without an overflow.
const TIME_MAX: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

/// The characters of a wrong value that a message shows.
const SHOWN: usize = 40;

/// An event. Numbers are what the file says: they size nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) ph: Cow<'a, str>,
    pub(super) pid: u64,
    pub(super) tid: u64,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    dur: Option<&'a RawValue>,
    pub(super) args: Args,
}

/// The arguments of all kinds of events.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Args {
    pub(super) name: Option<String>,
    pub(super) format: Option<String>,
    pub(super) role: Option<String>,
    pub(super) merged: Option<bool>,
    pub(super) client: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) result: Option<String>,
    pub(super) served: Option<String>,
    pub(super) full: Option<bool>,
    pub(super) who: Option<u64>,
    pub(super) offset: u64,
    pub(super) asked: u32,
    pub(super) bytes: u32,
    pub(super) events: u32,
    pub(super) count: u32,
    pub(super) received: u32,
    pub(super) sent: u32,
    pub(super) size: u32,
    pub(super) dropped: u64,
    pub(super) missed: u64,
    pub(super) overflows: Option<u64>,
    pub(super) waited_ns: Option<u64>,
    pub(super) took_ns: Option<u64>,
    pub(super) late_ns: Option<u64>,
}

impl Event<'_> {
    /// When the event began and how long it took, in nanoseconds. `line` is where it is in the file.
    ///
    /// # Errors
    ///
    /// A time that is missing, negative or too late.
    pub(super) fn times(&self, line: usize) -> Result<(u64, u64), String> {
        let Some(ts) = self.ts else {
            return Err(damaged(line));
        };
        let at = checked(ts.get(), line)?;
        let took = match (self.args.took_ns, self.dur) {
            (Some(took), _) => took,
            (None, Some(dur)) => checked(dur.get(), line)?,
            (None, None) => 0,
        };
        let Args {
            waited_ns, late_ns, ..
        } = self.args;
        let all = [Some(took), waited_ns, late_ns];
        match all.into_iter().flatten().find(|&time| time > TIME_MAX) {
            Some(time) => Err(wrong_time(&format!("{time} ns"), line)),
            None => Ok((at, took)),
        }
    }
}

fn checked(micros: &str, line: usize) -> Result<u64, String> {
    nanoseconds(micros).ok_or_else(|| wrong_time(micros, line))
}

fn wrong_time(value: &str, line: usize) -> String {
    let shown: String = value.chars().take(SHOWN).collect();
    format!(
        "line {line}: the time {shown} is not between 0 and 100 years: the file was damaged, \
         record it again"
    )
}

/// Microseconds in decimal digits, as nanoseconds. An `f64` would be exact for 104 days only.
pub(super) fn nanoseconds(micros: &str) -> Option<u64> {
    let (whole, fraction) = micros.split_once('.').unwrap_or((micros, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let nanoseconds = if are_digits(whole) && are_digits(fraction) {
        let digit = |place: usize| {
            fraction
                .as_bytes()
                .get(place)
                .map_or(0, |digit| digit - b'0')
        };
        let parts = u64::from(digit(0)) * 100 + u64::from(digit(1)) * 10 + u64::from(digit(2));
        let rounded = parts + u64::from(digit(3) >= 5);
        whole
            .parse::<u64>()
            .ok()?
            .checked_mul(1000)?
            .checked_add(rounded)?
    } else {
        let micros: f64 = micros.parse().ok()?;
        if !(0.0..=TIME_MAX as f64).contains(&micros) {
            return None;
        }
        (micros * 1000.0).round() as u64
    };
    (nanoseconds <= TIME_MAX).then_some(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_after_years_and_refused_beyond_a_hundred() {
        for (micros, expected) in [
            ("0", Some(0)),
            ("5.000", Some(5_000)),
            ("5.0009", Some(5_001)),
            // 400 days: an f64 would be off by 2 ns.
            ("34560000000001.123", Some(34_560_000_000_001_123)),
            ("1.5e3", Some(1_500_000)),
            ("3153600000000000", Some(TIME_MAX)),
            ("3153600000000000.001", None),
            ("18446744073709551615", None),
            ("99999999999999999999999", None),
            ("1e300", None),
            ("-1", None),
            ("\"5\"", None),
            ("null", None),
        ] {
            assert_eq!(nanoseconds(micros), expected, "{micros}");
        }
    }
}
