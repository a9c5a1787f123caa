//! Log lines to stderr, without ever waiting for whoever reads it.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::Duration;

use echoloop::service::DisplayText;
use env_logger::{Builder, Target, WriteStyle};
use log::{Level, LevelFilter, Log, Record};
use rustix::fs::{Stat, fstat};

use crate::args::{LogFormat, Logging};
use crate::output::TextStream;
use crate::patient::Patient;
use crate::study::view::write_above;
use crate::terminal::Screen;

/// How many lines wait to be written before further ones are dropped, and counted.
const QUEUE: usize = 1024;

/// How long the end waits for lines to be written.
const END_WAIT: Duration = Duration::from_secs(1);

/// Where [`finish`] finds the lines that wait.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Logs answers to signals, at any level.
static ANSWERS: OnceLock<env_logger::Logger> = OnceLock::new();

/// Starts logging as `logging` says, which is from `usual` up unless it says otherwise; `RUST_LOG` overrides the
/// level.
pub(crate) fn init(logging: &Logging, usual: LevelFilter) {
    let lines = LINES.get_or_init(Lines::default);
    let mut answers = builder(logging, lines);
    let _ = ANSWERS.set(answers.filter_level(LevelFilter::Info).build());
    builder(logging, lines)
        .filter_level(level(logging, usual))
        .parse_default_env()
        // Its lines would be shown above its own prompt, which it would log.
        .filter_module("rustyline", LevelFilter::Warn)
        .init();
}

fn builder(logging: &Logging, lines: &Lines) -> Builder {
    let mut builder = Builder::new();
    builder
        .write_style(style())
        .format_target(false)
        .target(Target::Pipe(Box::new(lines.clone())));
    if logging.log_format == LogFormat::Json {
        builder.format(|out, record| {
            let line = serde_json::json!({
                "time": out.timestamp_millis().to_string(),
                "level": record.level().as_str(),
                "target": record.target(),
                "message": record.args().to_string(),
            });
            writeln!(out, "{line}")
        });
    }
    builder
}

/// Logs `message`, the answer to a signal that asks for it, whatever the level of the log is.
pub(crate) fn answer(message: fmt::Arguments<'_>) {
    if let Some(logger) = ANSWERS.get() {
        let mut record = Record::builder();
        record.level(Level::Info).target("echoloop::signal");
        logger.log(&record.args(message).build());
    }
}

/// From now on, or no longer, lines are written at once if that cannot block. For the time before a loop.
pub(crate) fn set_direct(is_direct: bool) {
    if let Some(lines) = LINES.get() {
        lines.lock().is_direct = is_direct;
    }
}

/// Waits until what was logged is written, but not for ever.
pub(crate) fn finish() {
    if let Some(lines) = LINES.get() {
        lines.finish();
    }
}

/// Colours, if it is a terminal that is written to. The logger can't see that: it writes to us.
fn style() -> WriteStyle {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_none_or(|term| term == "dumb");
    if io::stderr().is_terminal() && !unwanted {
        WriteStyle::Always
    } else {
        WriteStyle::Never
    }
}

fn level(logging: &Logging, usual: LevelFilter) -> LevelFilter {
    match (logging.quiet, logging.verbose) {
        (0, 0) => usual,
        (1, _) => LevelFilter::Warn,
        (2.., _) => LevelFilter::Error,
        (0, 1) => LevelFilter::Debug,
        (0, 2..) => LevelFilter::Trace,
    }
}

/// Lines on their way to a thread that writes them: it may have to wait, the loop must not. The thread
/// begins with the first line.
#[derive(Clone, Default)]
struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    dropped: u64,
    /// How many lines could not be written, such as to a full disk, and why the last one could not.
    unwritten: Option<(u64, io::Error)>,
    /// A line that has only begun.
    begun: Vec<u8>,
    /// The thread is there.
    started: bool,
    /// Until a loop runs, lines are written at once if that cannot block: see `signals` for what a
    /// second thread costs a server.
    is_direct: bool,
    /// The thread is writing what it has taken.
    writing: bool,
    /// The end has waited for it in vain.
    given_up: bool,
}

impl Queue {
    /// What is to be written next: the lines, and behind them how many were dropped.
    fn take(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.pop_front();
        if line.is_some() || self.dropped == 0 {
            return line;
        }
        let dropped = std::mem::take(&mut self.dropped);
        Some(format!("{dropped} log lines were dropped: nobody read them\n").into())
    }

