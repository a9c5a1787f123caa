//! What is shown while somebody types.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use echoloop::service::Question;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::ExternalPrinter;

/// Ends the mode in which a terminal marks what is pasted, which the editor begins.
const PASTE_MODE_OFF: &str = "\x1b[?2004l";

/// How long the end waits for the terminal. One that is stopped must not keep the program from ending.
const END_WAIT: Duration = Duration::from_secs(1);

/// The screen that log lines must not write across, if there is one.
static SHOWN: OnceLock<Screen> = OnceLock::new();

/// What the prompt says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The message that a line would answer.
    pub(crate) question: Option<Question>,
    /// The highest number that a client has, for the width of the next prompt.
    pub(crate) last_number: u64,
}

/// The screen of a terminal, shared by who types and who shows. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The person has asked to leave at once. Apart from the state, which is locked while text is shown.
    interrupted: AtomicBool,
    printer: Mutex<Box<dyn ExternalPrinter + Send>>,
    /// The terminal as it was found.
    found: Termios,
}

struct State {
    stage: Stage,
    prompt: Prompt,
    /// The message that the prompt named when it was last drawn.
    named: Option<Question>,
    /// How often an editor that counts its prompts may have drawn one.
    turn: u64,
    /// How often the prompt has been drawn.
    drawn: u64,
    /// No prompt is to appear any more.
    closing: bool,
}

/// Where the editor is. It owns the terminal while the prompt is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not there: text is written as it is.
    Away,
    /// About to draw the prompt.
    Coming,
    /// There: text is handed to it, which draws the prompt anew below.
    Up,
    /// It will not come again.
    Gone,
}

impl Screen {
    /// The screen of standard output, with an editor that is not there yet.
    pub(super) fn new(printer: impl ExternalPrinter + Send + 'static) -> io::Result<Self> {
        let shared = Shared {
            state: Mutex::new(State {
                stage: Stage::Away,
                prompt: Prompt::default(),
                named: None,
                turn: 0,
                drawn: 0,
                closing: false,
            }),
            interrupted: AtomicBool::new(false),
            changed: Condvar::new(),
            printer: Mutex::new(Box::new(printer)),
            found: tcgetattr(io::stdin())?,
        };
        let screen = Self(Arc::new(shared));
        let _ = SHOWN.set(screen.clone());
        Ok(screen)
    }

    /// The screen there is, if any.
    pub(crate) fn shown() -> Option<&'static Self> {
        SHOWN.get()
    }

    /// Shows `text`, which is whole lines or nothing, above the prompt, which is to be that of this turn from
    /// then on. Waits for the terminal.
    pub(crate) fn show(&self, text: &str, prompt: Option<(Prompt, u64)>) -> io::Result<()> {
        let mut state = self.lock();
        while state.stage == Stage::Coming {
            state = self.wait(state);
        }
        let up = state.stage == Stage::Up;
        let written = if up { Ok(()) } else { write(text) };
        if let Some((prompt, turn)) = prompt {
            (state.prompt, state.turn) = (prompt, turn);
            self.0.changed.notify_all();
        }
        if !up || text.is_empty() {
            return written;
        }
        let drawn = state.drawn;
        drop(state);
        let handed = self
            .0
            .printer
            .lock()
            .map(|mut printer| printer.print(text.to_owned()));
        let mut state = self.lock();
        // The prompt is drawn again below it. If a line was entered first, it is shown with the next prompt.
        while state.stage == Stage::Up && state.drawn == drawn {
            state = self.wait(state);
        }
        let lost = state.stage == Stage::Gone && state.drawn == drawn;
        if lost || !matches!(handed, Ok(Ok(()))) {
            return write(text);
        }
        Ok(())
    }

    /// Whether the person has asked to leave at once.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::Acquire)
    }

    /// Gives the terminal back, and says a last thing.
    pub(crate) fn end(&self, text: &str) {
        self.close();
        let _ = write(&format!("{text}\n"));
    }

    /// Gives the terminal back as it was found. The editor is not waited for: it may be waiting for a key.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.0.changed.notify_all();
        if state.stage == Stage::Coming {
            let coming = |state: &mut State| state.stage == Stage::Coming;
            let waited = self.0.changed.wait_timeout_while(state, END_WAIT, coming);
            state = waited.unwrap_or_else(|error| error.into_inner()).0;
        }
        let up = state.stage == Stage::Up;
        state.stage = Stage::Gone;
        self.0.changed.notify_all();
        drop(state);
        if up {
            // What can be done, is: there is nobody to tell.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0.found);
            write_within(END_WAIT);
        }
    }

    /// Waits until the prompt of this turn may appear: what it says. `None` if none may any more.
    pub(super) fn await_turn(&self, turn: u64) -> Option<Prompt> {
        let mut state = self.lock();
        while state.turn < turn && !state.closing {
            state = self.wait(state);
        }
        if state.closing {
            return None;
        }
        state.stage = Stage::Coming;
        Some(state.prompt.clone())
    }

    /// The prompt is being drawn: what it is to say.
    pub(super) fn draw(&self) -> Option<Question> {
        let mut state = self.lock();
        if state.stage == Stage::Coming {
            state.stage = Stage::Up;
        }
        state.drawn += 1;
        state.named = state.prompt.question;
        self.0.changed.notify_all();
        state.named
    }

    /// A line was entered, at a prompt that named this message.
    pub(super) fn entered(&self) -> Option<Question> {
        let mut state = self.lock();
        if state.stage != Stage::Gone {
            state.stage = Stage::Away;
        }
        self.0.changed.notify_all();
        state.named
    }

    /// No prompt will appear again.
    pub(super) fn leave(&self, interrupted: bool) {
        let mut state = self.lock();
        state.stage = Stage::Gone;
        self.0.interrupted.store(interrupted, Ordering::Release);
        self.0.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        self.0
            .state
            .lock()
            .unwrap_or_else(|error| error.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.0.changed.wait(state);
        waited.unwrap_or_else(|error| error.into_inner())
    }
}

/// Leaves the line of the prompt, if the terminal takes that in time.
fn write_within(time: Duration) {
    let (sender, written) = mpsc::channel();
    let write = move || {
        let _ = write(&format!("{PASTE_MODE_OFF}\n"));
        let _ = sender.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = written.recv_timeout(time);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
