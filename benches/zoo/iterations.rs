//! The longest loop iteration of a server, from the lines that it prints with `--watch`.

use std::fmt;
use std::io::BufRead;

/// The longest iterations by time and by CPU time, each as the server printed it.
#[derive(Debug, Default)]
pub(crate) struct LongestIterations {
    time: Longest,
    cpu: Longest,
}

/// The longest of several times.
#[derive(Debug, Default)]
struct Longest {
    nanoseconds: f64,
    text: String,
}

impl LongestIterations {
    /// Reads lines until the server ends.
    pub(crate) fn read(output: impl BufRead) -> Self {
        let mut longest = Self::default();
        for line in output.lines().map_while(Result::ok) {
            if let Some((time, cpu)) = times(&line) {
                longest.time.take(time);
                longest.cpu.take(cpu);
            }
        }
        longest
    }
}

impl Longest {
    fn take(&mut self, text: &str) {
        if let Some(nanoseconds) = nanoseconds(text).filter(|&time| time > self.nanoseconds) {
            self.nanoseconds = nanoseconds;
            text.clone_into(&mut self.text);
        }
    }
}

impl fmt::Display for LongestIterations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.time.text.is_empty() {
            return f.write_str("not known: the server printed no line");
        }
        write!(f, "{}; CPU time {}", self.time.text, self.cpu.text)
    }
}

/// The time and the CPU time in `... longest iteration 30.0 ms (cpu 2.50 ms)`.
fn times(line: &str) -> Option<(&str, &str)> {
    let (_, times) = line.split_once("longest iteration ")?;
    times.trim_end().strip_suffix(')')?.split_once(" (cpu ")
}

fn nanoseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_once(' ')?;
    let scale = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}
