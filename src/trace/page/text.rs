//! Numbers and words, as a page shows them.

/// Between a number and its unit: no line ends there.
const BLANK: char = '\u{a0}';

/// `text` in HTML, where it can be nothing but text.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // What turns the reading direction around, or is not seen, is shown as what it is.
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                html.extend(c.escape_unicode());
            }
            c => html.push(c),
        }
    }
    html
}

/// A number, in groups of three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// So many of something, with its plural.
pub(super) fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{}{BLANK}{what}{plural}", count(number))
}

/// Nanoseconds, to three digits.
pub(super) fn time(nanoseconds: u64) -> String {
    let (unit, of) = match nanoseconds {
        0..1_000 => return format!("{nanoseconds}{BLANK}ns"),
        1_000..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    format!("{}{BLANK}{unit}", three(nanoseconds as f64 / of))
}

/// Bytes, to three digits.
pub(super) fn bytes(bytes: u64) -> String {
    let (unit, of) = match bytes {
        0..1_024 => return format!("{bytes}{BLANK}B"),
        1_024..1_048_576 => ("KiB", 1024.0),
        1_048_576..1_073_741_824 => ("MiB", 1_048_576.0),
        _ => ("GiB", 1_073_741_824.0),
    };
    format!("{}{BLANK}{unit}", three(bytes as f64 / of))
}

/// A part of 1, in percent.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = usize::from(percent > 0.0 && percent < 9.95);
    format!("{percent:.decimals$}{BLANK}%")
}

fn three(number: f64) -> String {
    match number {
        0.0..9.995 => format!("{number:.2}"),
        0.0..99.95 => format!("{number:.1}"),
        _ => count(number.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (nanoseconds, expected) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_400, "999 µs"),
            (2_236_000_000, "2.24 s"),
            (15_517_000_000_000, "15\u{202f}517 s"),
        ] {
            assert_eq!(time(nanoseconds).replace(BLANK, " "), expected);
        }
        assert_eq!(bytes(65_536).replace(BLANK, " "), "64.0 KiB");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(123), "123");
        assert_eq!(percent(0.004).replace(BLANK, " "), "0.4 %");
        assert_eq!(percent(1.0).replace(BLANK, " "), "100 %");
        assert_eq!(counted(1, "lint").replace(BLANK, " "), "1 lint");
    }

    #[test]
    fn no_text_is_markup_or_turns_others_around() {
        assert_eq!(
            escaped("<a href='x'>&\"\u{202e}\n"),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;\\u{202e}\\u{a}"
        );
    }
}
