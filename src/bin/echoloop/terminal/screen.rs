//! What is shown while somebody types.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, TryLockError};
use std::thread;
use std::time::Duration;

use echoloop::service::{DisplayText, Question};
use rustix::process::getpgrp;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp,
    tcsetattr,
};
use rustyline::ExternalPrinter;

use super::board::{Board, Prompt};
use super::columns;
use super::layout::{AUTO_WRAP_ON, Layout};
use crate::bounded;
use crate::patient::Patient;

/// Makes the editor draw its prompt. It puts a line feed behind whatever it is given to print, so this goes
/// up first: nothing is to be seen of it.
const NUDGE: &str = "\x1b[A\n";

/// Ends the mode in which a terminal marks what is pasted, which the editor begins.
const PASTE_MODE_OFF: &str = "\x1b[?2004l";

/// How long the end waits for the terminal. One that stands still must not keep the program from ending.
const END_WAIT: Duration = Duration::from_secs(1);

/// The screen that log lines must not write across, if there is one.
static SHOWN: OnceLock<Screen> = OnceLock::new();

/// The screen of a terminal, shared by who types and who shows. Cheap to clone.
///
/// While a prompt is up, text reaches the terminal with the next drawing of the prompt, so text and prompt
/// can't contradict each other. A search (Ctrl-R) has it wait until a key is pressed.
///
/// Nothing is written with the state locked: whoever looks at it never waits for the terminal.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The person has asked to leave at once.
    interrupted: AtomicBool,
    /// The terminal as it was found.
    found: Termios,
    layout: Layout,
}

struct State {
    stage: Stage,
    board: Board,
    /// Somebody is writing to the terminal, other than by the prompt.
    writing: bool,
    /// How many texts were posted to the board, and how many of them have been shown.
    posted: u64,
    shown: u64,
    /// The prompt is to be drawn although no key was pressed.
    nudged: bool,
    /// How often an editor that counts its prompts may have drawn one.
    turn: u64,
    /// The terminal is ours: keys are not echoed, and none is lost between two prompts.
    held: bool,
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
    /// There: text is shown with the prompt.
    Up,
    /// It will not come again.
    Gone,
}

