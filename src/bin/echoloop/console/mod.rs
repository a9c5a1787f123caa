//! An operator at the server: lines typed, handed to the console; what it has to say, shown.

mod desk;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use echoloop::reactor::{Event, Handler, Next, Registry};
use echoloop::service::{COMMANDS, Console, Language, Phrase};

use self::desk::Desk;
use crate::room::Full;
use crate::serve::Started;
use crate::signalled::Signalled;
use crate::terminal::{self, Closing, Layout, Screen, Style};
use crate::{FAILED, Failure, signals};

/// How many columns of the prompt say whom it is for, at least: as many as mark a line of speech.
const PROMPT_WIDTH: usize = 4;

/// What further rows of a client's message begin with: no client has this number.
const ROW_MARK: &str = "     | ";

/// How many rows of the terminal one message takes. A message of `--recv-size` bytes could take as many
/// rows, and each client can have 16 messages on the screen.
const MESSAGE_ROWS_MAX: usize = 20;

/// How long the end waits for a terminal to show what is left. One that stands still must not keep the
/// program from ending.
const TERMINAL_WAIT: Duration = Duration::from_secs(1);

/// The same for a pipe: its reader wants all of it, but may be stuck.
const PIPE_WAIT: Duration = Duration::from_secs(5);

/// Serves until the operator, or a signal, stops the server. The notice `full` is given when there
/// is no room for more clients.
pub(crate) fn run(
    mut started: Started<Console>,
    language: Language,
    full: Option<Full>,
) -> Result<ExitCode, Failure> {
    let layout = Layout {
        mark: ROW_MARK,
        rows_max: MESSAGE_ROWS_MAX,
        language,
    };
    let style = Style {
        width: PROMPT_WIDTH,
        commands: &COMMANDS,
        layout,
    };
    terminal::warn_of_unknown_width();
    // It gives the terminal back.
    signals::start_thread();
    let opened = terminal::open(style)
        .map_err(|error| Failure::cannot_in(language, "use the terminal", &error))?;
    let (desk, screen) = match opened {
        Some((editor, screen)) => {
            let desk = Desk::at_terminal(editor, &screen, language, &started.reactor);
            (desk, Some(screen))
        }
        None => (Desk::between_pipes(&started.reactor, layout), None),
    };
    let _closing = screen.clone().map(Closing);
    let desk = desk.map_err(|error| Failure::cannot_in(language, "attend the console", &error))?;
    if desk.leaving_stops() {
        started.server.service_mut().tell(Phrase::Welcome);
    }
    started.announce(screen.is_some(), language)?;
    let Started {
        mut reactor,
        server,
        text,
    } = started;
    let mut attended = Attended {
        server,
        desk,
        screen,
        full,
        over: None,
    };
    reactor
        .run(&mut attended)
        .map_err(|error| Failure::cannot_in(language, "wait for events", &error))?;
    let Attended {
        mut server,
        desk,
        screen,
        ..
    } = attended;
    server.detach();
    let shown = desk.finish();
    let started = Started {
        reactor,
        server,
        text,
    };
    let code = started.finish(language)?;
    match shown {
        // A terminal that takes nothing has lost nothing: its operator sees that it is stopped.
        Err(error) if code == ExitCode::SUCCESS && !(screen.is_some() && is_stuck(&error)) => {
            let why = language.reason(&error);
            log::error!("{}", language.say(Phrase::NotAllShown(&why)));
            Ok(ExitCode::from(FAILED))
        }
        _ => Ok(code),
    }
}

fn is_stuck(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

/// A server with an operator.
struct Attended {
    server: Signalled<Console>,
    desk: Desk,
    screen: Option<Screen>,
    /// Why there is no room for more clients, until the operator has been notified of it.
    full: Option<Full>,
    /// When the wait for the last output ends, once the server has stopped.
    over: Option<Instant>,
}

impl Attended {
    /// Hands what was typed to the console. Returns whether there may be more at once.
    fn listen(&mut self, now: Instant) -> bool {
        let (more, ended) = self.desk.listen(self.server.service_mut());
        if ended {
            if self.desk.leaving_stops() {
                self.server.drain(now);
            } else {
                self.server.service_mut().resign();
                self.server.service_mut().tell(Phrase::InputEnded);
            }
        }
        more
    }

    /// Once there is no room for more clients, the operator learns why: it is not `--max-conns`.
    /// More clients are rejected, wait or replace others (`--over-limit`).
    fn explain_limit(&mut self) {
        if let Some(full) = self.full
            && self.server.server().connected() >= full.clients
        {
            self.full = None;
            self.server.service_mut().tell(full.why);
        }
    }

    /// The server has stopped. What it had to say is still shown.
    fn wind_up(&mut self, registry: &Registry, now: Instant) -> Next {
        let until = *self.over.get_or_insert_with(|| match &self.screen {
            Some(screen) => {
                // No prompt is in the way any more.
                screen.close();
                now + TERMINAL_WAIT
            }
            None => now + PIPE_WAIT,
        });
        let shown = self.desk.wind_up(self.server.service_mut());
        if shown || self.server.is_signalled_again(registry) || until <= now {
            return Next::Stop;
        }
        Next::until(Some(until), now)
    }
}

impl Handler for Attended {
    fn ready(&mut self, event: &Event) {
        self.server.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if self.over.is_some() {
            return self.wind_up(registry, now);
        }
        let more = self.listen(now);
        let next = self.server.turn(registry, now);
        if self.server.take_continued()
            && let Some(screen) = &self.screen
        {
            screen.resume();
        }
        if next == Next::Stop {
            return self.wind_up(registry, now);
        }
        self.explain_limit();
        let console = self.server.service_mut();
        self.desk.show(console);
        if more || self.desk.can_answer(console) {
            return Next::until(Some(now), now);
        }
        next
    }
}
