//! Where an operator sits: at a terminal, or between pipes.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use echoloop::Reactor;
use echoloop::client::{Cut, Input, Output, PIECE_MAX, Said};
use echoloop::service::{Console, DisplayText, Language, Phrase};

use crate::patient::Patient;
use crate::terminal::{self, Editor, Entered, Layout, Prompt, Screen};

/// How many lines are looked at in a turn before clients are served.
const LINES_PER_TURN: usize = 16;

/// What is typed, and where what the console has to say is shown.
pub(super) struct Desk {
    input: Input<Entered>,
    output: Output<Shown>,
    /// How many lines have been entered, and one: the turn of the prompt that comes then.
    turn: u64,
    /// The turn that was last shown.
    shown: u64,
    /// Lines say which message they answer. Otherwise each answers the message that is next.
    named: bool,
    /// A line that has no message to answer waits for one.
    patient: bool,
    waiting: Option<String>,
    leaving_stops: bool,
    ended: bool,
    language: Language,
}

/// Something to show.
struct Shown {
    text: DisplayText,
    prompt: Prompt,
    turn: u64,
}

impl Desk {
    pub(super) fn at_terminal(
        mut editor: Editor,
        screen: &Screen,
        language: Language,
        reactor: &Reactor,
    ) -> io::Result<Self> {
        let mut turn = 0;
        let next = move || {
            turn += 1;
            editor.next(turn)
        };
        let screen = screen.clone();
        let show = move |shown: Shown| screen.show(&shown.text, Some((shown.prompt, shown.turn)));
        Ok(Self {
            input: Input::from_source(next, reactor.waker())?,
            output: Output::to_sink(show, reactor.waker())?,
            turn: 1,
            shown: 0,
            named: true,
            patient: false,
            waiting: None,
            leaving_stops: true,
            ended: false,
            language,
        })
    }

    /// A script answers, or a log is kept. What is typed at a terminal has somebody who waits for a reaction;
    /// what comes from elsewhere is a list of answers, and whoever made it did not mean its end to be ours.
    pub(super) fn between_pipes(reactor: &Reactor, layout: Layout) -> io::Result<Self> {
        let typed = io::stdin().is_terminal();
        let at_terminal = io::stdout().is_terminal();
        let mut lines = Cut::Lines.pieces(Patient(io::stdin()));
        let language = layout.language;
        let next = move || {
            let line = lines()?.map(answer).transpose();
            line.map_err(|phrase| {
                io::Error::new(ErrorKind::InvalidData, language.say(phrase).to_string())
            })
        };
        let show = move |shown: Shown| {
            let text = if at_terminal {
                layout.rows(&shown.text, terminal::columns(), false)
            } else {
                shown.text.to_string()
            };
            let mut out = Patient(io::stdout().lock());
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        Ok(Self {
            input: Input::from_source(next, reactor.waker())?,
            output: Output::to_sink(show, reactor.waker())?,
            turn: 1,
            shown: 0,
            named: false,
            patient: !typed,
            waiting: None,
            leaving_stops: typed,
            ended: false,
            language,
        })
    }

    /// Whether the end of the lines is that of the server.
    pub(super) const fn leaving_stops(&self) -> bool {
        self.leaving_stops
    }

    /// Hands what was typed to `console`, up to so many lines. Returns whether there may be more at once, and
    /// whether that was the last.
    pub(super) fn listen(&mut self, console: &mut Console) -> (bool, bool) {
        for _ in 0..LINES_PER_TURN {
            if let Some(line) = self.waiting.take() {
                if console.question().is_none() && Console::needs_question(&line) {
                    self.waiting = Some(line);
                    return (false, false);
                }
                console.say(&line, console.question());
            }
            match self.input.next() {
                Said::Piece(Entered { line, question }) => {
                    self.turn += 1;
                    if self.patient {
                        self.waiting = Some(line);
                    } else if self.named {
                        console.say(&line, question);
                    } else {
                        console.say(&line, console.question());
                    }
                }
                Said::Nothing => return (false, false),
                Said::Ended => return (false, !std::mem::replace(&mut self.ended, true)),
                Said::Failed(error) => {
                    log::error!("{}", failed_input(self.language, &error));
                    return (false, !std::mem::replace(&mut self.ended, true));
                }
            }
        }
        (true, false)
    }

    /// Whether a line waits that has a message to answer.
    pub(super) fn can_answer(&self, console: &Console) -> bool {
        self.waiting.is_some() && console.question().is_some()
    }

    /// Shows what `console` has to say, if the screen keeps up. Otherwise the console keeps some of it, and
    /// drops the rest.
    pub(super) fn show(&mut self, console: &mut Console) {
        if !self.output.has_room() {
            return;
        }
        let text = console.take_text();
        if text.is_none() && self.shown == self.turn {
            return;
        }
        self.shown = self.turn;
        self.output.push(Shown {
            text: text.unwrap_or_default(),
            prompt: Prompt {
                question: console.question(),
                last_number: console.last_number(),
            },
            turn: self.turn,
        });
    }

    /// Shows what is left, and then nothing more. Returns whether that is done.
    pub(super) fn wind_up(&mut self, console: &mut Console) -> bool {
        self.show(console);
        if self.output.has_room() {
            self.output.close();
        }
        self.output.is_closed()
    }

    /// Whether everything was shown. A reader who has had enough has seen everything.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.output.finish_within(Duration::ZERO) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }
}

/// Why the input has ended early.
fn failed_input(language: Language, error: &io::Error) -> String {
    // Errors of our own are sentences in the language already.
    let why = match error.kind() {
        ErrorKind::InvalidData => error.to_string(),
        _ => language.reason(error),
    };
    language.say(Phrase::InputFailed(&why)).to_string()
}

/// A line of a script.
fn answer(mut line: Vec<u8>) -> Result<Entered, Phrase<'static>> {
    // The rest of it would be taken for another line, and for the reply to another message.
    if line.len() >= PIECE_MAX {
        return Err(Phrase::LineTooLong);
    }
    line.pop_if(|last| *last == b'\r');
    let line = String::from_utf8(line).map_err(|_| Phrase::LineNotText)?;
    Ok(Entered {
        line,
        question: None,
    })
}
