//! An operator at the server: lines typed, handed to the console; what it has to say, shown.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use echoloop::client::{Cut, Input, Output, Said};
use echoloop::reactor::{Event, Handler, Next, Reactor, Registry};
use echoloop::service::{COMMANDS, Console, Phrase};

use crate::Failure;
use crate::serve::Started;
use crate::signals::Signalled;
use crate::terminal::{self, Entered, Prompt, Screen};

/// How many columns of the prompt say whom it is for, at least: as many as mark a line of speech.
const PROMPT_WIDTH: usize = 4;

/// How long the end waits for what is left to be shown.
const END_WAIT: Duration = Duration::from_secs(1);

/// Serves until the operator, or a signal, says stop.
pub(crate) fn run(started: Started<Console>) -> Result<ExitCode, Failure> {
    let Started {
        mut reactor,
        mut server,
    } = started;
    let opened = terminal::open(PROMPT_WIDTH, &COMMANDS)
        .map_err(|error| Failure::cannot("use the terminal", &error))?;
    let (desk, screen) = match opened {
        Some((editor, screen)) => (Desk::at_terminal(editor, &screen, &reactor), Some(screen)),
        None => (Desk::between_pipes(&reactor), None),
    };
    let desk = desk.map_err(|error| Failure::cannot("attend the console", &error))?;
    if desk.leaving_stops {
        server.service_mut().tell(Phrase::Welcome);
    }
    let mut attended = Attended { server, desk };
    let run = reactor.run(&mut attended);
    let Attended { server, desk } = attended;
    let shown = desk.output.finish_within(END_WAIT);
    if let Some(screen) = screen {
        screen.close();
    }
    run.map_err(|error| Failure::cannot("wait for events", &error))?;
    // A terminal that takes nothing would keep the totals, and us with them.
    let totals = !matches!(shown, Err(error) if error.kind() == io::ErrorKind::TimedOut);
    Started { reactor, server }.finish(totals)
}

/// Where the operator sits.
struct Desk {
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
    /// The end of the lines is the end of the server.
    leaving_stops: bool,
    ended: bool,
}

/// Something to show.
struct Shown {
    text: String,
    prompt: Prompt,
    turn: u64,
}

impl Desk {
    fn at_terminal(
        mut editor: terminal::Editor,
        screen: &Screen,
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
        })
    }

    /// A script answers, or a log is kept. What is typed at a terminal has somebody who waits for a reaction;
    /// what comes from elsewhere is a list of answers, and whoever made it did not mean its end to be ours.
    fn between_pipes(reactor: &Reactor) -> io::Result<Self> {
        let typed = io::stdin().is_terminal();
        let mut lines = Cut::Lines.pieces(io::stdin());
        let next = move || {
            let line = lines()?;
            Ok(line.map(|line| Entered {
                line: String::from_utf8_lossy(&line).into_owned(),
                question: None,
            }))
        };
        let show = |shown: Shown| {
            let mut out = io::stdout().lock();
            out.write_all(shown.text.as_bytes())?;
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
        })
    }

    /// Hands what was typed to `console`. Returns whether that was the last.
    fn listen(&mut self, console: &mut Console) -> bool {
        loop {
            if let Some(line) = self.waiting.take() {
                if console.question().is_none() && !line.starts_with('/') {
                    self.waiting = Some(line);
                    return false;
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
                Said::Nothing => return false,
                Said::Ended => return !std::mem::replace(&mut self.ended, true),
                Said::Failed(error) => {
                    log::error!("cannot read what is typed: {error}");
                    return !std::mem::replace(&mut self.ended, true);
                }
            }
        }
    }

    /// Whether a line waits that has a message to answer.
    fn can_answer(&self, console: &Console) -> bool {
        self.waiting.is_some() && console.question().is_some()
    }

    /// Shows what `console` has to say, if the screen keeps up. Otherwise the console keeps some of it, and
    /// drops the rest.
    fn show(&mut self, console: &mut Console) {
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
}

/// A server with an operator.
struct Attended {
    server: Signalled<Console>,
    desk: Desk,
}

impl Handler for Attended {
    fn ready(&mut self, event: &Event) {
        self.server.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if self.desk.listen(self.server.service_mut()) {
            if self.desk.leaving_stops {
                self.server.service_mut().tell(Phrase::Stopping);
                self.server.drain(now);
            } else {
                self.server.service_mut().tell(Phrase::InputEnded);
            }
        }
        let next = self.server.turn(registry, now);
        let console = self.server.service_mut();
        self.desk.show(console);
        if next != Next::Stop && self.desk.can_answer(console) {
            return Next::until(Some(now), now);
        }
        next
    }
}
