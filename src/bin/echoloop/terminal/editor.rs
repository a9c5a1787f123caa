//! What is typed at the prompt.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};

use echoloop::service::Question;
use rustyline::completion::Completer;
use rustyline::config::{BellStyle, ColorMode, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::screen::{Prompt, Screen};

/// What every prompt ends with.
const MARK: &str = ">>> ";

/// A line editor with history and completion, which reads standard input.
pub(crate) struct Editor {
    lines: rustyline::Editor<Assistant, MemHistory>,
    screen: Screen,
}

/// A line that was entered.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) line: String,
    /// The message that the prompt named.
    pub(crate) question: Option<Question>,
}

impl Editor {
    /// `None` for a terminal that can't show text above a prompt.
    pub(super) fn open(
        width: usize,
        commands: &'static [&'static str],
    ) -> io::Result<Option<(Self, Screen)>> {
        let config = Config::builder()
            .auto_add_history(true)
            .bell_style(BellStyle::None)
            // Not for colours: without it the prompt could not change while it is up.
            .color_mode(ColorMode::Forced)
            .completion_type(CompletionType::List)
            .build();
        let history = MemHistory::with_config(&config);
        let mut lines = rustyline::Editor::with_history(config, history).map_err(unreadable)?;
        let Ok(printer) = lines.create_external_printer() else {
            return Ok(None);
        };
        let screen = Screen::new(printer)?;
        lines.set_helper(Some(Assistant {
            screen: screen.clone(),
            commands,
            least_width: width,
            width: AtomicUsize::new(width),
        }));
        let editor = Self {
            lines,
            screen: screen.clone(),
        };
        Ok(Some((editor, screen)))
    }

    /// The next line, or `None` when there will be none: the person has left, or the screen was closed.
    /// The prompt comes once the screen's prompt was set for the `turn`th time.
    pub(crate) fn next(&mut self, turn: u64) -> io::Result<Option<Entered>> {
        loop {
            let Some(prompt) = self.screen.await_turn(turn) else {
                return Ok(None);
            };
            let blank = self.lines.helper().map_or_else(String::new, |assistant| {
                assistant.fit(&prompt);
                assistant.prompt(None)
            });
            let read = self.lines.readline(&blank);
            let question = self.screen.entered();
            match read {
                Ok(line) => return Ok(Some(Entered { line, question })),
                Err(ReadlineError::Interrupted) => {
                    self.screen.leave(true);
                    return Ok(None);
                }
                Err(ReadlineError::Eof) => {
                    self.screen.leave(false);
                    return Ok(None);
                }
                // Keys that are no UTF-8 were pressed.
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {}
                Err(error) => {
                    self.screen.leave(false);
                    return Err(unreadable(error));
                }
            }
        }
    }
}

fn unreadable(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

/// Draws the prompt, and completes commands.
struct Assistant {
    screen: Screen,
    commands: &'static [&'static str],
    least_width: usize,
    /// How many columns say whom the prompt is for. The editor takes their number for fixed while a prompt
    /// is up, although what they say may change.
    width: AtomicUsize,
}

impl Assistant {
    /// Makes room for clients with one digit more than any has now.
    fn fit(&self, prompt: &Prompt) {
        if self.least_width > 0 {
            let needed = format!("#{}0", prompt.last_number).len();
            self.width
                .store(needed.max(self.least_width), Ordering::Relaxed);
        }
    }

    fn prompt(&self, question: Option<Question>) -> String {
        let width = self.width.load(Ordering::Relaxed);
        if width == 0 {
            return MARK.to_owned();
        }
        let mut whom =
            question.map_or_else(String::new, |question| format!("#{}", question.client()));
        if whom.len() > width {
            // The line is still taken for whom it is for.
            whom = "#+".to_owned();
        }
        format!("{whom:>width$} {MARK}")
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        default: bool,
    ) -> Cow<'b, str> {
        if !default {
            // That of a search.
            return Cow::Borrowed(prompt);
        }
        Cow::Owned(self.prompt(self.screen.draw()))
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..at];
        let fits = |command: &&&str| !typed.is_empty() && command.starts_with(typed);
        let fitting = self.commands.iter().filter(fits);
        Ok((0, fitting.map(|&command| command.to_owned()).collect()))
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {}

impl Helper for Assistant {}
