//! What is said and what is shown, on threads of their own.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::thread;
use std::time::Duration;

use crate::reactor::Waker;

/// How many pieces wait between a thread and the loop, in each direction, before who makes them waits.
const QUEUE: usize = 16;

/// The most bytes of a piece that is read, unless it is a line.
pub const PIECE_MAX: usize = 64 * 1024;

/// The most bytes of a line that are kept. More than any datagram has, so that the message that refuses
/// a line has its size.
pub(super) const LINE_MAX: usize = 1024 * 1024;

/// How what is said is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As it comes: for a stream.
    Anywhere,
    /// At line feeds, which are left out. Of a line of more than 1 MiB, 1 MiB and one byte are kept.
    Lines,
    /// So many bytes each, 64 KiB at most; the last may be shorter.
    Every(usize),
}

impl Cut {
    /// The pieces of `source`, each when it is asked for. `None` is its end.
    pub fn pieces(self, source: impl Read) -> impl FnMut() -> io::Result<Option<Vec<u8>>> {
        let mut source = BufReader::with_capacity(PIECE_MAX, source);
        move || next_piece(&mut source, self)
    }
}

/// What is said, piece by piece, by a thread that may block.
#[derive(Debug)]
pub struct Input<P = Vec<u8>> {
    pieces: Receiver<io::Result<P>>,
}

/// What has been said.
#[derive(Debug)]
pub enum Said<P> {
    /// The next piece.
    Piece(P),
    /// Nothing yet. The loop is woken when there is something.
    Nothing,
    /// There will be nothing more.
    Ended,
    /// There will be nothing more, for this reason.
    Failed(io::Error),
}

impl Input {
    /// Reads `source` to its end, as [`from_source`](Self::from_source) does.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn read(source: impl Read + Send + 'static, cut: Cut, waker: Waker) -> io::Result<Self> {
        Self::from_source(cut.pieces(source), waker)
    }
}

impl<P: Send + 'static> Input<P> {
    /// Takes pieces from `next` until there are none, a few ahead of the loop that `waker` wakes. The
    /// thread is not waited for: a source that blocks for ever keeps it until the program ends.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn from_source(
        mut next: impl FnMut() -> io::Result<Option<P>> + Send + 'static,
        waker: Waker,
    ) -> io::Result<Self> {
        let (sender, pieces) = mpsc::sync_channel(QUEUE);
        let run = move || {
            let mut last_words = LastWords {
                sender: Some(sender),
                waker,
            };
            while let Some(sender) = &last_words.sender {
                let piece = next().transpose();
                let more = matches!(piece, Some(Ok(_)));
                // Nobody listens any more, or there is nothing more to tell.
                if piece.is_some_and(|piece| sender.send(piece).is_err()) || !more {
                    last_words.sender = None;
                }
                let _ = last_words.waker.wake();
            }
        };
        thread::Builder::new().name("input".to_owned()).spawn(run)?;
        Ok(Self { pieces })
    }

    /// The next piece, without waiting for it.
    pub fn next(&self) -> Said<P> {
        match self.pieces.try_recv() {
            Ok(Ok(piece)) => Said::Piece(piece),
            Ok(Err(error)) => Said::Failed(error),
            Err(TryRecvError::Empty) => Said::Nothing,
            Err(TryRecvError::Disconnected) => Said::Ended,
        }
    }
}

/// Tells the loop if the thread that reads ends by a panic: it would wait for ever.
struct LastWords<P> {
    sender: Option<SyncSender<io::Result<P>>>,
    waker: Waker,
}

