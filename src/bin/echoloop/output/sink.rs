//! The writer of an output.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};

use super::place::Place;
use super::temporary::{Temporary, check_replaceable, replace};
use crate::patient::Patient;

/// The bytes that are collected before they are written, unless they are flushed.
const PENDING_MAX: usize = 64 * 1024;

/// Writes an output. Bytes are buffered until a flush, or up to 64 KiB.
///
/// The first flush replaces an existing file, so it must come after a complete record. If the sink is
/// dropped before, the existing file stays as it was.
#[derive(Debug)]
pub(crate) struct Sink {
    state: State,
    pending: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// The file at this path was not touched yet. More than 64 KiB are in a temporary file.
    Held(PathBuf, Option<Temporary>),
    File(File),
    Stdout,
    /// The reader of stdout has closed it (`| head`).
    Closed,
}

impl Sink {
    /// Opens a FIFO or a device. A regular file is not touched, but can be created or written.
    pub(super) fn open(place: &Place) -> io::Result<Self> {
        let state = match place {
            Place::Stdout => State::Stdout,
            Place::File(path) => {
                check_replaceable(path)?;
                State::Held(path.clone(), None)
            }
            Place::Special(path) => State::File(open_in_place(path)?),
        };
        Ok(Self {
            state,
            pending: Vec::new(),
        })
    }

    /// Writes the buffer: to a temporary file before the first flush.
    fn write_pending(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Held(path, temporary) => {
                let temporary = match temporary {
                    Some(temporary) => temporary,
                    None => match Temporary::create(path) {
                        Ok(created) => temporary.insert(created),
                        // The flush writes in place, or reports why it can't.
                        Err(_) => return Ok(()),
                    },
                };
                temporary.file.write_all(&self.pending)?;
            }
            State::File(file) => file.write_all(&self.pending)?,
            State::Stdout => match print(&self.pending) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.state = State::Closed,
                outcome => outcome?,
            },
            State::Closed => {}
        }
        self.pending.clear();
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= PENDING_MAX {
            self.write_pending()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let State::Held(path, temporary) = &mut self.state {
            let (path, temporary) = (mem::take(path), temporary.take());
            // After a failure there is nothing left to replace the file with.
            self.state = State::Closed;
            self.state = State::File(replace(&path, temporary, &self.pending)?);
            self.pending.clear();
        }
        self.write_pending()
    }
}

/// Opens a FIFO or a device without waiting for a reader. Writes block, because they are made on a writer
/// thread or after the loop.
fn open_in_place(path: &Path) -> io::Result<File> {
    // The file of a descriptor is appended to: its content may belong to another program.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(open(path, flags | OFlags::NONBLOCK, Mode::empty())?);
    let flags = fcntl_getfl(&file)?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = Patient(io::stdout().lock());
    stdout.write_all(bytes)?;
    stdout.flush()
}
