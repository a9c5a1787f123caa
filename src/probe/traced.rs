//! A stream that tells what is called on it.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use super::record::Moved;
use crate::connection::Stream;

/// Which way bytes were to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// A call that was made, as it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) way: Way,
    pub(super) at: u64,
    pub(super) took: u64,
    pub(super) asked: u32,
    pub(super) result: Moved,
}

/// What was called on any of a loop's streams since it was last asked. All of them are on one thread.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) clock: fn() -> u64,
    /// When each call was made, and how long it took, matters to somebody: to figures it does not.
    pub(super) timed: Cell<bool>,
    pub(super) made: RefCell<Vec<Made>>,
}

/// A stream that tells what is called on it.
#[derive(Debug)]
pub struct Traced<S> {
    pub(super) stream: S,
    pub(super) calls: Rc<Calls>,
}

impl<S> Traced<S> {
    fn call(
        &mut self,
        way: Way,
        asked: usize,
        call: impl FnOnce(&mut S) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let timed = self.calls.timed.get();
        let now = || if timed { (self.calls.clock)() } else { 0 };
        let at = now();
        let outcome = call(&mut self.stream);
        let took = now().saturating_sub(at);
        self.calls.made.borrow_mut().push(Made {
            way,
            at,
            took,
            asked: clamp(asked),
            result: moved(way, &outcome),
        });
        outcome
    }
}

/// What came of a call that moves bytes `way`.
fn moved(way: Way, outcome: &io::Result<usize>) -> Moved {
    match outcome {
        Ok(0) if way == Way::In => Moved::End,
        Ok(bytes) => Moved::Bytes(clamp(*bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Moved::Nothing
        }
        Err(_) => Moved::Failed,
    }
}

fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

impl<S: Read> Read for Traced<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let asked = room.len();
        self.call(Way::In, asked, |stream| stream.read(room))
    }
}

impl<S: Write> Write for Traced<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call(Way::Out, bytes.len(), |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Stream> Stream for Traced<S> {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.stream.reset_on_close()
    }
}
