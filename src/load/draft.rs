//! What a datagram says, and what its answer should.

use super::answers::Expected;
use super::header::{self, Header};
use super::plan::{DATAGRAM_MAX, Plan, Reply, Verify};

/// The datagrams of one flow, one at a time.
#[derive(Debug)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    /// The one before.
    before: Vec<u8>,
    /// Where in the pattern this flow begins.
    salt: u64,
    run: u32,
    flow: u32,
    /// Datagrams carry their numbers.
    pub(super) numbered: bool,
}

impl Draft {
    pub(super) const fn new(salt: u64, run: u32, flow: u32, numbered: bool) -> Self {
        Self {
            bytes: Vec::new(),
            before: Vec::new(),
            salt,
            run,
            flow,
            numbered,
        }
    }

    /// Datagram `number`, of `size` bytes.
    pub(super) fn write(&mut self, number: u64, size: usize, expected: &Expected) -> &[u8] {
        std::mem::swap(&mut self.bytes, &mut self.before);
        self.bytes.resize(size.min(DATAGRAM_MAX), 0);
        let head = if self.numbered { header::SIZE } else { 0 };
        let body = expected.pattern.at(self.place(number), size - head);
        self.bytes[head..].copy_from_slice(body);
        if self.numbered {
            let header = Header {
                run: self.run,
                flow: self.flow,
                number,
            };
            header.write(&mut self.bytes);
        }
        &self.bytes
    }

    /// The first byte behind its head of `answer`, to datagram `number` of `size` bytes, that is not what it should
    /// be.
    pub(super) fn difference(
        &self,
        number: u64,
        size: usize,
        answer: &[u8],
        expected: &Expected,
    ) -> Option<usize> {
        if expected.verify != Verify::Full {
            return None;
        }
        let body = expected.pattern.at(self.place(number), size - header::SIZE);
        let should = body.iter().chain(suffix(&expected.reply));
        let mut pairs = answer[header::SIZE..].iter().zip(should);
        let at = pairs.position(|(one, other)| one != other)?;
        Some(at + header::SIZE)
    }

    /// The first byte of `answer`, to the datagram written last, that is not what it should be; and how long it should
    /// be, if it is not.
    pub(super) fn difference_from_last(
        &self,
        answer: &[u8],
        expected: &Expected,
    ) -> Option<(usize, Option<usize>)> {
        difference(&self.bytes, answer, expected)
    }

    /// Whether `answer` is one to the datagram written before the last: it has come again, or late.
    pub(super) fn answers_before(&self, answer: &[u8], expected: &Expected) -> bool {
        !self.before.is_empty() && difference(&self.before, answer, expected).is_none()
    }

    /// Where in the pattern the body of a datagram begins: each somewhere else.
    const fn place(&self, number: u64) -> u64 {
        if self.numbered {
            self.salt.wrapping_add(number.wrapping_mul(8191)) % (1 << 48)
        } else {
            self.salt
        }
    }
}

/// As [`Draft::difference_from_last`], from what answers `message`.
fn difference(
    message: &[u8],
    answer: &[u8],
    expected: &Expected,
) -> Option<(usize, Option<usize>)> {
    let size = match &expected.reply {
        Reply::Size(size) => *size,
        Reply::Echo | Reply::Suffix(_) => message.len() + suffix(&expected.reply).len(),
        Reply::Until(_) | Reply::None => return None,
    };
    let wrong_size = (answer.len() != size).then_some(size);
    let compared = expected.verify == Verify::Full && !matches!(expected.reply, Reply::Size(_));
    let should = message.iter().chain(suffix(&expected.reply));
    let mut pairs = answer.iter().zip(should);
    let altered = if compared {
        pairs.position(|(one, other)| one != other)
    } else {
        None
    };
    if expected.verify == Verify::Off || (wrong_size.is_none() && altered.is_none()) {
        return None;
    }
    Some((
        altered.unwrap_or_else(|| answer.len().min(size)),
        wrong_size,
    ))
}

/// What comes behind the message in an answer.
fn suffix(reply: &Reply) -> &[u8] {
    match reply {
        Reply::Suffix(suffix) => suffix,
        _ => &[],
    }
}

/// Whether datagrams have room for their numbers, and are ours to fill.
pub(super) fn is_numbered(plan: &Plan) -> bool {
    let shown = matches!(plan.reply, Reply::Echo | Reply::Suffix(_));
    shown && plan.message.is_none() && plan.sizes.smallest() >= header::SIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::header::Read;
    use crate::load::pattern::Pattern;

    fn expected(reply: Reply) -> Expected {
        Expected::new(Pattern::random(1), reply, Verify::Full)
    }

    #[test]
    fn every_datagram_is_told_by_its_number_and_every_byte_of_its_answer_is_compared() {
        for reply in [Reply::Echo, Reply::Suffix(b"| lee".to_vec())] {
            let expected = expected(reply);
            let mut draft = Draft::new(9, 1, 2, true);
            let (first, second) = (
                draft.write(0, 80, &expected).to_vec(),
                draft.write(1, 80, &expected).to_vec(),
            );
            assert_ne!(first[header::SIZE..], second[header::SIZE..]);
            let answer = [&second[..], suffix(&expected.reply)].concat();
            let Read::Ours(header) = Header::read(&answer, 80, 1) else {
                panic!("not ours")
            };
            assert_eq!((header.flow, header.number), (2, 1));
            assert_eq!(draft.difference(1, 80, &answer, &expected), None);
            assert!(draft.difference(0, 80, &answer, &expected).is_some());
            for at in header::SIZE..answer.len() {
                let mut wrong = answer.clone();
                wrong[at] ^= 1;
                assert_eq!(draft.difference(1, 80, &wrong, &expected), Some(at));
            }
        }
    }

    #[test]
    fn an_answer_without_a_number_is_compared_with_what_was_sent_last() {
        let suffixed = expected(Reply::Suffix(b"!".to_vec()));
        let mut draft = Draft::new(0, 1, 2, false);
        let sent = draft.write(7, 5, &suffixed).to_vec();
        let right = [&sent[..], b"!"].concat();
        assert_eq!(draft.difference_from_last(&right, &suffixed), None);
        assert_eq!(
            draft.difference_from_last(&sent, &suffixed),
            Some((5, Some(6)))
        );
        let mut wrong = right.clone();
        wrong[5] = b'?';
        assert_eq!(
            draft.difference_from_last(&wrong, &suffixed),
            Some((5, None))
        );
        draft.write(8, 9, &suffixed);
        assert!(draft.difference_from_last(&right, &suffixed).is_some());
        assert!(draft.answers_before(&right, &suffixed), "late, or again");
        assert!(!draft.answers_before(&wrong, &suffixed));
        let sized = expected(Reply::Size(6));
        assert_eq!(draft.difference_from_last(&wrong, &sized), None);
    }
}
