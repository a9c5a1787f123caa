//! Sizes, counts and times as people write them. The same words mean the same in every command.

use std::num::NonZeroUsize;
use std::time::Duration;

use echoloop::server::TIME_MAX;

/// Bytes: a whole number, with `k`, `M` or `G` for powers of 1024.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    scaled(text, 1024).ok_or_else(|| "write a number of bytes, such as 512, 64k or 1M".to_owned())
}

/// As [`size`], but not 0.
pub(crate) fn nonzero_size(text: &str) -> Result<NonZeroUsize, String> {
    NonZeroUsize::new(size(text)?).ok_or_else(|| "give at least 1".to_owned())
}

/// How many: a whole number, with `k`, `M` or `G` for powers of 1000.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    scaled(text, 1000).ok_or_else(|| "write a number, such as 500, 10k or 1M".to_owned())
}

/// As [`count`], for numbers of 32 bits.
pub(crate) fn count32(text: &str) -> Result<u32, String> {
    u32::try_from(count(text)?).map_err(|_| format!("write at most {}", u32::MAX))
}

/// How many a second: a number above 0, which need not be whole, with `k` or `M` for powers of 1000.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let how = || "write how many a second, such as 500, 20k or 0.5".to_owned();
    let (number, scale) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1e3),
        None => match text.strip_suffix('M') {
            Some(number) => (number, 1e6),
            None => (text, 1.0),
        },
    };
    // `parse` alone would take signs, exponents and names.
    if !number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(how());
    }
    let rate = number.parse::<f64>().map_err(|_| how())? * scale;
    if rate > 0.0 && rate <= RATE_MAX {
        Ok(rate)
    } else {
        Err(how())
    }
}

/// As [`rate`], or a bare 0.
pub(crate) fn rate_or_none(text: &str) -> Result<f64, String> {
    if text == "0" { Ok(0.0) } else { rate(text) }
}

/// More than any machine can do, by far.
const RATE_MAX: f64 = 1e9;

/// A time: a number with the unit `ns`, `us`, `ms`, `s`, `m` or `h`. A bare number is seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = parse_time(text).ok_or(
        "write a time in seconds, such as 5 or 1.5s, or with a unit of ns, us, ms, s, m or h, such as 500ms",
    )?;
    let time = Duration::try_from_secs_f64(number * unit)
        .ok()
        .filter(|&time| time <= TIME_MAX);
    let time = time.ok_or("give a century at most, which is 876000h")?;
    if time.is_zero() && number > 0.0 {
        return Err("give 1ns at least, or 0".to_owned());
    }
    Ok(time)
}

/// A share of the whole, from 0 to 1: a number with `%`.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').filter(|number| {
        number
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    let percent = number.and_then(|number| number.parse::<f64>().ok());
    let share = percent.ok_or("write a number with its sign, such as 1% or 0.5%")? / 100.0;
    if share > 1.0 {
        return Err("give 100% at most".to_owned());
    }
    Ok(share)
}

/// As [`time`], where 0 means never.
pub(crate) fn timeout(text: &str) -> Result<Timeout, String> {
    let time = time(text)?;
    Ok(Timeout((!time.is_zero()).then_some(time)))
}

/// A time after which something happens, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(pub(crate) Option<Duration>);

fn scaled(text: &str, base: usize) -> Option<usize> {
    let (digits, power) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1),
        b'M' => (&text[..text.len() - 1], 2),
        b'G' => (&text[..text.len() - 1], 3),
        _ => (text, 0),
    };
    // `parse` alone would take a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits
        .parse::<usize>()
        .ok()?
        .checked_mul(base.checked_pow(power)?)
}

