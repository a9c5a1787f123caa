//! A client's stream with flaws.

use std::io::{self, ErrorKind, Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::connection::Stream;
use crate::reactor::{Interest, Registry, Source, Token};
use crate::service::{Fault, FaultTally};

/// A stream that does to its output what it was told to.
///
/// However it cuts what there is to write, it hands all of it over, until that is done or the kernel takes no
/// more: a write that stopped at a cut would look like a full kernel buffer, of which an event would tell
/// when there is room again, and never come.
#[derive(Debug)]
pub struct FaultyStream<S> {
    stream: S,
    flaws: Arc<Flaws>,
    /// How many bytes the kernel has taken.
    sent: u64,
}

/// What is wrong with streams, the same for each.
#[derive(Debug)]
pub(super) struct Flaws {
    pub(super) corrupt: Option<u64>,
    pub(super) slice: Option<NonZeroUsize>,
    pub(super) reset: Option<u64>,
    pub(super) tally: Arc<FaultTally>,
}

impl<S: Stream> FaultyStream<S> {
    pub(super) const fn new(stream: S, flaws: Arc<Flaws>) -> Self {
        Self {
            stream,
            flaws,
            sent: 0,
        }
    }

    /// Hands over the first of `bytes`, as far as they go together.
    fn write_piece(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Flaws {
            corrupt,
            slice,
            reset,
            ..
        } = *self.flaws;
        let until = |offset: Option<u64>| {
            let distance = offset?.checked_sub(self.sent)?;
            usize::try_from(distance).ok()
        };
        let corrupts = until(corrupt) == Some(0);
        let written = if corrupts {
            self.stream.write(&[bytes[0] ^ 1])
        } else {
            let limits = [until(corrupt), until(reset), slice.map(NonZeroUsize::get)];
            let length = limits.into_iter().flatten().fold(bytes.len(), usize::min);
            self.stream.write(&bytes[..length])
        };
        let count = written?;
        if corrupts && count > 0 {
            self.flaws.tally.count(Fault::Corrupted);
        }
        self.sent += count as u64;
        Ok(count)
    }
}

impl<S: Stream> Write for FaultyStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        loop {
            if self.flaws.reset.is_some_and(|at| self.sent >= at) {
                self.flaws.tally.count(Fault::Reset);
                self.stream.reset_on_close()?;
                return Err(ErrorKind::ConnectionReset.into());
            }
            if written == bytes.len() {
                return Ok(written);
            }
            match self.write_piece(&bytes[written..]) {
                Ok(0) => return Ok(written),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && written > 0 => {
                    return Ok(written);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Read> Read for FaultyStream<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.stream.read(room)
    }
}

impl<S: Stream> Stream for FaultyStream<S> {
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

impl<S: Source> Source for FaultyStream<S> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.stream.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.stream.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream.deregister(registry)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Takes so many bytes, in writes that it remembers.
    #[derive(Default)]
    struct Taker {
        room: usize,
        writes: Vec<Vec<u8>>,
        interrupts: usize,
        aborted: Cell<bool>,
    }

    impl Write for Taker {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.interrupts > 0 {
                self.interrupts -= 1;
                return Err(ErrorKind::Interrupted.into());
            }
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.writes.push(bytes[..count].to_vec());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Taker {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::WouldBlock.into())
        }
    }

    impl Stream for Taker {
        fn shutdown_write(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn reset_on_close(&self) -> io::Result<()> {
            self.aborted.set(true);
            Ok(())
        }
    }

    fn faulty(
        room: usize,
        corrupt: Option<u64>,
        slice: usize,
        reset: Option<u64>,
    ) -> FaultyStream<Taker> {
        let stream = Taker {
            room,
            ..Taker::default()
        };
        let flaws = Flaws {
            corrupt,
            slice: NonZeroUsize::new(slice),
            reset,
            tally: Arc::default(),
        };
        FaultyStream::new(stream, Arc::new(flaws))
    }

    #[test]
    fn slices_go_on_until_all_is_written_or_the_kernel_is_full() {
        let mut stream = faulty(8, None, 3, None);
        assert_eq!(stream.write(b"abcde").unwrap(), 5);
        assert_eq!(stream.stream.writes, [b"abc".to_vec(), b"de".to_vec()]);
        stream.stream.interrupts = 1;
        assert_eq!(
            stream.write(b"fghij").unwrap(),
            3,
            "as much as there is room for"
        );
        assert_eq!(
            stream.write(b"ij").unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert_eq!(stream.stream.writes.concat(), b"abcdefgh");
    }

    #[test]
    fn one_bit_of_one_byte_is_flipped_however_the_output_is_cut() {
        for offset in 0..6 {
            for (slice, first) in [(0, 2), (1, 3), (2, 6), (0, 6)] {
                let mut stream = faulty(99, Some(offset), slice, None);
                for bytes in [&b"abcdef"[..first], &b"abcdef"[first..]] {
                    if !bytes.is_empty() {
                        assert_eq!(stream.write(bytes).unwrap(), bytes.len());
                    }
                }
                let mut expected = b"abcdef".to_vec();
                expected[offset as usize] ^= 1;
                assert_eq!(stream.stream.writes.concat(), expected);
                assert_eq!(stream.flaws.tally.counters().corrupted, 1);
            }
        }
    }

    #[test]
    fn a_byte_that_is_not_taken_is_corrupted_when_it_is() {
        let mut stream = faulty(2, Some(2), 0, None);
        assert_eq!(stream.write(b"abc").unwrap(), 2);
        assert_eq!(stream.flaws.tally.counters().corrupted, 0);
        stream.stream.room = 9;
        assert_eq!(stream.write(b"c").unwrap(), 1);
        assert_eq!(stream.stream.writes.concat(), b"abb");
        assert_eq!(stream.flaws.tally.counters().corrupted, 1);
    }

    #[test]
    fn a_reset_comes_as_soon_as_its_bytes_are_written() {
        for (first, second) in [(&b"abcd"[..], &b""[..]), (b"abcdef", b""), (b"ab", b"cdef")] {
            let mut stream = faulty(99, None, 0, Some(4));
            let mut written = stream.write(first);
            if !second.is_empty() {
                assert_eq!(written.unwrap(), first.len());
                assert!(!stream.stream.aborted.get());
                written = stream.write(second);
            }
            assert_eq!(written.unwrap_err().kind(), ErrorKind::ConnectionReset);
            assert_eq!(stream.stream.writes.concat(), b"abcd");
            assert!(stream.stream.aborted.get());
            assert_eq!(stream.flaws.tally.counters().reset, 1);
        }
        let mut stream = faulty(99, None, 0, Some(0));
        assert!(stream.write(b"a").is_err() && stream.stream.writes.is_empty());
    }
}
