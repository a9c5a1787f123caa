//! Output files: checked before anything is opened, and replaced only by something complete.
//!
//! * `-` is standard output, and so is a path that leads to the same file.
//! * A regular file is written under a temporary name in the same directory and renamed. Its mode and
//!   owner are kept, and a symbolic link stays a link. Until then the old file is untouched.
//! * A FIFO, a device or an inherited descriptor (`/dev/fd/3`) is opened and written in place.
//!
//! A result is written as a whole at the end ([`Opened::write`]). A stream ([`Sink`]) replaces the old
//! file when its first complete record is flushed. From then on the file grows, so a run that is killed
//! leaves what it has written so far. A run that ends with a report although a stream has no record
//! writes its header if something was measured, and otherwise keeps the old file.
//!
//! A file that this process may write but not replace is overwritten in place, at the same moment.
//! [`temporary`] has the cases.

mod place;
mod sink;
mod temporary;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use echoloop::service::Language;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::termios::tcgetwinsize;

use self::place::{Identity, Place};
pub(crate) use self::sink::Sink;
pub(crate) use self::temporary::remove_temporary_files;
use crate::patient::Patient;
use crate::{Failure, bounded, print};

/// A pipe is writable if it has room for this many bytes (pipe(7), poll(2)).
const PIPE_BUF: usize = 4096;

/// Where an output option leads. It was checked, and nothing was opened or created.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    option: &'static str,
    path: PathBuf,
    place: Place,
    identity: Identity,
}

impl Destination {
    /// Checks that `path`, the value of `option`, can be written.
    pub(crate) fn check(option: &'static str, path: &Path) -> Result<Self, Failure> {
        let (place, identity) = place::find(path)
            .map_err(|why| Failure::Usage(format!("{option} {}: {why}", path.display())))?;
        Ok(Self {
            option,
            path: path.to_owned(),
            place,
            identity,
        })
    }

    /// Checks an option that may not be given.
    pub(crate) fn check_option(
        option: &'static str,
        path: Option<&PathBuf>,
    ) -> Result<Option<Self>, Failure> {
        path.map(|path| Self::check(option, path)).transpose()
    }

    /// Opens a FIFO or a device. A regular file is opened later, when there is something to write.
    ///
    /// # Errors
    ///
    /// A usage error for a FIFO without a reader, for a device that can't be opened, and for a file
    /// that can't be created.
    pub(crate) fn open(&self) -> Result<Opened, Failure> {
        let sink = Sink::open(&self.place).map_err(|error| {
            let is_fifo = fs::metadata(&self.path).is_ok_and(|file| file.file_type().is_fifo());
            let why = if is_fifo && error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) {
                "no process reads this FIFO; start its reader first".to_owned()
            } else {
                format!("{error}; give another path")
            };
            Failure::Usage(format!("{self}: {why}"))
        })?;
        Ok(Opened {
            destination: self.clone(),
            sink,
        })
    }

    /// The failure that is reported when writing returns `error`.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        let why = match error.kind() {
            ErrorKind::TimedOut => "it does not take the rest in time".to_owned(),
            _ => error.to_string(),
        };
        let name = match self.place {
            Place::Stdout => "to stdout".to_owned(),
            _ => self.path.display().to_string(),
        };
        Failure::Failed(format!("cannot write {name}: {why}"))
    }
}

/// An output that can be written to.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) destination: Destination,
    pub(crate) sink: Sink,
}

impl Opened {
    /// Writes the whole of a result.
    pub(crate) fn write(mut self, text: &str) -> Result<(), Failure> {
        self.sink
            .write_all(text.as_bytes())
            .and_then(|()| self.sink.flush())
            .map_err(|error| self.destination.failure(&error))
    }
}

/// As typed: `--csv run.csv`.
impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.option, self.path.display())
    }
}

/// Refuses two outputs in one file, and an output that would replace an input. Inputs come with their
/// names as typed. `/dev/null` may be given several times.
pub(crate) fn check_distinct(
    outputs: &[&Destination],
    inputs: &[(String, &Path)],
) -> Result<(), Failure> {
    for (index, output) in outputs.iter().enumerate() {
        let same = |other: &&&Destination| other.identity.is_same(&output.identity);
        if let Some(first) = outputs[..index].iter().find(same) {
            return Err(Failure::Usage(format!(
                "{first} and {output} are the same file: give each output a file of its own"
            )));
        }
        let replaced = |(_, input): &&(String, &Path)| output.identity.is_file(input);
        if let Some((input, _)) = inputs.iter().find(replaced) {
            return Err(Failure::Usage(format!(
                "{output} would replace the input {input}: give another file with {}",
                output.option
            )));
        }
    }
    Ok(())
}

