//! What is said and what is shown, on threads of their own.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread::{self, JoinHandle};

use crate::reactor::Waker;

/// How many pieces wait between a thread and the loop, in each direction, before who makes them waits.
const QUEUE: usize = 16;

/// The most bytes of a piece.
const PIECE_MAX: usize = 64 * 1024;

/// How what is said is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As it comes: for a stream.
    Anywhere,
    /// At line feeds, which are left out. A line longer than 64 KiB comes in several pieces.
    Lines,
    /// So many bytes each, 64 KiB at most; the last may be shorter.
    Every(usize),
}

/// What is said, read by a thread from a source that may block.
#[derive(Debug)]
pub struct Input {
    pieces: Receiver<io::Result<Vec<u8>>>,
}

/// What has been said.
#[derive(Debug)]
pub(super) enum Said {
    Piece(Vec<u8>),
    /// Nothing yet. The loop is woken when there is something.
    Nothing,
    Ended,
    Failed(io::Error),
}

impl Input {
    /// Reads `source` to its end, a few pieces ahead of the loop that `waker` wakes. The thread is not
    /// waited for: a source that blocks for ever keeps it until the process ends.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn read(source: impl Read + Send + 'static, cut: Cut, waker: Waker) -> io::Result<Self> {
        let (sender, pieces) = mpsc::sync_channel(QUEUE);
        let run = move || {
            let mut source = BufReader::with_capacity(PIECE_MAX, source);
            loop {
                let piece = next_piece(&mut source, cut).transpose();
                let more = matches!(piece, Some(Ok(_)));
                // Nobody listens any more, or there is nothing more to tell.
                if piece.is_some_and(|piece| sender.send(piece).is_err()) || !more {
                    break;
                }
                let _ = waker.wake();
            }
            drop(sender);
            let _ = waker.wake();
        };
        thread::Builder::new().name("input".to_owned()).spawn(run)?;
        Ok(Self { pieces })
    }

    pub(super) fn next(&self) -> Said {
        match self.pieces.try_recv() {
            Ok(Ok(piece)) => Said::Piece(piece),
            Ok(Err(error)) => Said::Failed(error),
            Err(TryRecvError::Empty) => Said::Nothing,
            Err(TryRecvError::Disconnected) => Said::Ended,
        }
    }
}

/// The next piece of `source`, or `None` at its end.
fn next_piece(source: &mut impl BufRead, cut: Cut) -> io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::new();
    match cut {
        Cut::Anywhere => {
            let read = loop {
                match source.fill_buf() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            piece.extend_from_slice(read);
            source.consume(piece.len());
        }
        Cut::Lines => {
            source
                .take(PIECE_MAX as u64)
                .read_until(b'\n', &mut piece)?;
            if piece.pop_if(|last| *last == b'\n').is_some() {
                return Ok(Some(piece));
            }
        }
        Cut::Every(size) => {
            source
                .take(size.clamp(1, PIECE_MAX) as u64)
                .read_to_end(&mut piece)?;
        }
    }
    Ok((!piece.is_empty()).then_some(piece))
}

/// What is shown, written by a thread to a sink that may block.
#[derive(Debug)]
pub struct Output {
    pieces: Option<SyncSender<Vec<u8>>>,
    queued: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<()>>,
}

impl Output {
    /// Writes to `sink`, a few pieces behind the loop that `waker` wakes when there is room again.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn write(mut sink: impl Write + Send + 'static, waker: Waker) -> io::Result<Self> {
        let (pieces, receiver) = mpsc::sync_channel::<Vec<u8>>(QUEUE);
        let queued = Arc::new(AtomicUsize::new(0));
        let counted = queued.clone();
        let run = move || {
            let write = || {
                for piece in receiver {
                    sink.write_all(&piece)?;
                    sink.flush()?;
                    counted.fetch_sub(1, Ordering::AcqRel);
                    let _ = waker.wake();
                }
                Ok(())
            };
            let outcome = write();
            let _ = waker.wake();
            outcome
        };
        let thread = thread::Builder::new()
            .name("output".to_owned())
            .spawn(run)?;
        Ok(Self {
            pieces: Some(pieces),
            queued,
            thread,
        })
    }

    /// Whether there is room for another piece.
    pub(super) fn has_room(&self) -> bool {
        self.queued.load(Ordering::Acquire) < QUEUE
    }

    /// Whether nothing more can be written.
    pub(super) fn is_closed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Shows `piece`. There must be room.
    pub(super) fn push(&self, piece: Vec<u8>) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        if let Some(pieces) = &self.pieces {
            // A sink that has failed is noticed by `is_closed`.
            let _ = pieces.try_send(piece);
        }
    }

    /// Waits until everything has been written, or can't be.
    ///
    /// # Errors
    ///
    /// What the sink has failed with; `BrokenPipe` when its reader has had enough.
    pub fn finish(mut self) -> io::Result<()> {
        self.pieces = None;
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the writer panicked")))
    }
}
