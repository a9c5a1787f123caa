//! The `echoloop` program: arguments in, a role of the library run, an exit code out.

mod args;
mod bench;
mod bounded;
mod connect;
mod console;
mod ending;
mod inputs;
#[cfg(target_os = "linux")]
mod lab;
mod last_term;
mod logger;
mod memory;
mod names;
mod output;
mod patient;
mod report;
mod room;
mod serve;
mod signalled;
mod signals;
mod socket_buffers;
mod study;
mod terminal;
mod traces;
mod units;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use echoloop::service::{Language, Phrase, Sanitizer};
use log::LevelFilter;

use args::{Cli, Command, Parsed};
use patient::Patient;

/// The arguments made no sense.
const USAGE: u8 = 2;

/// What the program was asked to do failed.
const FAILED: u8 = 1;

/// The exit code of a process ended by signal N is this and N.
const SIGNALLED: i32 = 128;

/// How long a last line on stderr may take: it may have no reader.
const LAST_LINE_WAIT: Duration = Duration::from_secs(1);

/// Why the program ends without having done what it was asked to.
#[derive(Debug)]
enum Failure {
    /// A mistake in the arguments, with its remedy.
    Usage(String),
    /// The system refused something, or lost it.
    Failed(String),
}

impl Failure {
    /// What the program could not do, and what the system said.
    fn cannot(what: &str, error: &io::Error) -> Self {
        Self::Failed(format!("cannot {what}: {error}"))
    }

    /// The same for a person, in their language.
    fn cannot_in(language: Language, what: &str, error: &io::Error) -> Self {
        match language {
            Language::English => Self::cannot(what, error),
            Language::Chinese => {
                let reason = language.reason(error);
                Self::Failed(language.say(Phrase::CannotRun(&reason)).to_string())
            }
        }
    }
}

fn main() -> ExitCode {
    if let Err(error) = signals::start() {
        return fail(FAILED, &format!("cannot watch for signals: {error}"));
    }
    std::panic::set_hook(Box::new(report_panic));
    let cli = match args::parse(std::env::args_os()) {
        Parsed::Run(cli) => cli,
        Parsed::Show(text) => return show(&text),
        Parsed::Wrong(line) => return fail(USAGE, &line),
    };
    // A server and a load start it themselves: until then their loops have one thread.
    if !matches!(cli.command, Command::Serve(_) | Command::Bench(_)) {
        signals::start_thread();
    }
    // An operator is told what happens, and not in the log's words as well.
    let attended = match &cli.command {
        Command::Serve(args) => args.console,
        // What its servers do is what is measured.
        #[cfg(target_os = "linux")]
        Command::Lab(_) => true,
        _ => false,
    };
    let usual = if attended {
        LevelFilter::Warn
    } else {
        LevelFilter::Info
    };
    logger::init(&cli.logging, usual);
    let outcome = run(cli);
    logger::finish();
    if let Some(screen) = terminal::Screen::shown() {
        screen.give_back_at_exit();
    }
    match outcome {
        Ok(code) => code,
        Err(Failure::Usage(line)) => fail(USAGE, &line),
        Err(Failure::Failed(line)) => fail(FAILED, &line),
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => bench::doctor(&args),
        Command::Connect(args) => connect::run(&args),
        #[cfg(target_os = "linux")]
        Command::Lab(args) => lab::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::TraceMerge(args) => traces::run(&args),
    }
}

/// Prints a result to stdout, however long its reader takes. A closed reader is no failure.
pub(crate) fn print(text: &str) -> io::Result<()> {
    offer(text).map(|_| ())
}

/// The same, for who has more to say: whether anybody reads it still.
pub(crate) fn offer(text: &str) -> io::Result<bool> {
    let mut out = Patient(io::stdout().lock());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

/// Prints what was asked for. A reader that has had enough (`| head`) is no failure.
fn show(text: &str) -> ExitCode {
    match print(text) {
        Err(error) => fail(FAILED, &format!("cannot write to stdout: {error}")),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn fail(code: u8, line: &str) -> ExitCode {
    // What was typed is repeated in the line, and must neither break it nor act on the terminal.
    let (mut sanitizer, mut shown) = (Sanitizer::new(), String::new());
    sanitizer.push(line.replace('\n', "\\n").as_bytes(), &mut shown);
    sanitizer.finish(&mut shown);
    // With nobody left to read the reason, the code still says it.
    let _ = write_last(format!("echoloop: {shown}\n"));
    ExitCode::from(code)
}

/// Writes to stderr, unless that takes too long.
fn write_last(text: String) -> io::Result<()> {
    let write = move || Patient(io::stderr().lock()).write_all(text.as_bytes());
    // Without another thread it may take long, until a signal ends the process.
    bounded::within_or(LAST_LINE_WAIT, write, |write| write())
}

/// As the standard library does, but a stderr without a reader does not block the thread that panics.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let trace = std::backtrace::Backtrace::capture();
    let trace = match trace.status() {
        std::backtrace::BacktraceStatus::Captured => format!("\n{trace}"),
        _ => String::new(),
    };
    let _ = write_last(format!("thread '{name}' {info}{trace}\n"));
}
