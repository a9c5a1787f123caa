//! How long things took, as plots and as a table.

use std::fmt::Write;

use hdrhistogram::Histogram;

use super::digest::Digest;
use super::text::{count, time};

/// The size of a plot, and where in it the bars stand.
const WIDTH: f64 = 540.0;
const HEIGHT: f64 = 196.0;
const TOP: f64 = 54.0;
const BOTTOM: f64 = 166.0;
const SIDE: f64 = 14.0;

/// Bars to a power of ten.
const BARS: f64 = 8.0;

/// The lowest bar: one that is a ten-thousandth of the others can still be seen.
const LEAST: f64 = 1.5;

/// Times of one kind, with how to read them.
struct Times<'a> {
    name: &'static str,
    says: &'static str,
    of: &'a Histogram<u64>,
}

/// A plot of each kind of times, and a table of all.
pub(super) fn section(digest: &Digest<'_>) -> String {
    let all = [
        Times {
            name: "Ready to served",
            says: "From the poll that said a connection was ready until it was served: the queue within the loop.",
            of: &digest.figures.waits,
        },
        Times {
            name: "Turns",
            says: "From one poll to the next. Whoever becomes ready meanwhile waits for the rest of it.",
            of: &digest.turns,
        },
        Times {
            name: "Sent behind schedule",
            says: "From when a message was due until it was sent: what the load generator itself was late.",
            of: &digest.figures.lateness,
        },
        Times {
            name: "Due to answered",
            says: "From when a message was due until its answer was there.",
            of: &digest.answers,
        },
    ];
    let some: Vec<&Times<'_>> = all.iter().filter(|times| !times.of.is_empty()).collect();
    if some.is_empty() {
        return "<p class=\"calm\">Nothing was timed.</p>".to_owned();
    }
    // One axis for all, so that they can be compared.
    let least = some.iter().map(|times| times.of.min()).min().unwrap_or(1);
    let most = some.iter().map(|times| times.of.max()).max().unwrap_or(1);
    let axis = Axis::of(least, most);
    let mut html = String::from("<div class=\"plots\">");
    for times in &some {
        let _ = write!(
            html,
            "<figure><figcaption><h3>{}</h3><p>{}</p></figcaption>{}</figure>",
            times.name,
            times.says,
            axis.plot(times)
        );
    }
    html.push_str("</div>");
    html.push_str(&table(&some));
    html
}

/// Times, from left to right: each power of ten takes as much room as the next.
struct Axis {
    from: f64,
    until: f64,
}

impl Axis {
    fn of(least: u64, most: u64) -> Self {
        let from = (least.max(1) as f64).log10().floor();
        let until = (most.max(1) as f64).log10().ceil().max(from + 1.0);
        Self { from, until }
    }

    fn x(&self, exponent: f64) -> f64 {
        SIDE + (exponent - self.from) / (self.until - self.from) * (WIDTH - 2.0 * SIDE)
    }

    fn plot(&self, times: &Times<'_>) -> String {
        let Times { name, of, .. } = times;
        let quantiles = [
            ("p50", of.value_at_quantile(0.5)),
            ("p99", of.value_at_quantile(0.99)),
            ("max", of.max()),
        ];
        let told: Vec<String> = quantiles
            .iter()
            .map(|(name, value)| format!("{name} {}", time(*value)))
            .collect();
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}: how often each time was seen; {}\">",
            told.join(", ")
        );
        self.draw_axis(&mut svg);
        self.draw_bars(of, &mut svg);
        // Each has a line of its own, and so they never stand in each other's way.
        for (index, ((_, value), label)) in quantiles.iter().zip(&told).enumerate() {
            let x = self.x(((*value).max(1) as f64).log10());
            let y = 12.0 + 15.0 * index as f64;
            let (anchor, dx) = if x > WIDTH * 0.8 {
                ("end", -5.0)
            } else {
                ("start", 5.0)
            };
            let _ = write!(
                svg,
                "<line class=\"quantile\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{BOTTOM}\"/>\
                 <text class=\"told\" x=\"{:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{label}</text>",
                y - 9.0,
                x + dx
            );
        }
        svg.push_str("</svg>");
        svg
    }

    fn draw_axis(&self, svg: &mut String) {
        let decades = (self.until - self.from) as u32;
        for decade in 0..=decades {
            let exponent = self.from + f64::from(decade);
            let x = self.x(exponent);
            let anchor = match decade {
                0 => "start",
                _ if decade == decades => "end",
                _ => "middle",
            };
            let at = match anchor {
                "start" => 0.0,
                "end" => WIDTH,
                _ => x,
            };
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
                 <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                BOTTOM + 4.0,
                BOTTOM + 20.0,
                round(exponent as i32)
            );
        }
    }

    fn draw_bars(&self, of: &Histogram<u64>, svg: &mut String) {
        let mut bars = vec![0_u64; ((self.until - self.from) * BARS) as usize];
        for value in of.iter_recorded() {
            let exponent = (value.value_iterated_to().max(1) as f64).log10();
            let bar = ((exponent - self.from) * BARS) as usize;
            let last = bars.len() - 1;
            bars[bar.min(last)] += value.count_at_value();
        }
        let most = bars.iter().copied().max().unwrap_or(1).max(1) as f64;
        for (index, &bar) in bars.iter().enumerate().filter(|&(_, &bar)| bar > 0) {
            let x = self.x(self.from + index as f64 / BARS);
            let width = self.x(self.from + (index + 1) as f64 / BARS) - x - 1.0;
            let height = (bar as f64 / most * (BOTTOM - TOP)).max(LEAST);
            let _ = write!(
                svg,
                "<rect class=\"bar\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>",
                BOTTOM - height
            );
        }
        let _ = write!(
            svg,
            "<line class=\"base\" x1=\"{SIDE}\" x2=\"{:.1}\" y1=\"{BOTTOM}\" y2=\"{BOTTOM}\"/>",
            WIDTH - SIDE
        );
    }
}

/// A power of ten of nanoseconds.
fn round(exponent: i32) -> String {
    let (unit, left) = match exponent {
        ..3 => ("ns", exponent),
        3..6 => ("µs", exponent - 3),
        6..9 => ("ms", exponent - 6),
        _ => ("s", exponent - 9),
    };
    format!("{}\u{a0}{unit}", 10_u64.pow(left.max(0) as u32))
}

fn table(all: &[&Times<'_>]) -> String {
    let mut html =
        String::from("<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Time</th>");
    for name in ["p50", "p90", "p99", "p99.9", "max", "count"] {
        let _ = write!(html, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    for Times { name, of, .. } in all {
        let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
        for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
            let value = time(of.value_at_quantile(quantile));
            let _ = write!(html, "<td class=\"number\">{value}</td>");
        }
        let _ = write!(html, "<td class=\"number\">{}</td></tr>", count(of.len()));
    }
    html.push_str("</tbody></table></div>");
    html
}
