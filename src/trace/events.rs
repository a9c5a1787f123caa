//! Events of a trace, as they are written.

use std::fmt;
use std::io::{self, Write};

/// Where events go, and whose they are.
#[derive(Debug)]
pub(super) struct Events<W> {
    pub(super) out: W,
    pub(super) process: u32,
}

impl<W: Write> Events<W> {
    /// Writes a slice.
    pub(super) fn slice(&mut self, slice: &Slice, args: fmt::Arguments<'_>) -> io::Result<()> {
        let Slice {
            name,
            track,
            at,
            took,
        } = slice;
        self.event(format_args!(
            r#""name":"{name}","ph":"X","tid":{track},"ts":{},"dur":{},"args":{{{args}}}"#,
            micros(*at),
            micros(*took)
        ))
    }

    /// Writes an event of these fields.
    pub(super) fn event(&mut self, fields: fmt::Arguments<'_>) -> io::Result<()> {
        let process = self.process;
        write!(self.out, ",\n{{\"pid\":{process},{fields}}}")
    }

    /// There are no more.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.out.write_all(b"]\n")?;
        self.out.flush()
    }
}

/// A stretch of time on a track.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) name: String,
    pub(super) track: u64,
    pub(super) at: u64,
    pub(super) took: u64,
}

/// Nanoseconds as microseconds with three decimals: exact, which a floating-point number is not for long.
pub(super) fn micros(nanoseconds: u64) -> impl fmt::Display {
    struct Micros(u64);
    impl fmt::Display for Micros {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
        }
    }
    Micros(nanoseconds)
}

/// `text` as JSON has it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}
