//! Which percentiles can be told, and what they are.

use hdrhistogram::Histogram;

/// The percentiles that are told unless others are asked for.
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// How many samples must lie beyond a percentile. With fewer, the next run would say something else: it is one slow
/// message that is told, not a property of the server.
const BEYOND_MIN: f64 = 10.0;

/// The most percentiles that may be asked for. A row of more is read by nobody.
const PERCENTILES_MAX: usize = 20;

/// The time that `percentile` per cent of all samples do not exceed, by nearest rank; or `None` if fewer than 10 lie
/// beyond it. 0 is the least and 100 the most of all, which can always be told if there are any.
///
/// ```
/// # use echoloop::report::percentile;
/// let mut times = hdrhistogram::Histogram::<u64>::new(3).unwrap();
/// (1..=1000).for_each(|time| times.record(time).unwrap());
/// assert_eq!(percentile(&times, 99.0), Some(990));
/// assert_eq!(percentile(&times, 99.9), None); // a single sample is beyond it
/// assert_eq!(percentile(&times, 100.0), Some(1000));
/// ```
pub fn percentile(samples: &Histogram<u64>, percentile: f64) -> Option<u64> {
    if samples.is_empty() {
        return None;
    }
    if percentile >= 100.0 {
        return Some(samples.max());
    }
    if percentile <= 0.0 {
        return Some(samples.min());
    }
    if !can_be_told(samples.len(), percentile) {
        return None;
    }
    Some(value_at_rank(samples, rank(samples.len(), percentile)))
}

/// The place of a percentile in `count` samples that are sorted, from 1 on (nearest rank).
pub(super) fn rank(count: u64, percentile: f64) -> u64 {
    // 99.9 % of 41 000 is a little more than 40 959 in binary, which is not to make it the 40 960th.
    let rank = (count as f64 * percentile / 100.0 - 1e-6).ceil();
    (rank as u64).max(1)
}

/// The value of the sample at this place, from 1 on.
pub(super) fn value_at_rank(samples: &Histogram<u64>, rank: u64) -> u64 {
    samples.value_at_quantile((rank as f64 - 0.5) / samples.len() as f64)
}

/// Whether enough of `count` samples lie beyond a percentile between 0 and 100.
pub(super) fn can_be_told(count: u64, percentile: f64) -> bool {
    count as f64 * (100.0 - percentile) / 100.0 >= BEYOND_MIN - 1e-6
}

/// Reads percentiles, such as `50,90,99.9`, and puts them in order.
///
/// # Errors
///
/// Names what is none, and how it is to be written.
pub fn parse_percentiles(text: &str) -> Result<Vec<f64>, String> {
    let mut percentiles = Vec::new();
    for part in text.split(',') {
        percentiles.push(parse_percentile(part.trim()).ok_or_else(|| {
            format!("'{part}' is no percentile: give numbers from 0 to 100, such as 50,90,99.9")
        })?);
    }
    percentiles.sort_by(f64::total_cmp);
    percentiles.dedup();
    if percentiles.len() > PERCENTILES_MAX {
        return Err(format!(
            "{} percentiles are too many: give {PERCENTILES_MAX} at most",
            percentiles.len()
        ));
    }
    Ok(percentiles)
}

/// A number from 0 up to, and without, 100: the most is always told.
pub(super) fn parse_percentile(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    (0.0..100.0).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: u64) -> Histogram<u64> {
        let mut samples = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        (1..=count).for_each(|sample| samples.record(sample).unwrap());
        samples
    }

    /// Pitfall 25: off by one at small numbers. All of these are exact, because each value has a place of its own.
    #[test]
    fn pitfall_25_a_percentile_is_the_nearest_rank_and_none_if_too_few_are_beyond() {
        for count in 1..2000 {
            let samples = samples(count);
            for (wanted, least) in [(50.0, 20), (90.0, 100), (99.0, 1000), (99.9, 10_000)] {
                // In whole numbers: a tenth of a per cent is the finest there is here.
                let rank = (count * (wanted * 10.0) as u64).div_ceil(1000);
                let expected = (count >= least).then_some(rank);
                assert_eq!(
                    percentile(&samples, wanted),
                    expected,
                    "{wanted} of {count}"
                );
            }
            assert_eq!(percentile(&samples, 100.0), Some(count));
            assert_eq!(percentile(&samples, 0.0), Some(1));
        }
    }

    #[test]
    fn what_binary_fractions_add_does_not_make_it_the_next_rank() {
        let mut samples = samples(0);
        samples.record_n(1, 40_959).unwrap();
        samples.record_n(2, 41).unwrap();
        assert_eq!(percentile(&samples, 99.9), Some(1));
        samples.record(2).unwrap();
        assert_eq!(percentile(&samples, 99.9), Some(2));
    }

    #[test]
    fn nothing_is_told_of_nothing_and_large_numbers_keep_three_digits() {
        assert_eq!(percentile(&samples(0), 100.0), None);
        assert_eq!(percentile(&samples(0), 0.0), None);
        let mut samples = samples(0);
        samples.record_n(123_456_789, 10_000).unwrap();
        for p in [50.0, 99.9, 100.0] {
            let told = percentile(&samples, p).unwrap() as f64;
            assert!((told / 123_456_789.0 - 1.0).abs() < 1e-3, "{told}");
        }
        assert_eq!(percentile(&samples, 99.99), None);
    }

    #[test]
    fn lists_of_percentiles_are_read_in_any_order_and_wrong_ones_are_named() {
        assert_eq!(
            parse_percentiles("99.9, 50,99,50"),
            Ok(vec![50.0, 99.0, 99.9])
        );
        for wrong in ["", "x", "100", "-1", "50,,99", "1e1", "nan", "50;99"] {
            let error = parse_percentiles(wrong).unwrap_err();
            assert!(error.contains("such as 50,90,99.9"), "{wrong}: {error}");
        }
        let many: Vec<String> = (1..30).map(|number| number.to_string()).collect();
        assert!(
            parse_percentiles(&many.join(","))
                .unwrap_err()
                .contains("20 at most")
        );
    }
}
