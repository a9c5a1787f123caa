//! What a service answers to one batch of input, collected so that it leaves in one write.

use std::num::NonZeroUsize;

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
}

impl<'a> Reply<'a> {
    /// A reply to `input`, with room in `output` for what can't be sent from `input` itself.
    #[inline]
    pub fn new(input: &'a [u8], output: &'a mut Vec<u8>) -> Self {
        output.clear();
        Self {
            input,
            message: &[],
            message_end: 0,
            echoed: &[],
            echoed_end: 0,
            output,
            hung_up: false,
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

    /// Hands every message of at most `size` bytes to `serve`, in order, until it hangs up.
    /// Returns how many there were. An empty input is one empty message.
    #[inline]
    pub(crate) fn serve(
        &mut self,
        size: NonZeroUsize,
        mut serve: impl FnMut(&[u8], &mut Self),
    ) -> u64 {
        // Most reads bring one message, and the way of most messages is kept free of a loop.
        if self.input.len() <= size.get() {
            (self.message, self.message_end) = (self.input, self.input.len());
            serve(self.message, self);
            return 1;
        }
        let (mut rest, mut messages) = (self.input, 0);
        loop {
            (self.message, rest) = rest.split_at(rest.len().min(size.get()));
            self.message_end += self.message.len();
            serve(self.message, self);
            messages += 1;
            if rest.is_empty() || self.hung_up {
                return messages;
            }
        }
    }

    /// Everything answered, in order.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.output.is_empty() {
            self.echoed
        } else {
            self.output
        }
    }

    /// Whether the service has ended the conversation.
    pub(crate) const fn is_hung_up(&self) -> bool {
        self.hung_up
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
        let mut reply = Reply::new(input, &mut output);
        reply.serve(NonZeroUsize::new(size).unwrap(), serve);
        let copied = !reply.output.is_empty();
        (reply.as_slice().to_vec(), copied)
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
        let mut reply = Reply::new(b"abcdef", &mut output);
        let messages = reply.serve(NonZeroUsize::new(2).unwrap(), |message, reply| {
            reply.echo();
            if message == b"cd" {
                reply.hang_up();
            }
        });
        assert_eq!(
            (messages, reply.as_slice(), reply.is_hung_up()),
            (2, &b"abcd"[..], true)
        );
    }
}