impl Screen {
    /// The screen of standard output, with an editor that is not there yet.
    pub(super) fn new(
        mut printer: impl ExternalPrinter + Send + 'static,
        layout: Layout,
    ) -> io::Result<Self> {
        let state = State {
            stage: Stage::Away,
            board: Board::default(),
            writing: false,
            posted: 0,
            shown: 0,
            nudged: false,
            turn: 0,
            held: false,
            closing: false,
        };
        let screen = Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            interrupted: AtomicBool::new(false),
            found: tcgetattr(io::stdin())?,
            layout,
        }));
        // The editor takes what it is given to print when it likes, and one piece at a time. Nobody else
        // must have to wait for that.
        let nudging = screen.clone();
        let nudge = move || {
            while nudging.is_nudged() {
                let _ = printer.print(NUDGE.to_owned());
            }
        };
        thread::Builder::new()
            .name("prompt".to_owned())
            .spawn(nudge)?;
        let _ = SHOWN.set(screen.clone());
        Ok(screen)
    }

    /// Waits until the prompt that is up is to be drawn. `false` if none will be any more.
    fn is_nudged(&self) -> bool {
        let mut state = self.lock();
        while !(state.nudged && state.stage == Stage::Up) && state.stage != Stage::Gone {
            state = self.wait(state);
        }
        state.nudged = false;
        state.stage != Stage::Gone
    }

    /// The screen there is, if any.
    pub(crate) fn shown() -> Option<&'static Self> {
        SHOWN.get()
    }

    /// Shows `text` above the prompt, which is to be that of this turn from
    /// then on. Waits for the terminal.
    pub(crate) fn show(&self, text: &DisplayText, prompt: Option<(Prompt, u64)>) -> io::Result<()> {
        let text = self.0.layout.rows(text, columns(), true);
        let mut state = self.lock();
        while state.stage == Stage::Coming || state.writing {
            state = self.wait(state);
        }
        if state.stage == Stage::Up {
            if let Some((prompt, turn)) = prompt {
                state.board.set_prompt(prompt);
                state.turn = turn;
            }
            self.post(state, &text);
            return Ok(());
        }
        state.writing = true;
        drop(state);
        let written = write(&text);
        let mut state = self.lock();
        state.writing = false;
        if let Some((prompt, turn)) = prompt {
            state.board.set_prompt(prompt);
            state.turn = turn;
        }
        self.0.changed.notify_all();
        written
    }

    /// Has `text` drawn with the prompt that is up, and waits until that has happened.
    fn post(&self, mut state: MutexGuard<'_, State>, text: &str) {
        if text.is_empty() {
            return;
        }
        state.board.post(text);
        state.posted += 1;
        let posted = state.posted;
        state.nudged = true;
        self.0.changed.notify_all();
        while state.stage == Stage::Up && state.shown < posted {
            state = self.wait(state);
        }
    }

    /// Whether the person has asked to leave at once.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::Acquire)
    }

    /// Takes the terminal again, after the program was stopped and continued: others have used it.
    pub(crate) fn resume(&self) {
        let mut state = self.lock();
        state.nudged = true;
        self.0.changed.notify_all();
        if state.held {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &raw(&self.0.found));
        }
    }

    /// Gives the terminal back, and says a last thing. Waits for the terminal, but not for ever.
    pub(crate) fn end(&self, text: &DisplayText) {
        self.close();
        write_within(END_WAIT, self.0.layout.rows(text, columns(), true));
    }

    /// Gives the terminal back as it was found, with everything shown that was to be. Waits for it, but not
    /// for ever; the editor is not waited for, it may be waiting for a key.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        self.0.changed.notify_all();
        let coming = |state: &mut State| state.stage == Stage::Coming;
        let waited = self.0.changed.wait_timeout_while(state, END_WAIT, coming);
        state = waited.unwrap_or_else(|error| error.into_inner()).0;
        let was_up = matches!(state.stage, Stage::Coming | Stage::Up);
        state.stage = Stage::Gone;
        let (rest, busy) = (state.board.take_pending(), state.writing);
        let held = std::mem::take(&mut state.held);
        self.0.changed.notify_all();
        drop(state);
        if held {
            self.give_back();
        }
        if (was_up || !rest.is_empty()) && !busy {
            let left = if was_up { "\n" } else { "" };
            write_within(
                END_WAIT,
                format!("{PASTE_MODE_OFF}{AUTO_WRAP_ON}{left}{rest}"),
            );
        }
        if held {
            // The thread of the editor may have begun another line meanwhile.
            self.give_back();
        }
    }

    /// Waits until the prompt of this turn may appear: what it is to say. `None` if none may any more. With `begun`
    /// it goes on with the line of the one before.
    pub(super) fn await_turn(&self, turn: u64, begun: bool) -> Option<Prompt> {
        let mut state = self.lock();
        while (state.turn < turn || state.writing) && !state.closing {
            state = self.wait(state);
        }
        if state.closing {
            return None;
        }
        if !state.held {
            state.held = true;
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &raw(&self.0.found));
        }
        state.stage = Stage::Coming;
        state.board.begin(begun);
        Some(state.board.prompt())
    }

    /// So much has been typed; with `entering`, by the key that enters it.
    pub(super) fn type_line(&self, line: &str, entering: bool) {
        self.lock().board.type_line(line, entering);
    }

    /// A prompt is being drawn, the editor's own or, during a search, another. Returns what is to be shown
    /// above it, and the message that it names.
    pub(super) fn draw(
        &self,
        own: bool,
        fits: impl FnOnce(Question) -> bool,
    ) -> (String, Option<Question>) {
        let mut state = self.lock();
        if state.stage == Stage::Coming {
            state.stage = Stage::Up;
        }
        let named = if own {
            state.board.draw(fits)
        } else {
            state.board.named()
        };
        state.shown = state.posted;
        self.0.changed.notify_all();
        (state.board.take_pending(), named)
    }

    /// The prompt is gone, and what was to appear above it is shown. Returns the message that it named.
    pub(super) fn entered(&self) -> Option<Question> {
        let mut state = self.lock();
        if state.stage != Stage::Gone {
            state.stage = Stage::Away;
        }
        let (rest, named) = (state.board.take_pending(), state.board.named());
        state.shown = state.posted;
        state.writing = !rest.is_empty();
        self.0.changed.notify_all();
        if state.writing {
            drop(state);
            let _ = write(&rest);
            state = self.lock();
            state.writing = false;
            self.0.changed.notify_all();
        }
        let is_gone = state.stage == Stage::Gone;
        drop(state);
        if is_gone {
            // The editor has set the modes that it had found, which are those between two prompts.
            self.give_back_at_exit();
        }
        named
    }

    /// No prompt will appear again: the terminal is given back.
    pub(crate) fn leave(&self, interrupted: bool) {
        let mut state = self.lock();
        state.stage = Stage::Gone;
        let held = std::mem::take(&mut state.held);
        self.0.interrupted.store(interrupted, Ordering::Release);
        self.0.changed.notify_all();
        drop(state);
        if held {
            self.give_back();
        }
    }

    /// Gives the modes of the terminal back because the process is about to end by a signal. Waits
    /// for no other thread. Returns whether the terminal is to be reset as well.
    pub(crate) fn abandon(&self) -> bool {
        let state = match self.0.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let held = state.is_none_or(|mut state| std::mem::take(&mut state.held));
        // In the background, the terminal is another program's, and changing it would stop this one.
        let is_ours = held && tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
        if is_ours {
            self.give_back();
        }
        is_ours
    }

    /// Ends the modes of the terminal that are set by what is written to it. Does not use the lock
    /// of stdout: another thread may hold it and be blocked. Writing to a stopped terminal blocks,
    /// so this is the last thing that is done.
    pub(crate) fn reset_at_exit(&self) {
        let reset = format!("{PASTE_MODE_OFF}{AUTO_WRAP_ON}\n");
        let _ = rustix::io::write(io::stdout(), reset.as_bytes());
    }

    /// Gives the modes of the terminal back again: the thread of the editor may have begun another line
    /// since. For the moment before the process ends.
    pub(crate) fn give_back_at_exit(&self) {
        if tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp()) {
            self.give_back();
        }
    }

    fn give_back(&self) {
        // What can be done, is: there is nobody to tell.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0.found);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can leave the state half changed.
        let state = self.0.state.lock();
        state.unwrap_or_else(|error| error.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.0.changed.wait(state);
        waited.unwrap_or_else(|error| error.into_inner())
    }
}

/// The modes between two prompts: those that the editor sets for its own, because with the others the kernel would
/// cut a long line, take Ctrl-D and Ctrl-S for itself, and echo what is typed ahead. But nobody reads keys then, so
/// Ctrl-C and Ctrl-Z are left to the kernel, which makes signals of them and, told so, keeps what was typed before.
fn raw(found: &Termios) -> Termios {
    let mut modes = found.clone();
    modes.input_modes -= InputModes::BRKINT
        | InputModes::ICRNL
        | InputModes::INPCK
        | InputModes::ISTRIP
        | InputModes::IXON;
    modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN;
    modes.local_modes |= LocalModes::ISIG | LocalModes::NOFLSH;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    modes
}

/// Writes `text`, if the terminal takes it in time.
fn write_within(time: Duration, text: String) {
    // A terminal that does not take it gets no other chance.
    let _ = bounded::within_or(time, move || write(&text), |write| write());
}

fn write(text: &str) -> io::Result<()> {
    let mut out = Patient(io::stdout().lock());
    out.write_all(text.as_bytes())?;
    out.flush()
}
