//! A terminal with a person at it: a prompt to type at, and text that appears above it.

mod board;
mod editor;
mod fold;
mod screen;

use std::io::{self, IsTerminal};

pub(crate) use board::Prompt;
pub(crate) use editor::{Editor, Entered, Style};
pub(crate) use screen::Screen;

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
