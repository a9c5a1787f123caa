//! Numbers, as a person reads them.

/// How many digits of a number are between two spaces.
const GROUP: usize = 3;

/// A number with a space between its thousands: `50 000`.
///
/// ```
/// assert_eq!(echoloop::report::thousands(1_234_567), "1 234 567");
/// ```
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / GROUP);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(GROUP) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A time of so many nanoseconds, with three significant digits: `1.31 ms`. From 10 microseconds on, nothing finer
/// than one is told: to look at the clock, and to be woken, takes as long.
///
/// ```
/// use echoloop::report::time;
///
/// assert_eq!(time(61_249), "61 µs");
/// assert_eq!(time(2_900_000_000), "2.90 s");
/// ```
pub fn time(nanoseconds: u64) -> String {
    let ns = nanoseconds as f64;
    // Each bound is where rounding reaches the next unit.
    if nanoseconds < 1_000 {
        format!("{nanoseconds} ns")
    } else if ns < 9_995.0 {
        format!("{} µs", three_digits(ns / 1e3))
    } else if ns < 999_500.0 {
        format!("{:.0} µs", ns / 1e3)
    } else if ns < 999_500_000.0 {
        format!("{} ms", three_digits(ns / 1e6))
    } else {
        format!("{} s", three_digits(ns / 1e9))
    }
}

/// A number with three significant digits, or all those before its point.
pub(super) fn three_digits(number: f64) -> String {
    let decimals = match number {
        _ if number < 9.995 => 2,
        _ if number < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

/// So many of something in a second: `50 000/s`. Below ten, parts of one are told.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 9.995 {
        let text = format!("{per_second:.2}");
        return format!("{}/s", without_zeros(&text));
    }
    format!("{}/s", thousands(per_second.round() as u64))
}

/// A size in bytes: `128 B`, `9.10 MiB`.
pub fn bytes(number: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024.0 {
        return format!("{number:.0} B");
    }
    let mut scaled = number / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while scaled >= 1024.0 && units.len() > 0 {
        scaled /= 1024.0;
        unit = units.next();
    }
    format!("{} {}", three_digits(scaled), unit.unwrap_or(&"B"))
}

/// A part of a whole, which is 1: `98.96 %`. Neither what is more than nothing is rounded to nothing, nor what is less
/// than all to all.
pub(super) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    let text = if percent > 0.0 && percent < 0.0001 {
        return "< 0.0001 %".to_owned();
    } else if percent > 99.99 && percent < 100.0 {
        "99.99".to_owned()
    } else if percent < 0.1 {
        format!("{percent:.4}")
    } else {
        format!("{percent:.2}")
    };
    format!("{} %", without_zeros(&text))
}

/// A part of a whole, which is 1, where no more than whole percents are of interest: `58 %`.
pub(super) fn whole_percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// How a percentile is written: `99`, `99.9`.
pub(super) fn percentile_name(percentile: f64) -> String {
    percentile.to_string()
}

/// A number with decimals, without those at its end that say nothing.
fn without_zeros(text: &str) -> &str {
    text.trim_end_matches('0').trim_end_matches('.')
}

/// So many of something: `1 answer`, `2 answers`.
pub(super) fn count(number: u64, what: &str) -> String {
    let number_shown = thousands(number);
    match what.strip_suffix("ly") {
        _ if number == 1 => format!("{number_shown} {what}"),
        Some(stem) => format!("{number_shown} {stem}lies"),
        None => format!("{number_shown} {what}s"),
    }
}

/// Bytes in hexadecimal, two digits each, with `between` in between.
pub(super) fn hex(bytes: &[u8], between: &str) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart_from_four_digits_on() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1 000"),
            (50_000, "50 000"),
            (1_234_567, "1 234 567"),
            (u64::MAX, "18 446 744 073 709 551 615"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn times_have_three_digits_and_the_unit_that_rounding_brings_them_to() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_994, "9.99 µs"),
            (9_995, "10 µs"),
            (61_000, "61 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (1_310_000, "1.31 ms"),
            (13_149_000, "13.1 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (2_900_000_000, "2.90 s"),
            (3_600_000_000_000, "3600 s"),
        ] {
            assert_eq!(time(ns), text, "{ns}");
        }
    }

    #[test]
    fn parts_are_never_rounded_to_nothing_or_to_all() {
        for (part, text) in [
            (0.0, "0 %"),
            (1e-9, "< 0.0001 %"),
            (0.000_024, "0.0024 %"),
            (0.001, "0.1 %"),
            (0.002_5, "0.25 %"),
            (0.98961, "98.96 %"),
            (0.999_999, "99.99 %"),
            (1.0, "100 %"),
            (1.5, "150 %"),
        ] {
            assert_eq!(percent(part), text, "{part}");
        }
    }

    #[test]
    fn rates_and_sizes_have_the_unit_that_fits() {
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(rate(4.2), "4.2/s");
        assert_eq!(rate(49_998.4), "49 998/s");
        assert_eq!(bytes(128.0), "128 B");
        assert_eq!(bytes(1240.0), "1.21 KiB");
        assert_eq!(bytes(9_541_632.0), "9.10 MiB");
        assert_eq!(bytes(5e15), "4547 TiB");
        assert_eq!(hex(&[0x7c, 0x0a], " "), "7c 0a");
        assert_eq!(
            (count(1, "byte"), count(2000, "byte")),
            ("1 byte".into(), "2 000 bytes".into())
        );
    }
}
