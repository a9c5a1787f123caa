//! The head of a numbered datagram: which run, which flow, which message.

use crate::load::schedule::random::mix;

/// How many bytes the number of a datagram takes. Smaller ones are not numbered.
pub const SIZE: usize = 32;

/// "echoload", so that another program's datagram is not taken for a damaged one of ours.
const MAGIC: u64 = u64::from_le_bytes(*b"echoload");

/// The head of a numbered datagram, in little-endian order: the magic, run and flow, the number, and a check over
/// these and the size of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Differs from run to run.
    pub(crate) run: u32,
    pub(crate) flow: u32,
    pub(crate) number: u64,
}

/// What the head of a datagram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Ours(Header),
    /// It is none that was sent whole: damaged, or something else altogether. The socket hears nobody but the server.
    Damaged,
    /// It is another run's.
    Foreign,
}

impl Header {
    pub(crate) fn write(self, datagram: &mut [u8]) {
        let size = datagram.len();
        let words = [MAGIC, self.place(), self.number, self.check(size)];
        for (word, bytes) in words.iter().zip(datagram.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Reads the head of a datagram that was `size` bytes long when it was sent, of this run.
    pub(crate) fn read(datagram: &[u8], size: usize, run: u32) -> Read {
        let word = |index: usize| {
            let bytes = datagram.get(index * 8..index * 8 + 8);
            bytes.map_or(0, |bytes| {
                u64::from_le_bytes(bytes.try_into().expect("eight"))
            })
        };
        let header = Self {
            run: word(1) as u32,
            flow: (word(1) >> 32) as u32,
            number: word(2),
        };
        if word(0) != MAGIC || word(3) != header.check(size) {
            Read::Damaged
        } else if header.run == run {
            Read::Ours(header)
        } else {
            Read::Foreign
        }
    }

    /// How long a datagram of ours was when it was sent, of which `datagram` begins with the whole. For telling what
    /// a server has added to it: takes a look at every length there may be.
    pub(crate) fn sent_size(datagram: &[u8], run: u32) -> Option<usize> {
        let mut sizes = (SIZE..datagram.len()).rev();
        sizes.find(|&size| matches!(Self::read(datagram, size, run), Read::Ours(_)))
    }

    fn place(self) -> u64 {
        u64::from(self.run) | u64::from(self.flow) << 32
    }

    fn check(self, size: usize) -> u64 {
        mix(mix(self.place()) ^ mix(self.number.wrapping_add(1)) ^ size as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_any_damage_shows() {
        let header = Header {
            run: 7,
            flow: 3,
            number: 1_000_000_000_000,
        };
        let mut datagram = [9; 64];
        header.write(&mut datagram);
        assert_eq!(Header::read(&datagram, 64, 7), Read::Ours(header));
        assert_eq!(Header::read(&datagram, 63, 7), Read::Damaged, "cut");
        for bit in 0..SIZE * 8 {
            let mut damaged = datagram;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&damaged, 64, 7), Read::Damaged, "bit {bit}");
        }
        let longer = [&datagram[..], b"| lee"].concat();
        assert_eq!(Header::sent_size(&longer, 7), Some(64));
        assert_eq!(Header::sent_size(&datagram[..60], 7), None);
        assert_eq!(Header::read(&datagram, 64, 8), Read::Foreign);
        assert_eq!(Header::read(b"hello", 5, 7), Read::Damaged);
        assert_eq!(Header::read(&[0; 64], 64, 7), Read::Damaged);
    }
}