/// Where the text report, addresses, totals and the view of `--watch` go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextStream {
    Stdout,
    /// Stdout is taken by an output.
    Stderr,
}

impl TextStream {
    pub(crate) fn beside<'a>(outputs: impl IntoIterator<Item = &'a Destination>) -> Self {
        if outputs
            .into_iter()
            .any(|output| output.place == Place::Stdout)
        {
            Self::Stderr
        } else {
            Self::Stdout
        }
    }

    /// Whether it is a terminal.
    pub(crate) fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }

    /// Writes at once. A closed reader is an error.
    pub(crate) fn write(self, text: &str) -> io::Result<()> {
        self.write_bytes(text.as_bytes())
    }

    fn write_bytes(self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = Patient(io::stdout().lock());
                out.write_all(bytes)?;
                out.flush()
            }
            Self::Stderr => Patient(io::stderr().lock()).write_all(bytes),
        }
    }

    /// How many columns and rows the terminal has, if it is one that says.
    pub(crate) fn size(self) -> Option<(usize, usize)> {
        let size = match self {
            Self::Stdout => tcgetwinsize(io::stdout()),
            Self::Stderr => tcgetwinsize(io::stderr()),
        };
        let size = size
            .ok()
            .filter(|size| size.ws_col > 0 && size.ws_row > 0)?;
        Some((usize::from(size.ws_col), usize::from(size.ws_row)))
    }

    /// Prints, and waits up to `limit` until that is done. Returns whether it is. Otherwise a thread goes
    /// on with it. A closed reader is not an error.
    pub(crate) fn print_within(
        self,
        limit: Duration,
        text: String,
        language: Language,
    ) -> Result<bool, Failure> {
        // Without need there is no thread: see `signals`.
        let written = self.write_now(text.as_bytes()).and_then(|count| {
            let rest = text.as_bytes()[count..].to_vec();
            if rest.is_empty() {
                return Ok(());
            }
            bounded::within(limit, move || self.write_bytes(&rest))
        });
        match written {
            Ok(()) => Ok(true),
            Err(error) => match error.kind() {
                ErrorKind::TimedOut => Ok(false),
                ErrorKind::BrokenPipe => Ok(true),
                _ => {
                    let what = format!("write to {self}");
                    Err(Failure::cannot_in(language, &what, &error))
                }
            },
        }
    }

    /// Writes as much as possible without blocking. Returns the number of bytes.
    pub(crate) fn write_now(self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_terminal() {
            return Ok(self.write_to_terminal(bytes));
        }
        if bytes.len() > PIPE_BUF || !self.is_writable() {
            return Ok(0);
        }
        self.write_bytes(bytes).map(|()| bytes.len())
    }

    /// The same for a terminal, which is writable if it has room for one byte. Opened again, it can
    /// be non-blocking: `O_NONBLOCK` belongs to the open file, which other processes share.
    fn write_to_terminal(self, bytes: &[u8]) -> usize {
        let path = match self {
            Self::Stdout => "/proc/self/fd/1",
            Self::Stderr => "/proc/self/fd/2",
        };
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // Where it can't be opened, such as one of another container, a thread writes everything.
        let Ok(terminal) = open(path, flags, Mode::empty()) else {
            return 0;
        };
        let mut count = 0;
        while count < bytes.len() {
            match rustix::io::write(&terminal, &bytes[count..]) {
                Ok(0) => break,
                Ok(written) => count += written,
                Err(Errno::INTR) => {}
                // It is full, or what writes the rest meets the error again.
                Err(_) => break,
            }
        }
        count
    }

    /// Whether writing up to [`PIPE_BUF`] bytes to something that is no terminal does not block.
    fn is_writable(self) -> bool {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let stream = match self {
            Self::Stdout => stdout.as_fd(),
            Self::Stderr => stderr.as_fd(),
        };
        let mut polled = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
        poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Prints a result, however long its reader takes. A closed reader (`| head`) is not an error.
    pub(crate) fn print(self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout => print(text).map_err(|error| Failure::cannot("write to stdout", &error)),
            Self::Stderr => match self.write(text) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    Err(Failure::cannot("write to stderr", &error))
                }
                _ => Ok(()),
            },
        }
    }

    /// Refuses `--watch` and an output on stdout that would share a terminal.
    pub(crate) fn check_watch(self, watch: bool) -> Result<(), Failure> {
        let shares = Self::Stdout.is_terminal() && Self::Stderr.is_terminal();
        if !watch || self == Self::Stdout || !shares {
            return Ok(());
        }
        Err(Failure::Usage(
            "--watch and an output option cannot share this terminal: redirect standard output, or give the output \
             a file"
                .to_owned(),
        ))
    }
}

impl std::fmt::Display for TextStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}
