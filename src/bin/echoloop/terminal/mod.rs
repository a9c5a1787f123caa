//! A terminal with a person at it: a prompt to type at, and text that appears above it.

mod board;
mod editor;
mod layout;
mod screen;
mod width;

use std::io::{self, IsTerminal};

use rustix::termios::tcgetwinsize;

pub(crate) use board::Prompt;
pub(crate) use editor::{Editor, Entered, Style};
pub(crate) use layout::Layout;
pub(crate) use screen::Screen;

/// The width of a terminal that does not report one.
const COLUMNS_ASSUMED: u16 = 80;

/// How many columns the terminal on standard output has; `None` if it does not say.
fn reported_columns() -> Option<u16> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(size.ws_col).filter(|&columns| columns > 0)
}

/// How many columns the rows on standard output may have.
pub(crate) fn columns() -> usize {
    reported_columns().unwrap_or(COLUMNS_ASSUMED).into()
}

/// Warns if standard output is a terminal of unknown width.
pub(crate) fn warn_of_unknown_width() {
    if io::stdout().is_terminal() && reported_columns().is_none() {
        log::warn!(
            "the terminal does not report its width: lines are wrapped at {COLUMNS_ASSUMED} \
             columns (to set the width: stty columns N)"
        );
    }
}

/// What is typed, and where text is shown, if standard input and output are a terminal that can do both at
/// once.
pub(crate) fn open(style: Style) -> io::Result<Option<(Editor, Screen)>> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Ok(None);
    }
    Editor::open(style)
}

/// Gives the terminal back, however the conversation ends.
pub(crate) struct Closing(pub(crate) Screen);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}
