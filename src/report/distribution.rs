//! A distribution of times as HdrHistogram prints it, for whatever plots that.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// How many lines there are for each halving of what is left above.
const TICKS: u32 = 5;

/// How many nanoseconds a value counts: they are told in microseconds.
const UNIT: f64 = 1000.0;

/// The distribution of `times`, which are in nanoseconds, in microseconds: the text of HdrHistogram's
/// `outputPercentileDistribution`, which its `plotFiles.html` and many others read.
pub fn hgrm(times: &Histogram<u64>) -> String {
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in times.iter_quantiles(TICKS) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = step.value_iterated_to() as f64 / UNIT;
        let _ = write!(text, "{value:>12.3} {quantile:>14.12} {count:>10}");
        // Of the last, that would be infinite.
        if quantile < 1.0 {
            let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let most = if times.is_empty() { 0 } else { times.max() };
    let _ = write!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]\n\
         #[Max     = {:>12.3}, Total count    = {:>12}]\n\
         #[Buckets = {:>12}, SubBuckets     = {:>12}]\n",
        times.mean() / UNIT,
        times.stdev() / UNIT,
        most as f64 / UNIT,
        times.len(),
        times.buckets(),
        sub_buckets(times)
    );
    text
}

/// How many values of one size a histogram tells apart: the power of two that has its digits twice over.
fn sub_buckets(times: &Histogram<u64>) -> u64 {
    (2 * 10_u64.pow(u32::from(times.sigfig()))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(of: &[(u64, u64)]) -> Histogram<u64> {
        let mut times = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        of.iter()
            .for_each(|&(time, count)| times.record_n(time, count).unwrap());
        times
    }

    #[test]
    fn a_distribution_is_the_text_that_others_read() {
        let text = hgrm(&times(&[(1_000, 90), (2_000, 9), (3_000, 1)]));
        let expected = "
       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000         90           1.00
       1.000 0.100000000000         90           1.11
       1.000 0.200000000000         90           1.25
       1.000 0.300000000000         90           1.43
       1.000 0.400000000000         90           1.67
       1.000 0.500000000000         90           2.00
       1.000 0.550000000000         90           2.22
       1.000 0.600000000000         90           2.50
       1.000 0.650000000000         90           2.86
       1.000 0.700000000000         90           3.33
       1.000 0.750000000000         90           4.00
       1.000 0.775000000000         90           4.44
       1.000 0.800000000000         90           5.00
       1.000 0.825000000000         90           5.71
       1.000 0.850000000000         90           6.67
       1.000 0.875000000000         90           8.00
       1.000 0.887500000000         90           8.89
       2.000 0.900000000000         99          10.00
       2.000 0.912500000000         99          11.43
       2.000 0.925000000000         99          13.33
       2.000 0.937500000000         99          16.00
       2.000 0.943750000000         99          17.78
       2.000 0.950000000000         99          20.00
       2.000 0.956250000000         99          22.86
       2.000 0.962500000000         99          26.67
       2.000 0.968750000000         99          32.00
       2.000 0.971875000000         99          35.56
       2.000 0.975000000000         99          40.00
       2.000 0.978125000000         99          45.71
       2.000 0.981250000000         99          53.33
       2.000 0.984375000000         99          64.00
       2.000 0.985937500000         99          71.11
       2.000 0.987500000000         99          80.00
       2.000 0.989062500000         99          91.43
       3.001 0.990625000000        100         106.67
       3.001 1.000000000000        100
#[Mean    =        1.110, StdDeviation   =        0.343]
#[Max     =        3.001, Total count    =          100]
#[Buckets =           32, SubBuckets     =         2048]
";
        assert_eq!(format!("\n{text}"), expected);
    }

    /// By the rules of `plotFiles.html`: four words that are numbers, the first and the last of which are drawn.
    #[test]
    fn every_line_but_the_last_can_be_drawn_and_rises() {
        let text = hgrm(&times(&[
            (61_000, 9_000),
            (104_000, 900),
            (1_310_000, 99),
            (2_900_000, 1),
        ]));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let drawn: Vec<(f64, f64)> = lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words.len() == 4)
            .filter_map(|words| Some((words[0].parse().ok()?, words[3].parse().ok()?)))
            .collect();
        assert!(drawn.len() > 40, "{text}");
        assert!(drawn.is_sorted(), "{text}");
        assert_eq!(drawn[0], (61.023, 1.0));
    }

    #[test]
    fn nothing_has_a_distribution_of_nothing() {
        let text = hgrm(&times(&[]));
        assert!(
            text.contains("#[Max     =        0.000, Total count    =            0]"),
            "{text}"
        );
    }
}
