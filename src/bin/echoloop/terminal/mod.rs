//! A terminal with a person at it: a prompt to type at, and text that appears above it.

mod editor;
mod screen;

use std::io::{self, IsTerminal};

pub(crate) use editor::{Editor, Entered};
pub(crate) use screen::{Prompt, Screen};

/// What is typed, and where text is shown, if standard input and output are a terminal that can do both at
/// once. `width` columns of the prompt say whom it is for; `commands` can be completed.
pub(crate) fn open(
    width: usize,
    commands: &'static [&'static str],
) -> io::Result<Option<(Editor, Screen)>> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Ok(None);
    }
    Editor::open(width, commands)
}
