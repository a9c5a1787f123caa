//! Datagrams that are not awaited any more, and may still be replied to.

use std::collections::VecDeque;

use crate::load::plan::Plan;
use crate::load::schedule::message::SentMessage;

/// How many may be kept, of all flows together and of each at least.
const EXPIRED_MAX: usize = 1 << 16;
const EXPIRED_MIN: usize = 16;

/// The datagrams of one flow whose time limit has passed, by their numbers: a late reply is matched with what it replies
/// to. Only the newest are kept, so that a server that never replies does not fill the memory.
#[derive(Debug)]
pub(crate) struct ExpiredDatagrams {
    /// In the order of their numbers.
    messages: VecDeque<(u64, SentMessage)>,
    most: usize,
}

impl ExpiredDatagrams {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            messages: VecDeque::new(),
            most: (EXPIRED_MAX / plan.connections.max(1)).max(EXPIRED_MIN),
        }
    }

    /// Keeps `message`, of a higher number than all before. Returns the oldest if there is no room for it any more.
    pub(crate) fn push(&mut self, number: u64, message: SentMessage) -> Option<SentMessage> {
        let oldest = if self.messages.len() >= self.most {
            self.pop()
        } else {
            None
        };
        self.messages.push_back((number, message));
        oldest
    }

    /// Takes the one of this number, if it is there.
    pub(crate) fn take(&mut self, number: u64) -> Option<SentMessage> {
        let index = self
            .messages
            .binary_search_by_key(&number, |(number, _)| *number);
        self.messages
            .remove(index.ok()?)
            .map(|(_, message)| message)
    }

    /// Takes the newest, if it was sent at `oldest` or later.
    pub(crate) fn take_last(&mut self, oldest: u64) -> Option<SentMessage> {
        let (_, newest) = self.messages.back()?;
        if newest.sent < oldest {
            return None;
        }
        self.messages.pop_back().map(|(_, message)| message)
    }

    /// Takes the oldest.
    pub(crate) fn pop(&mut self) -> Option<SentMessage> {
        self.messages.pop_front().map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_reply_finds_its_message_once() {
        let mut expired = ExpiredDatagrams::new(&Plan::new());
        for number in [3, 7, 8, 20] {
            assert_eq!(expired.push(number, SentMessage::on_time(number, 64)), None);
        }
        assert_eq!(expired.take(7), Some(SentMessage::on_time(7, 64)));
        assert_eq!(expired.take(7), None);
        assert_eq!(expired.take_last(21), None, "too long ago");
        assert_eq!(expired.take_last(20), Some(SentMessage::on_time(20, 64)));
        assert_eq!(expired.pop(), Some(SentMessage::on_time(3, 64)));
        assert_eq!(expired.pop(), Some(SentMessage::on_time(8, 64)));
        assert_eq!(expired.pop(), None);
    }

    #[test]
    fn only_the_newest_are_kept() {
        let mut expired = ExpiredDatagrams::new(&Plan {
            connections: EXPIRED_MAX,
            ..Plan::new()
        });
        let dropped: Vec<_> = (0..20)
            .filter_map(|n| expired.push(n, SentMessage::on_time(n, 64)))
            .collect();
        assert_eq!(
            dropped,
            [
                SentMessage::on_time(0, 64),
                SentMessage::on_time(1, 64),
                SentMessage::on_time(2, 64),
                SentMessage::on_time(3, 64)
            ]
        );
    }
}
