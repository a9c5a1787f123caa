//! The view of a loop, at a terminal or as lines.

use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use echoloop::client::Output;
use echoloop::probe::{Figures, Recorder, Role};
use echoloop::reactor::Waker;
use echoloop::report::Watch;

use super::overflows::overflows;
use crate::output::TextStream;

/// How many stretches lie between two pictures, and between two lines where there is no terminal.
const PICTURE_EVERY: u32 = 3;
const LINE_EVERY: u32 = 10;

/// How many columns and rows a terminal has that does not say.
const SIZE: (usize, usize) = (80, 24);

/// How long a terminal that stands still may keep the end.
const END_WAIT: Duration = Duration::from_millis(500);

/// What is drawn.
enum Piece {
    /// These lines, in the place of those drawn before.
    Picture(usize, Vec<String>),
    Line(String),
}

/// The view, on a thread that may have to wait for the terminal: the loop must not.
pub(super) struct View {
    watch: Watch,
    output: Output<Piece>,
    stream: TextStream,
    terminal: bool,
    taken: u32,
    overflows_before: Option<u64>,
}

impl View {
    pub(super) fn open(
        role: Role,
        name: &str,
        waker: Waker,
        stream: TextStream,
    ) -> io::Result<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = stream.is_terminal() && !dumb;
        let show = move |piece: Piece| {
            let mut drawn = drawn();
            drawn.stream = stream;
            let text = match piece {
                Piece::Picture(width, lines) => drawn.picture(width, &lines),
                Piece::Line(line) => drawn.line(&line),
            };
            stream.write(&text)
        };
        Ok(Self {
            watch: Watch::new(role, name),
            output: Output::to_sink(show, waker)?,
            stream,
            terminal,
            taken: 0,
            overflows_before: overflows(),
        })
    }

    /// Takes the figures of another stretch of time, and draws once in a while; not if the program has something else
    /// to tell.
    pub(super) fn take(&mut self, figures: Figures, recorder: &Recorder, quiet: bool) {
        self.watch.take(figures);
        self.taken += 1;
        let every = if self.terminal {
            PICTURE_EVERY
        } else {
            LINE_EVERY
        };
        if quiet || !self.taken.is_multiple_of(every) || !self.output.has_room() {
            return;
        }
        if self.terminal {
            self.draw(recorder);
        } else {
            self.output.push(Piece::Line(self.watch.line()));
        }
    }

    fn draw(&self, recorder: &Recorder) {
        let (width, height) = self.stream.size().unwrap_or(SIZE);
        let risen = overflows()
            .zip(self.overflows_before)
            .map(|(now, before)| now.saturating_sub(before));
        let mut lines = self.watch.lines(width, risen, |who| recorder.client(who));
        // With more than the screen takes, nobody could go back to the first.
        lines.truncate(height.saturating_sub(1));
        self.output.push(Piece::Picture(width, lines));
    }

    /// The last picture stays, and what is printed next goes below it and a blank line.
    pub(super) fn close(self, recorder: &Recorder) {
        if self.terminal {
            self.draw(recorder);
            self.output.push(Piece::Line(String::new()));
        }
        let _ = self.output.finish_within(END_WAIT);
    }
}

/// What is on the screen.
#[derive(Debug)]
struct Drawn {
    lines: usize,
    width: usize,
    /// Where it is drawn.
    stream: TextStream,
}

impl Drawn {
    const fn nothing() -> Self {
        Self {
            lines: 0,
            width: 0,
            stream: TextStream::Stdout,
        }
    }

    /// What draws `lines` in the place of those before. The cursor is left below them, and no mode of the terminal is
    /// changed: there is nothing to restore, however the program ends.
    fn picture(&mut self, width: usize, lines: &[String]) -> String {
        // Line by line, and nothing is wiped as a whole: terminals keep what is in what can be scrolled back to.
        let mut text = match self.lines {
            0 => String::new(),
            // Lines that were drawn for another width may have been wrapped: nobody knows where they begin.
            _ if self.width != width => "\x1b[H".to_owned(),
            drawn => format!("\x1b[{drawn}F"),
        };
        for line in lines {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        (self.lines, self.width) = (lines.len(), width);
        text
    }

    /// Writes a line below the picture. Later text does not replace the picture.
    fn line(&mut self, line: &str) -> String {
        self.lines = 0;
        format!("{line}\n")
    }

    /// What takes the picture away.
    fn wipe(&mut self) -> String {
        match std::mem::take(&mut self.lines) {
            0 => String::new(),
            lines => format!("\x1b[{lines}F\x1b[J"),
        }
    }
}

/// What is on the screen. The view and the log share it.
static DRAWN: Mutex<Drawn> = Mutex::new(Drawn::nothing());

fn drawn() -> MutexGuard<'static, Drawn> {
    DRAWN.lock().unwrap_or_else(|error| error.into_inner())
}

/// Writes something else to the terminal that the view is on: above it, where it is not in the way.
pub(crate) fn write_above(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let mut drawn = drawn();
    if drawn.lines > 0 {
        let wiped = drawn.wipe();
        drawn.stream.write(&wiped)?;
    }
    write()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_the_place_of_the_one_before() {
        let mut drawn = Drawn::nothing();
        let lines = |count| vec!["x".to_owned(); count];
        assert_eq!(drawn.picture(80, &lines(2)), "x\x1b[K\nx\x1b[K\n\x1b[J");
        assert_eq!(drawn.picture(80, &lines(1)), "\x1b[2Fx\x1b[K\n\x1b[J");
        assert_eq!(
            drawn.picture(40, &lines(1)),
            "\x1b[Hx\x1b[K\n\x1b[J",
            "resized"
        );
        assert_eq!(drawn.wipe(), "\x1b[1F\x1b[J");
        assert_eq!(drawn.wipe(), "");
        assert_eq!(drawn.picture(40, &lines(1)), "x\x1b[K\n\x1b[J");
    }

    /// A log line after the report must not erase the end of the report.
    #[test]
    fn last_picture_is_not_wiped_by_what_is_written_below_it() {
        let mut drawn = Drawn::nothing();
        drawn.picture(80, &["x".to_owned(), "y".to_owned()]);
        assert_eq!(drawn.line(""), "\n");
        assert_eq!(drawn.wipe(), "");
    }
}
