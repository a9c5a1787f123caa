//! What ends an answer of which the length is not known.

/// What ends an answer, found however it is cut (Knuth, Morris and Pratt, 1977).
#[derive(Clone, Debug)]
pub(crate) struct Terminator {
    text: Vec<u8>,
    /// For each number of bytes that matched, how many still do when the next one does not.
    fallback: Vec<usize>,
}

impl Terminator {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut fallback = vec![0; text.len()];
        let mut matched = 0;
        for index in 1..text.len() {
            while matched > 0 && text[index] != text[matched] {
                matched = fallback[matched - 1];
            }
            matched += usize::from(text[index] == text[matched]);
            fallback[index] = matched;
        }
        Self {
            text: text.to_vec(),
            fallback,
        }
    }

    /// How many of `bytes` belong to this answer, and whether they end it. `matched` is what has been found so far.
    pub(crate) fn find(&self, bytes: &[u8], matched: &mut usize) -> (usize, bool) {
        for (index, &byte) in bytes.iter().enumerate() {
            while *matched > 0 && byte != self.text[*matched] {
                *matched = self.fallback[*matched - 1];
            }
            *matched += usize::from(byte == self.text[*matched]);
            if *matched == self.text.len() {
                *matched = 0;
                return (index + 1, true);
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every stream of seven bytes out of two, cut in two at every place, against a search of the whole.
    #[test]
    fn an_end_is_found_however_the_stream_is_cut() {
        for text in [&b"a"[..], b"ab", b"aab", b"abab", b"aaa"] {
            let terminator = Terminator::new(text);
            for number in 0..1u32 << 7 {
                let stream: Vec<u8> = (0..7).map(|bit| b'a' + (number >> bit & 1) as u8).collect();
                for cut in 0..=7 {
                    let (mut matched, mut ends, mut at) = (0, Vec::new(), 0);
                    for mut piece in [&stream[..cut], &stream[cut..]] {
                        while !piece.is_empty() {
                            let (count, ended) = terminator.find(piece, &mut matched);
                            at += count;
                            piece = &piece[count..];
                            if ended {
                                ends.push(at);
                            }
                        }
                    }
                    assert_eq!(ends, expected(&stream, text), "{stream:?} cut at {cut}");
                }
            }
        }
    }

    /// Where `text` ends in `stream`, found again behind each end.
    fn expected(stream: &[u8], text: &[u8]) -> Vec<usize> {
        let (mut ends, mut start) = (Vec::new(), 0);
        while let Some(at) = stream[start..]
            .windows(text.len())
            .position(|window| window == text)
        {
            start += at + text.len();
            ends.push(start);
        }
        ends
    }
}
