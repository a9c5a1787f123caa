//! A line that tells how a load is going, at a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use echoloop::client::Output;
use echoloop::load::Tick;
use echoloop::reactor::Waker;
use echoloop::report::{thousands, time};

use crate::output::TextStream;
use crate::patient::Patient;

/// Begins the line anew, and wipes it.
const WIPE: &str = "\r\x1b[2K";

/// How many columns a terminal has that does not say.
const WIDTH: usize = 80;

/// The line, on a thread that may have to wait for the terminal: the load must not.
pub(super) struct Progress(Option<Output<String>>);

impl Progress {
    /// One, if it is `wanted`, and stderr is a terminal that can wipe a line.
    pub(super) fn open(waker: Waker, wanted: bool) -> io::Result<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if !wanted || !io::stderr().is_terminal() || dumb {
            return Ok(Self(None));
        }
        let show = |line: String| {
            let mut terminal = Patient(io::stderr().lock());
            terminal.write_all(line.as_bytes())?;
            terminal.flush()
        };
        Output::to_sink(show, waker).map(|output| Self(Some(output)))
    }

    pub(super) fn tell(&self, tick: &Tick<'_>) {
        if let Some(output) = &self.0
            && output.has_room()
        {
            let width = TextStream::Stderr
                .size()
                .map_or(WIDTH, |(columns, _)| columns);
            output.push(format!("{WIPE}{}", fitted(&line(tick), width)));
        }
    }

    /// Wipes the line: what comes then is the result.
    pub(super) fn close(self) {
        if let Some(output) = self.0 {
            output.push(WIPE.to_owned());
            // A terminal that stands still must not keep the result.
            let _ = output.finish_within(Duration::from_millis(500));
        }
    }
}

/// `line` as far as it fits into a row: [`WIPE`] clears one row, and would leave the rest of a longer line.
fn fitted(line: &str, width: usize) -> String {
    line.chars().take(width.saturating_sub(1)).collect()
}

/// Rate, latency, errors and the time that is left.
fn line(tick: &Tick<'_>) -> String {
    let figures = tick.interval;
    let seconds = figures.length.as_secs_f64().max(1e-9);
    let rate = (figures.replied as f64 / seconds) as u64;
    let errors = match figures.failures + figures.timeouts + figures.errors {
        0 => String::new(),
        errors => format!("  {errors} errors"),
    };
    let left = tick.left.map_or_else(String::new, |left| {
        format!("  {:.0} s left", left.as_secs_f64().ceil())
    });
    let stage = if tick.warming_up { "warming up  " } else { "" };
    format!(
        "{stage}{}/s  p50 {}  p99 {}  in flight {}  busy {:.0} %{errors}{left}",
        thousands(rate),
        time(figures.p50),
        time(figures.p99),
        figures.in_flight,
        figures.busy * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_is_wider_than_the_terminal_is_cut() {
        assert_eq!(fitted("p50 61 µs", 80), "p50 61 µs");
        assert_eq!(fitted("p50 61 µs", 9), "p50 61 µ");
        assert_eq!(fitted("p50", 0), "");
    }
}
