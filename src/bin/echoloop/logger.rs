//! Log lines to stderr, without ever waiting for whoever reads it.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use env_logger::{Builder, Target, WriteStyle};
use log::LevelFilter;

use crate::args::{LogFormat, Logging};
use crate::terminal::Screen;

/// How many lines wait to be written before further ones are dropped, and counted.
const QUEUE: usize = 1024;

/// How long the end waits for lines to be written.
const END_WAIT: Duration = Duration::from_secs(1);

/// Where [`finish`] finds the lines that wait.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts logging as `logging` says; `RUST_LOG` overrides the level.
pub(crate) fn init(logging: &Logging) {
    let lines = LINES.get_or_init(Lines::default);
    let mut builder = Builder::new();
    builder
        .filter_level(level(logging))
        .parse_default_env()
        // Its lines would be shown above its own prompt, which it would log.
        .filter_module("rustyline", LevelFilter::Warn)
        .format_target(false)
        .write_style(style())
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
    builder.init();
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

fn level(logging: &Logging) -> LevelFilter {
    match (logging.quiet, logging.verbose) {
        (0, 0) => LevelFilter::Info,
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
    sender: OnceLock<Option<SyncSender<Entry>>>,
    /// A line that has only begun.
    begun: Mutex<Vec<u8>>,
    dropped: AtomicU64,
}

enum Entry {
    Line(Vec<u8>),
    /// Everything before it has been written when this is dropped.
    End(mpsc::Sender<()>),
}

impl Lines {
    fn sender(&self) -> Option<&SyncSender<Entry>> {
        let start = || {
            let (sender, entries) = mpsc::sync_channel(QUEUE);
            let shared = self.0.clone();
            let run = move || {
                for entry in entries {
                    match entry {
                        Entry::Line(line) => put(&line),
                        Entry::End(ended) => drop(ended),
                    }
                    let dropped = shared.dropped.swap(0, Ordering::Relaxed);
                    if dropped > 0 {
                        put(
                            format!("{dropped} log lines were dropped: nobody read them\n")
                                .as_bytes(),
                        );
                    }
                }
            };
            let thread = thread::Builder::new().name("log".to_owned()).spawn(run);
            thread.is_ok().then_some(sender)
        };
        self.0.sender.get_or_init(start).as_ref()
    }

    fn finish(&self) {
        // If nothing was logged, there is nothing to wait for.
        let Some(Some(sender)) = self.0.sender.get() else {
            return;
        };
        let (ended, end) = mpsc::channel();
        if sender.try_send(Entry::End(ended)).is_ok() {
            let _ = end.recv_timeout(END_WAIT);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut begun = self
            .0
            .begun
            .lock()
            .unwrap_or_else(|error| error.into_inner());
        begun.extend_from_slice(bytes);
        if begun.ends_with(b"\n") {
            let line = Entry::Line(std::mem::take(&mut begun));
            let sent = self.sender().map(|sender| sender.try_send(line));
            if !matches!(sent, Some(Ok(()))) {
                self.0.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line to stderr: above the prompt, where there is one on the same terminal.
fn put(line: &[u8]) {
    // With nobody to read it, there is nobody to tell.
    let _ = match Screen::shown() {
        Some(screen) if io::stderr().is_terminal() => {
            screen.show(&String::from_utf8_lossy(line), None)
        }
        _ => io::stderr().lock().write_all(line),
    };
}
