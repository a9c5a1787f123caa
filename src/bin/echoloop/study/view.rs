//! The view of a loop, at a terminal or as lines.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use echoloop::client::Output;
use echoloop::probe::{Figures, Recorder, Role};
use echoloop::reactor::Waker;
use echoloop::report::Watch;

use super::overflows::overflows;

/// How many stretches lie between two pictures, and between two lines where there is no terminal.
const PICTURE_EVERY: u32 = 3;
const LINE_EVERY: u32 = 10;

/// How many columns a terminal has that does not say.
const WIDTH: usize = 80;

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
    terminal: bool,
    taken: u32,
    overflows_before: Option<u64>,
}

impl View {
    pub(super) fn open(role: Role, name: &str, waker: Waker) -> io::Result<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let terminal = io::stdout().is_terminal() && !dumb;
        let mut drawn = Drawn::default();
        let show = move |piece: Piece| {
            let text = match piece {
                Piece::Picture(width, lines) => drawn.picture(width, &lines),
                Piece::Line(line) => line + "\n",
            };
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        Ok(Self {
            watch: Watch::new(role, name),
            output: Output::to_sink(show, waker)?,
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
        if !self.terminal {
            return self.output.push(Piece::Line(self.watch.line()));
        }
        let width = width();
        let risen = overflows()
            .zip(self.overflows_before)
            .map(|(now, before)| now.saturating_sub(before));
        let lines = self.watch.lines(width, risen, |who| recorder.client(who));
        self.output.push(Piece::Picture(width, lines));
    }

    /// The last picture stays, and what is printed next goes below it.
    pub(super) fn close(self) {
        let _ = self.output.finish_within(END_WAIT);
    }
}

/// What is on the screen.
#[derive(Debug, Default)]
struct Drawn {
    lines: usize,
    width: usize,
}

impl Drawn {
    /// What draws `lines` in the place of those before. The cursor is left below them, and no mode of the terminal is
    /// changed: there is nothing to restore, however the program ends.
    fn picture(&mut self, width: usize, lines: &[String]) -> String {
        let mut text = match self.lines {
            0 => String::new(),
            // Lines that were drawn for another width may have been wrapped: nobody knows where they begin.
            _ if self.width != width => "\x1b[H\x1b[2J".to_owned(),
            drawn => format!("\x1b[{drawn}F\x1b[J"),
        };
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        (self.lines, self.width) = (lines.len(), width);
        text
    }
}

fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    match size {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
        _ => WIDTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_takes_the_place_of_the_one_before() {
        let mut drawn = Drawn::default();
        let lines = |count| vec!["x".to_owned(); count];
        assert_eq!(drawn.picture(80, &lines(2)), "x\nx\n");
        assert_eq!(drawn.picture(80, &lines(3)), "\x1b[2F\x1b[Jx\nx\nx\n");
        assert_eq!(drawn.picture(40, &lines(1)), "\x1b[H\x1b[2Jx\n", "resized");
        assert_eq!(drawn.picture(40, &lines(1)), "\x1b[1F\x1b[Jx\n");
    }
}
