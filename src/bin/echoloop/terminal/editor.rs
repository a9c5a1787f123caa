//! What is typed at the prompt.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use echoloop::service::{DisplayText, Language, Phrase, Question};
use rustix::io::Errno;
use rustyline::completion::Completer;
use rustyline::config::{BellStyle, ColorMode, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::board::Prompt;
use super::layout::Layout;
use super::screen::Screen;

/// What every prompt ends with.
const MARK: &str = ">>> ";

/// How long an Escape waits for the rest of a key's sequence, in milliseconds. Until then nothing is shown.
const ESCAPE_WAIT: u16 = 100;

/// How long the end of input waits for the SIGHUP that comes with it, and has an exit code of its own. Only
/// the thread that reads the terminal waits.
const HANG_UP_WAIT: Duration = Duration::from_millis(100);

/// How an editor looks and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Style {
    /// How many columns of the prompt say whom it is for, at least. 0: it is for nobody.
    pub(crate) width: usize,
    /// What can be completed.
    pub(crate) commands: &'static [&'static str],
    /// How text above the prompt is split into rows.
    pub(crate) layout: Layout,
}

/// A line editor with history and completion, which reads standard input.
pub(crate) struct Editor {
    lines: rustyline::Editor<Assistant, MemHistory>,
    screen: Screen,
    language: Language,
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
    pub(super) fn open(style: Style) -> io::Result<Option<(Self, Screen)>> {
        let config = Config::builder()
            .auto_add_history(true)
            .bell_style(BellStyle::None)
            // Not for colours: without it the prompt could not change while it is up.
            .color_mode(ColorMode::Forced)
            // Neither of the two may wait for another key, because nothing is shown meanwhile.
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .keyseq_timeout(Some(ESCAPE_WAIT))
            .build();
        let history = MemHistory::with_config(&config);
        let mut lines = rustyline::Editor::with_history(config, history).map_err(failed)?;
        let Ok(printer) = lines.create_external_printer() else {
            return Ok(None);
        };
        let screen = Screen::new(printer, style.layout)?;
        lines.set_helper(Some(Assistant {
            screen: screen.clone(),
            commands: style.commands,
            least_width: style.width,
            width: AtomicUsize::new(style.width),
            typed: Mutex::default(),
        }));
        let editor = Self {
            lines,
            screen: screen.clone(),
            language: style.layout.language,
        };
        Ok(Some((editor, screen)))
    }

    /// The next line, or `None` when there will be none: the person has left, or the screen was closed.
    /// The prompt comes once the screen's prompt was set for the `turn`th time.
    pub(crate) fn next(&mut self, turn: u64) -> io::Result<Option<Entered>> {
        let mut begun = String::new();
        loop {
            let Some(prompt) = self.screen.await_turn(turn, !begun.is_empty()) else {
                return Ok(None);
            };
            let blank = self.lines.helper().map_or_else(String::new, |assistant| {
                assistant.fit(prompt);
                assistant.prompt(None)
            });
            let read = self.lines.readline_with_initial(&blank, (&begun, ""));
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
                // The editor gives up on the line, and on what it has read behind the key.
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    begun = self
                        .lines
                        .helper()
                        .map_or_else(String::new, Assistant::typed);
                    let mut notice = DisplayText::default();
                    notice.push_program(self.language.say(Phrase::Unreadable));
                    self.screen.show(&notice, None)?;
                }
                // The terminal has disconnected, which is an end of input as well.
                Err(error) if is_hang_up(&error) => {
                    thread::sleep(HANG_UP_WAIT);
                    self.screen.leave(false);
                    return Ok(None);
                }
                Err(error) => {
                    self.screen.leave(false);
                    return Err(failed(error));
                }
            }
        }
    }
}

/// Whether the terminal has disconnected: its calls return EIO.
fn is_hang_up(error: &ReadlineError) -> bool {
    let number = match error {
        ReadlineError::Io(error) => error.raw_os_error(),
        ReadlineError::Errno(error) => Some(*error as i32),
        _ => None,
    };
    number == Some(Errno::IO.raw_os_error())
}

fn failed(error: ReadlineError) -> io::Error {
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
    /// The line as far as it has been typed.
    typed: Mutex<String>,
}

impl Assistant {
    /// Makes room for a hundred times the clients there have been.
    fn fit(&self, prompt: Prompt) {
        if self.least_width > 0 {
            let needed = label(prompt.last_number).len() + 2;
            let width = needed.max(self.least_width);
            self.width.store(width, Ordering::Relaxed);
        }
        if let Ok(mut typed) = self.typed.lock() {
            typed.clear();
        }
    }

    fn prompt(&self, question: Option<Question>) -> String {
        let width = self.width.load(Ordering::Relaxed);
        if width == 0 {
            return MARK.to_owned();
        }
        let whom = question.map_or_else(String::new, |question| label(question.client()));
        format!("{whom:>width$} {MARK}")
    }

    fn typed(&self) -> String {
        self.typed
            .lock()
            .map_or_else(|_| String::new(), |typed| typed.clone())
    }
}

/// A client, as the operator knows it.
fn label(number: u64) -> String {
    format!("#{number}")
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, own: bool) -> Cow<'b, str> {
        let width = self.width.load(Ordering::Relaxed);
        let fits = |question: Question| label(question.client()).len() <= width;
        let (above, named) = self.screen.draw(own, fits);
        if own {
            Cow::Owned(above + &self.prompt(named))
        } else {
            Cow::Owned(above + prompt)
        }
    }

    fn highlight_char(&self, line: &str, _: usize, kind: CmdKind) -> bool {
        // Not to highlight anything: this is where the editor tells of every change to the line.
        self.screen.type_line(line, kind == CmdKind::ForcedRefresh);
        if let Ok(mut typed) = self.typed.lock() {
            line.clone_into(&mut typed);
        }
        false
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