    /// What could not be written is reported once writing succeeds again.
    fn note(&mut self, written: io::Result<()>) {
        match (written, self.unwritten.take()) {
            (Ok(()), None) => {}
            (Ok(()), Some((count, error))) => {
                let line = format!("{count} log lines could not be written: {error}\n");
                self.lines.push_front(line.into());
            }
            // The reader is gone, and with it the one to report this to.
            (Err(error), _) if error.kind() == ErrorKind::BrokenPipe => {}
            (Err(error), before) => {
                self.unwritten = Some((before.map_or(1, |(count, _)| count + 1), error));
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.writing
    }
}

impl Lines {
    /// Writes lines as they come, for ever.
    fn write_all(&self) {
        let mut queue = self.lock();
        loop {
            match queue.take() {
                Some(line) => {
                    queue.writing = true;
                    drop(queue);
                    let written = put(&line);
                    queue = self.lock();
                    queue.writing = false;
                    queue.note(written);
                    self.0.changed.notify_all();
                }
                None => {
                    let waited = self.0.changed.wait(queue);
                    queue = waited.unwrap_or_else(|error| error.into_inner());
                }
            }
        }
    }

    fn start(&self, queue: &mut Queue) {
        let lines = self.clone();
        let thread = thread::Builder::new().name("log".to_owned());
        queue.started = thread.spawn(move || lines.write_all()).is_ok();
    }

    fn finish(&self) {
        let queue = self.lock();
        if queue.given_up {
            return;
        }
        let busy = |queue: &mut Queue| queue.started && !queue.is_idle();
        let waited = self.0.changed.wait_timeout_while(queue, END_WAIT, busy);
        let (mut queue, waited) = waited.unwrap_or_else(|error| error.into_inner());
        queue.given_up = waited.timed_out();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        let queue = self.0.queue.lock();
        queue.unwrap_or_else(|error| error.into_inner())
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut queue = self.lock();
        queue.begun.extend_from_slice(bytes);
        if queue.begun.ends_with(b"\n") {
            let mut line = std::mem::take(&mut queue.begun);
            if queue.is_direct && !queue.started {
                match TextStream::Stderr.write_now(&line) {
                    Ok(count) if count < line.len() => drop(line.drain(..count)),
                    written => {
                        queue.note(written.map(|_| ()));
                        return Ok(bytes.len());
                    }
                }
            }
            if queue.lines.len() < QUEUE {
                queue.lines.push_back(line);
            } else {
                queue.dropped += 1;
            }
            if !queue.started {
                self.start(&mut queue);
            }
            self.0.changed.notify_all();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line to stderr: above the prompt, where there is one on the same terminal.
fn put(line: &[u8]) -> io::Result<()> {
    let write = || Patient(io::stderr().lock()).write_all(line);
    match Screen::shown() {
        Some(screen) if is_on_screen() => {
            let line = String::from_utf8_lossy(line);
            let mut text = DisplayText::default();
            text.push_program(line.trim_end_matches('\n'));
            screen.show(&text, None)
        }
        None if is_on_screen() => write_above(write),
        _ => write(),
    }
}

/// Whether stderr is the terminal that stdout is.
fn is_on_screen() -> bool {
    let device = |stat: Stat| stat.st_rdev;
    io::stderr().is_terminal()
        && fstat(io::stderr()).ok().map(device) == fstat(io::stdout()).ok().map(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_could_not_be_written_are_reported_when_writing_succeeds_again() {
        let mut queue = Queue::default();
        let full = || Err(ErrorKind::StorageFull.into());
        queue.note(Ok(()));
        queue.note(full());
        queue.note(full());
        assert_eq!(queue.take(), None);
        queue.note(Ok(()));
        let line = String::from_utf8(queue.take().unwrap()).unwrap();
        assert_eq!(line, "2 log lines could not be written: no storage space\n");
        queue.note(Ok(()));
        assert_eq!(queue.take(), None);
    }

    /// A report would not be read either.
    #[test]
    fn lines_for_a_reader_that_is_gone_are_not_counted() {
        let mut queue = Queue::default();
        queue.note(Err(ErrorKind::BrokenPipe.into()));
        queue.note(Ok(()));
        assert_eq!(queue.take(), None);
    }
}