/// A number, and its unit in seconds.
fn parse_time(text: &str) -> Option<(f64, f64)> {
    let unit_at = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let unit_seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some((number.parse().ok()?, unit_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// What is written with a unit is what is meant, and nothing that is written makes it panic.
        #[test]
        fn any_number_is_read_as_it_is_written(number in 0..1_000_000usize, scale in 0..4u32, text in ".{0,9}") {
            let unit = ["", "k", "M", "G"][scale as usize];
            assert_eq!(size(&format!("{number}{unit}")), Ok(number * 1024usize.pow(scale)));
            assert_eq!(count(&format!("{number}{unit}")), Ok(number * 1000usize.pow(scale)));
            let ms = time(&format!("{number}ms")).unwrap();
            assert!(ms.abs_diff(Duration::from_millis(number as u64)) < Duration::from_nanos(2));
            for text in [text.clone(), format!("{number}{text}")] {
                if let Ok(read) = size(&text) {
                    assert!(read == 0 || text.as_bytes()[0].is_ascii_digit());
                }
                assert!(rate(&text).is_ok_and(|rate| rate > 0.0) || rate(&text).is_err());
                assert!(time(&text).is_ok_and(|time| time <= TIME_MAX) || time(&text).is_err());
                let _ = (count(&text), count32(&text), percent(&text));
            }
        }
    }

    #[test]
    fn sizes_are_powers_of_1024_and_counts_of_1000() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("1M"), Ok(1_048_576));
        assert_eq!(size("2G"), Ok(2_147_483_648));
        assert_eq!(count("10k"), Ok(10_000));
        assert_eq!(count("1M"), Ok(1_000_000));
        assert_eq!(count32("4294967295"), Ok(u32::MAX));
        assert!(count32("5G").unwrap_err().contains("4294967295"));
    }

    #[test]
    fn rates_are_powers_of_1000_and_need_not_be_whole() {
        assert_eq!(rate("20k"), Ok(20_000.0));
        assert_eq!(rate("1.5M"), Ok(1_500_000.0));
        assert_eq!(rate("0.5"), Ok(0.5));
        for text in [
            "", "0", "0k", ".", "-1", "1e3", "inf", "nan", "2G", "1..5", "2000M",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bare_number_is_seconds() {
        assert_eq!(time("5"), Ok(Duration::from_secs(5)));
        assert_eq!(time("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(timeout("10"), Ok(Timeout(Some(Duration::from_secs(10)))));
    }

    #[test]
    fn time_error_lists_every_unit() {
        let error = time("5sec").unwrap_err();
        for unit in ["ns", "us", "ms", "s", "m", "h", "5", "1.5s"] {
            assert!(error.contains(&format!(" {unit}")), "{unit}: {error}");
        }
    }

    #[test]
    fn time_accepts_every_unit() {
        assert_eq!(time("250ns"), Ok(Duration::from_nanos(250)));
        assert_eq!(time("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(time("1.5us"), Ok(Duration::from_nanos(1500)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(time("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(timeout("0"), Ok(Timeout(None)));
        assert_eq!(timeout("0s"), Ok(Timeout(None)));
        assert_eq!(timeout("1s"), Ok(Timeout(Some(Duration::from_secs(1)))));
    }

    #[test]
    fn shares_are_percentages() {
        assert_eq!(percent("1%"), Ok(0.01));
        assert_eq!(percent("0.5%"), Ok(0.005));
        assert_eq!((percent("0%"), percent("100%")), (Ok(0.0), Ok(1.0)));
        assert!(percent("100.1%").unwrap_err().contains("100%"));
        for text in [
            "", "%", "1", "-1%", "+1%", "1 %", "1e1%", "nan%", "inf%", ".%", "1%%", "é%",
        ] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_never_panics() {
        for text in [
            "",
            "k",
            "-1",
            "+1",
            "1.5k",
            "1kk",
            "1 k",
            "0x10",
            "ten",
            "é",
            "1é",
            "18446744073709551616",
            "18446744073709551615k",
            "99999999999999999G",
        ] {
            assert!(size(text).is_err(), "{text}");
            assert!(count(text).is_err(), "{text}");
        }
        assert!(time("876001h").unwrap_err().contains("century"));
        assert!(time("0.0000000001s").unwrap_err().contains("1ns"));
        for text in [
            "",
            ".",
            "s",
            "5sec",
            "5S",
            "1min",
            "1d",
            "-1s",
            "1..5s",
            "1e9s",
            "1 s",
            "nans",
            "999999999999h",
            "é",
            ".s",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
