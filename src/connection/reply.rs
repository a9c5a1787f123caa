//! What a service answers to one batch of input, collected so that it leaves in one write.

use std::num::NonZeroUsize;

#[cfg(doc)]
use super::Limits;

/// The answer to the message at hand.
///
/// A read may bring several messages (slices of at most `recv-size` bytes); the replies to all of
/// them are collected here and written together. Replies that are echoes of consecutive messages are
/// kept as a range of the read buffer and never copied.
///
/// # Limits
///
/// A reply is not bounded by itself: what the kernel does not take is kept, and once it passes the
/// high watermark the client is not read from until it has drained. So a service's output for one
/// read-ahead of input adds to the memory bound of a client.
#[derive(Debug)]
pub struct Reply<'a> {
    input: &'a [u8],
    /// The message at hand, and where it ends in `input`.
    message: &'a [u8],
    message_end: usize,
    /// The part of `input` that is echoed as it lies, and where it ends there. Invariant: empty once
    /// `output` holds anything.
    echoed: &'a [u8],
    echoed_end: usize,
    output: &'a mut Vec<u8>,
    hung_up: bool,
    deferred: u32,
}

impl<'a> Reply<'a> {
    fn new(input: &'a [u8], output: &'a mut Vec<u8>) -> Self {
        output.clear();
        Self {
            input,
            message: &[],
            message_end: 0,
            echoed: &[],
            echoed_end: 0,
            output,
            hung_up: false,
            deferred: 0,
        }
    }

    /// Answers with the message itself, unchanged. It leaves from the read buffer, without a copy,
    /// as long as the service has answered with nothing but echoes.
    #[inline]
    pub fn echo(&mut self) {
        if !self.output.is_empty() {
            self.output.extend_from_slice(self.message);
        } else if self.echoed.is_empty() {
            (self.echoed, self.echoed_end) = (self.message, self.message_end);
        } else if self.echoed_end + self.message.len() == self.message_end {
            let start = self.echoed_end - self.echoed.len();
            (self.echoed, self.echoed_end) =
                (&self.input[start..self.message_end], self.message_end);
        } else {
            let echoed = std::mem::take(&mut self.echoed);
            copy(self.output, echoed, self.message);
        }
    }

    /// Answers with `bytes`, behind everything answered before.
    pub fn send(&mut self, bytes: &[u8]) {
        let echoed = std::mem::take(&mut self.echoed);
        copy(self.output, echoed, bytes);
    }

    /// Ends this conversation: what has been answered is still delivered, later input is discarded.
    pub const fn hang_up(&mut self) {
        self.hung_up = true;
    }

    /// Promises an answer to the message at hand, to be given later. Until then the conversation does not
    /// end with the peer's end, and once [so many](Limits::deferred) are promised no more is read.
    pub const fn defer(&mut self) {
        self.deferred += 1;
    }

    /// Hands `message`, the next of the input, to `serve`.
    #[inline(always)]
    fn serve(&mut self, message: &'a [u8], serve: &mut impl FnMut(&[u8], &mut Self)) {
        self.message = message;
        self.message_end += message.len();
        serve(message, self);
    }

    #[inline(always)]
    fn finish(self, messages: u64) -> Answer<'a> {
        let bytes = if self.output.is_empty() {
            self.echoed
        } else {
            self.output.as_slice()
        };
        Answer {
            bytes,
            messages,
            answered: self.message_end,
            hung_up: self.hung_up,
            deferred: self.deferred,
        }
    }
}

/// What a service has answered to one batch of input.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    /// Everything answered, in order.
    pub(crate) bytes: &'a [u8],
    /// How many messages there were, and how much of the input they were.
    pub(crate) messages: u64,
    pub(crate) answered: usize,
    /// The service has ended the conversation.
    pub(crate) hung_up: bool,
    /// How many answers it has promised.
    pub(crate) deferred: u32,
}

impl<'a> Answer<'a> {
    /// Hands `input`, as one message, to `serve`. `output` is room for what can't be sent from `input`
    /// itself.
    #[inline(always)]
    pub(crate) fn to_one(
        input: &'a [u8],
        output: &'a mut Vec<u8>,
        mut serve: impl FnMut(&[u8], &mut Reply<'a>),
    ) -> Self {
        let mut reply = Reply::new(input, output);
        reply.serve(input, &mut serve);
        reply.finish(1)
    }

    /// Hands the messages of `input`, of at most `size` bytes each, to `serve`, in order, until it
    /// hangs up.
    pub(crate) fn to_many(
        input: &'a [u8],
        output: &'a mut Vec<u8>,
        size: NonZeroUsize,
        mut serve: impl FnMut(&[u8], &mut Reply<'a>),
    ) -> Self {
        let mut reply = Reply::new(input, output);
        let mut messages = 0;
        for message in input.chunks(size.get()) {
            reply.serve(message, &mut serve);
            messages += 1;
            if reply.hung_up {
                break;
            }
        }
        reply.finish(messages)
    }
}

/// Not a method, so that a reply of nothing but echoes stays in registers.
#[inline(never)]
fn copy(output: &mut Vec<u8>, first: &[u8], second: &[u8]) {
    output.extend_from_slice(first);
    output.extend_from_slice(second);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(
        input: &[u8],
        size: usize,
        serve: impl FnMut(&[u8], &mut Reply<'_>),
    ) -> (Vec<u8>, bool) {
        let mut output = b"left over".to_vec();
        let answer = Answer::to_many(input, &mut output, size.try_into().unwrap(), serve);
        let bytes = answer.bytes.to_vec();
        (bytes, !output.is_empty())
    }

    #[test]
    fn echoes_of_consecutive_messages_are_one_range_and_no_copy() {
        let (bytes, copied) = answer(b"abcdefgh", 3, |_, reply| reply.echo());
        assert_eq!((bytes.as_slice(), copied), (&b"abcdefgh"[..], false));
    }

    #[test]
    fn echoes_and_other_bytes_keep_their_order() {
        let (bytes, copied) = answer(b"abcdef", 2, |message, reply| {
            reply.echo();
            if message == b"cd" {
                reply.send(b"!");
            }
        });
        assert_eq!((bytes.as_slice(), copied), (&b"abcd!ef"[..], true));
    }

    #[test]
    fn an_echo_repeated_or_after_a_gap_is_copied_in_order() {
        let (bytes, _) = answer(b"abcdef", 2, |message, reply| match message {
            b"cd" => {}
            _ => {
                reply.echo();
                reply.echo();
            }
        });
        assert_eq!(bytes, b"ababefef");
    }

    #[test]
    fn hanging_up_keeps_what_was_answered_and_serves_no_further_message() {
        let mut output = Vec::new();
        let answer = Answer::to_many(
            b"abcdef",
            &mut output,
            2.try_into().unwrap(),
            |message, reply| {
                reply.echo();
                if message == b"cd" {
                    reply.hang_up();
                }
            },
        );
        assert_eq!(
            (answer.messages, answer.bytes, answer.hung_up),
            (2, &b"abcd"[..], true)
        );
    }
}