impl<P> Drop for LastWords<P> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            // If there is no room for it, the end of the pieces is what is told.
            let _ = sender.try_send(Err(io::Error::other("the reader panicked")));
            drop(sender);
            let _ = self.waker.wake();
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
                .take(LINE_MAX as u64 + 1)
                .read_until(b'\n', &mut piece)?;
            if piece.pop_if(|last| *last == b'\n').is_some() {
                return Ok(Some(piece));
            }
            if piece.len() > LINE_MAX {
                source.skip_until(b'\n')?;
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

/// What a client has to show.
#[derive(Debug)]
pub enum Heard {
    /// The server has been connected to.
    Connected(SocketAddr),
    /// What the server has said.
    Bytes(Vec<u8>),
    /// The datagram of this number got no answer: for this reason, or none came in time.
    NoAnswer(u64, Option<io::Error>),
    /// The server has ended the conversation.
    Ended,
}

/// What is shown, piece by piece, by a thread that may block.
#[derive(Debug)]
pub struct Output<P = Heard> {
    pieces: Option<SyncSender<P>>,
    queued: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    outcome: Receiver<io::Result<()>>,
}

impl<P: Send + 'static> Output<P> {
    /// Hands pieces to `show` until it fails, a few behind the loop that `waker` wakes when there is room
    /// again.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn to_sink(
        show: impl FnMut(P) -> io::Result<()> + Send + 'static,
        waker: Waker,
    ) -> io::Result<Self> {
        Self::start(show, move || {
            let _ = waker.wake();
        })
    }

    /// The same for a loop that does not wait for room, and is not woken.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn to_sink_without_waker(
        show: impl FnMut(P) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        Self::start(show, || ())
    }

    /// Starts the thread. It calls `wake` after each piece and at the end.
    fn start(
        mut show: impl FnMut(P) -> io::Result<()> + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let (pieces, receiver) = mpsc::sync_channel::<P>(QUEUE);
        let (sender, outcome) = mpsc::channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let (counted, is_over) = (queued.clone(), over.clone());
        let run = move || {
            let write = || {
                for piece in receiver {
                    show(piece)?;
                    counted.fetch_sub(1, Ordering::AcqRel);
                    wake();
                }
                Ok(())
            };
            // Whoever asked may have given up waiting.
            let _ = sender.send(write());
            is_over.store(true, Ordering::Release);
            wake();
        };
        thread::Builder::new()
            .name("output".to_owned())
            .spawn(run)?;
        Ok(Self {
            pieces: Some(pieces),
            queued,
            over,
            outcome,
        })
    }

    /// Whether there is room for another piece.
    pub fn has_room(&self) -> bool {
        self.queued.load(Ordering::Acquire) < QUEUE
    }

    /// Whether nothing more can be shown.
    pub fn is_closed(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Shows `piece`, if there is room for it.
    pub fn push(&self, piece: P) {
        // A sink that has failed takes nothing more, and `finish` returns its error.
        let _ = self.try_push(piece);
    }

    /// Shows `piece`, and returns whether there was room for it.
    #[must_use]
    pub fn try_push(&self, piece: P) -> bool {
        let Some(pieces) = &self.pieces else {
            return false;
        };
        self.queued.fetch_add(1, Ordering::AcqRel);
        let is_taken = pieces.try_send(piece).is_ok();
        if !is_taken {
            self.queued.fetch_sub(1, Ordering::AcqRel);
        }
        is_taken
    }

    /// Shows what has been pushed, and nothing more. The loop is woken when that is done, or can't be:
    /// [`is_closed`](Self::is_closed) says so.
    pub fn close(&mut self) {
        self.pieces = None;
    }

    /// Waits until everything has been shown, or can't be.
    ///
    /// # Errors
    ///
    /// What the sink has failed with; `BrokenPipe` when its reader has had enough.
    pub fn finish(self) -> io::Result<()> {
        self.finish_within(Duration::MAX)
    }

    /// As [`finish`](Self::finish), but waits no longer than that.
    ///
    /// # Errors
    ///
    /// Also `TimedOut`.
    pub fn finish_within(mut self, time: Duration) -> io::Result<()> {
        self.pieces = None;
        let outcome = self.outcome.recv_timeout(time);
        outcome.unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(ErrorKind::TimedOut.into()),
            RecvTimeoutError::Disconnected => Err(io::Error::other("the writer panicked")),
        })
    }
}
