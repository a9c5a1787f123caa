//! What a datagram says, and what its answer should.

use crate::load::datagrams::header::{self, Header, Read};
use crate::load::plan::{Plan, Reply, Verify};
use crate::load::result::outcome::MismatchKind;
use crate::load::verify::reply_verifier::Expected;

/// The datagrams of one flow, one at a time.
#[derive(Debug)]
pub(crate) struct DatagramPayload {
    bytes: Vec<u8>,
    /// The one before.
    before: Vec<u8>,
    /// Where in the pattern this flow begins.
    salt: u64,
    run: u32,
    flow: u32,
    /// Datagrams carry their numbers.
    pub(crate) numbered: bool,
}

/// What a datagram of a flow that numbers its own is a reply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepliesTo {
    /// This number, rightly.
    Right(u64),
    /// This number, but the byte at this place is wrong.
    Altered(u64, usize),
    /// Unknown: it is wrong from this byte on.
    Damaged(usize, MismatchKind),
    /// Nothing that this flow has sent.
    Foreign(MismatchKind),
    /// A message of a run before, from the same port.
    OtherRun,
}

/// What a datagram without a number is a reply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainReply {
    /// The datagram written last.
    Last,
    /// The one before: it comes again, or late.
    Before,
    /// It is wrong from this byte on.
    Wrong(usize, MismatchKind),
}

impl DatagramPayload {
    pub(crate) const fn new(salt: u64, run: u32, flow: u32, numbered: bool) -> Self {
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
    pub(crate) fn write(&mut self, number: u64, size: usize, expected: &Expected) -> &[u8] {
        std::mem::swap(&mut self.bytes, &mut self.before);
        self.bytes.resize(size, 0);
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

    /// What `datagram` replies to, if numbers below `sent` have been sent.
    pub(crate) fn replies_to(&self, datagram: &[u8], sent: u64, expected: &Expected) -> RepliesTo {
        let asked = datagram.len().saturating_sub(suffix(&expected.reply).len());
        match Header::read(datagram, asked, self.run) {
            Read::Ours(Header { flow, number, .. }) if flow == self.flow && number < sent => {
                match self.difference(number, asked, datagram, expected) {
                    Some(at) => RepliesTo::Altered(number, at),
                    None => RepliesTo::Right(number),
                }
            }
            Read::Ours(header) if header.flow != self.flow => {
                RepliesTo::Foreign(MismatchKind::Foreign(header.flow as usize))
            }
            Read::Ours(_) => RepliesTo::Foreign(MismatchKind::Altered),
            // Most often a server adds something to its replies, and --reply does not say so.
            Read::Damaged => match Header::sent_size(datagram, self.run) {
                Some(size) => RepliesTo::Damaged(size, MismatchKind::Surplus),
                None => RepliesTo::Damaged(0, MismatchKind::Altered),
            },
            Read::Foreign => RepliesTo::OtherRun,
        }
    }

    /// The first byte behind its head of `answer`, to datagram `number` of `size` bytes, that is not what it should
    /// be.
    fn difference(
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

    /// What a reply without a number replies to: the datagram written last, or the one before.
    pub(crate) fn replies_to_last(&self, answer: &[u8], expected: &Expected) -> PlainReply {
        let Some((at, wrong_size)) = difference(&self.bytes, answer, expected) else {
            return PlainReply::Last;
        };
        if !self.before.is_empty() && difference(&self.before, answer, expected).is_none() {
            return PlainReply::Before;
        }
        let kind = wrong_size.map_or(MismatchKind::Altered, MismatchKind::Size);
        PlainReply::Wrong(at, kind)
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

/// The first byte of `answer`, to `message`, that is wrong; and how long it should be, if its length is.
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
pub(crate) fn is_numbered(plan: &Plan) -> bool {
    let shown = matches!(plan.reply, Reply::Echo | Reply::Suffix(_));
    shown && plan.message.is_none() && plan.sizes.smallest() >= header::SIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::datagrams::header::Read;
    use crate::load::verify::pattern::Pattern;

    fn expected(reply: Reply) -> Expected {
        Expected::new(Pattern::random(1), reply, Verify::Full)
    }

    #[test]
    fn every_datagram_is_told_by_its_number_and_every_byte_of_its_answer_is_compared() {
        for reply in [Reply::Echo, Reply::Suffix(b"| lee".to_vec())] {
            let expected = expected(reply);
            let mut draft = DatagramPayload::new(9, 1, 2, true);
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
    fn a_numbered_reply_is_classified_by_its_head_and_its_bytes() {
        let expected = expected(Reply::Echo);
        let mut draft = DatagramPayload::new(9, 1, 2, true);
        let right = draft.write(3, 64, &expected).to_vec();
        let replies_to =
            |draft: &DatagramPayload, reply: &[u8], sent| draft.replies_to(reply, sent, &expected);
        assert_eq!(replies_to(&draft, &right, 4), RepliesTo::Right(3));
        let not_sent = RepliesTo::Foreign(MismatchKind::Altered);
        assert_eq!(replies_to(&draft, &right, 3), not_sent);
        let mut altered = right.clone();
        altered[40] ^= 1;
        assert_eq!(replies_to(&draft, &altered, 4), RepliesTo::Altered(3, 40));
        let cut = RepliesTo::Damaged(0, MismatchKind::Altered);
        assert_eq!(replies_to(&draft, &right[..50], 4), cut);
        let longer = [&right[..], b"| lee"].concat();
        let surplus = RepliesTo::Damaged(64, MismatchKind::Surplus);
        assert_eq!(replies_to(&draft, &longer, 4), surplus);
        let mut other = DatagramPayload::new(9, 1, 7, true);
        let other = other.write(3, 64, &expected).to_vec();
        let foreign = RepliesTo::Foreign(MismatchKind::Foreign(7));
        assert_eq!(replies_to(&draft, &other, 4), foreign);
        let mut before = DatagramPayload::new(9, 5, 2, true);
        let before = before.write(3, 64, &expected).to_vec();
        assert_eq!(replies_to(&draft, &before, 4), RepliesTo::OtherRun);
    }

    #[test]
    fn an_answer_without_a_number_is_compared_with_what_was_sent_last() {
        let suffixed = expected(Reply::Suffix(b"!".to_vec()));
        let mut draft = DatagramPayload::new(0, 1, 2, false);
        let sent = draft.write(7, 5, &suffixed).to_vec();
        let right = [&sent[..], b"!"].concat();
        let replies_to =
            |draft: &DatagramPayload, reply: &[u8]| draft.replies_to_last(reply, &suffixed);
        assert_eq!(replies_to(&draft, &right), PlainReply::Last);
        let short = PlainReply::Wrong(5, MismatchKind::Size(6));
        assert_eq!(replies_to(&draft, &sent), short);
        let mut wrong = right.clone();
        wrong[5] = b'?';
        let altered = PlainReply::Wrong(5, MismatchKind::Altered);
        assert_eq!(replies_to(&draft, &wrong), altered);
        draft.write(8, 9, &suffixed);
        assert_eq!(replies_to(&draft, &right), PlainReply::Before);
        assert!(matches!(replies_to(&draft, &wrong), PlainReply::Wrong(..)));
        let sized = expected(Reply::Size(6));
        assert_eq!(draft.replies_to_last(&wrong, &sized), PlainReply::Last);
    }
}
