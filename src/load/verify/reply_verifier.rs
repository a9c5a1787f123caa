//! The answers that one connection awaits, and whether what comes is what they should be.

use std::collections::VecDeque;

use crate::load::plan::{Reply, Verify};
use crate::load::schedule::message::SentMessage;
use crate::load::verify::pattern::Pattern;
use crate::load::verify::terminator::Terminator;

/// What is expected of every answer of a load.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) pattern: Pattern,
    pub(crate) reply: Reply,
    pub(crate) verify: Verify,
    terminator: Option<Terminator>,
}

/// Something came that should not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Discrepancy {
    /// Where in the piece that was received.
    pub(crate) at: usize,
    /// Where in the pattern the byte is that should have come, if it is part of a message.
    pub(crate) place: Option<u64>,
    /// More came than was asked for.
    pub(crate) surplus: bool,
}

/// The answers that one connection awaits, in the order in which they have to come: of a stream, what is
/// answered needs no mark of its own.
///
/// Takes constant memory, whatever is sent: of the messages in flight, only their times and sizes are kept. What they
/// said is looked up in the pattern.
#[derive(Debug, Default)]
pub(crate) struct ReplyVerifier {
    /// Where in the pattern this connection begins.
    salt: u64,
    flight: VecDeque<SentMessage>,
    /// How many of them, from the first on, were counted as timed out.
    overdue: usize,
    /// How many bytes were sent before the first message in flight.
    before: u64,
    /// How many bytes of its answer have come.
    within: usize,
    /// How many bytes have been received in all.
    received: u64,
    /// How many bytes of the terminator have come.
    matched: usize,
}

impl Expected {
    pub(crate) fn new(pattern: Pattern, reply: Reply, verify: Verify) -> Self {
        let terminator = match &reply {
            Reply::Until(text) => Some(Terminator::new(text)),
            _ => None,
        };
        Self {
            pattern,
            reply,
            verify,
            terminator,
        }
    }

    /// How long the answer to a message of `size` bytes is, if that is known.
    fn answer_size(&self, size: usize) -> usize {
        match &self.reply {
            Reply::Echo => size,
            Reply::Suffix(suffix) => size + suffix.len(),
            Reply::Size(size) => *size,
            Reply::Until(_) => usize::MAX,
            Reply::None => 0,
        }
    }

    /// The first byte of `got`, of the answer to the message at `place` of the pattern from its byte `within` on,
    /// that is not what it should be.
    #[inline]
    fn difference(&self, place: u64, size: usize, within: usize, got: &[u8]) -> Option<usize> {
        if self.verify != Verify::Full || matches!(self.reply, Reply::Size(_)) {
            return None;
        }
        let echoed = got.len().min(size.saturating_sub(within));
        let message = self.pattern.at(place + within as u64, echoed);
        if got[..echoed] != *message {
            return first_difference(&got[..echoed], message);
        }
        if echoed < got.len()
            && let Reply::Suffix(suffix) = &self.reply
        {
            let suffix = &suffix[within + echoed - size..];
            let difference = first_difference(&got[echoed..], suffix);
            return difference.map(|at| echoed + at);
        }
        None
    }
}

impl ReplyVerifier {
    /// Awaits none yet, of a connection that begins at `salt` of the pattern.
    pub(crate) fn new(salt: u64) -> Self {
        Self {
            salt,
            ..Self::default()
        }
    }

    /// A message is being sent, behind those in flight.
    #[inline]
    pub(crate) fn await_one(&mut self, message: SentMessage) {
        self.flight.push_back(message);
    }

    /// How many messages are in flight.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.flight.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flight.is_empty()
    }

    /// How many bytes have been received in all.
    pub(crate) const fn received(&self) -> u64 {
        self.received
    }

    /// Where in the pattern the byte is that is to come next.
    pub(crate) const fn place(&self) -> u64 {
        self.salt + self.before + self.within as u64
    }

    /// Takes `bytes`, the next of the stream, and hands every message that they complete the answer of to `answered`.
    ///
    /// # Errors
    ///
    /// Where they are not what they should be. The messages before that are answered.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        mut bytes: &[u8],
        expected: &Expected,
        mut answered: impl FnMut(SentMessage),
    ) -> Result<(), Discrepancy> {
        let all = bytes.len();
        while !bytes.is_empty() {
            let at = all - bytes.len();
            // What is in flight without an answer to come is not what this answers.
            let awaited = self
                .flight
                .front()
                .filter(|_| expected.reply != Reply::None);
            let Some(&message) = awaited else {
                let surplus = expected.verify != Verify::Off;
                if !surplus {
                    self.received += bytes.len() as u64;
                }
                return if surplus {
                    Err(Discrepancy {
                        at,
                        place: None,
                        surplus,
                    })
                } else {
                    Ok(())
                };
            };
            let (count, complete) = match &expected.terminator {
                Some(terminator) => terminator.find(bytes, &mut self.matched),
                None => {
                    let left = expected.answer_size(message.size as usize) - self.within;
                    (left.min(bytes.len()), left <= bytes.len())
                }
            };
            if expected.terminator.is_none() {
                let place = self.salt + self.before;
                let got = &bytes[..count];
                if let Some(index) =
                    expected.difference(place, message.size as usize, self.within, got)
                {
                    self.received += index as u64;
                    let within = self.within + index;
                    return Err(Discrepancy {
                        at: at + index,
                        place: (within < message.size as usize).then_some(place + within as u64),
                        surplus: false,
                    });
                }
            }
            self.received += count as u64;
            bytes = &bytes[count..];
            if complete {
                self.complete_first();
                answered(message);
            } else {
                self.within += count;
            }
        }
        Ok(())
    }

    /// The first message in flight needs no answer any more.
    pub(crate) fn complete_first(&mut self) {
        if let Some(message) = self.flight.pop_front() {
            self.before += u64::from(message.size);
            self.within = 0;
            self.overdue = self.overdue.saturating_sub(1);
        }
    }

    /// Hands every message in flight that is overdue at `now`, and was not before, to `expired`. Returns when the next
    /// will be.
    pub(crate) fn expire(
        &mut self,
        now: u64,
        timeout: u64,
        mut expired: impl FnMut(SentMessage),
    ) -> Option<u64> {
        while let Some(&message) = self.flight.get(self.overdue) {
            let until = message.sent.saturating_add(timeout);
            if until > now {
                return Some(until);
            }
            self.overdue += 1;
            expired(message);
        }
        None
    }

    /// The first message in flight.
    pub(crate) fn first(&self) -> Option<&SentMessage> {
        self.flight.front()
    }

    /// Takes every message in flight, and hands each to `end`, with whether any of its bytes is among the first
    /// `written` of the pattern, which were given to the kernel.
    pub(crate) fn abandon(&mut self, written: u64, mut end: impl FnMut(SentMessage, bool)) {
        let mut place = self.salt + self.before;
        for message in self.flight.drain(..) {
            end(message, place < written);
            place += u64::from(message.size);
        }
    }
}

fn first_difference(got: &[u8], expected: &[u8]) -> Option<usize> {
    got.iter()
        .zip(expected)
        .position(|(one, other)| one != other)
}

#[cfg(test)]
mod tests;
