//! Datagrams in flight, by their numbers.

use std::collections::VecDeque;

use crate::load::schedule::message::SentMessage;

/// Datagrams that are awaited. Each has a higher number than those before; replies may come in any order.
#[derive(Debug, Default)]
pub(crate) struct AwaitedDatagrams {
    /// The number of the first in `messages`.
    first: u64,
    /// From that number on. `None` is not awaited any more. Invariant: the first is awaited.
    messages: VecDeque<Option<SentMessage>>,
    awaited: usize,
}

impl AwaitedDatagrams {
    /// How many are awaited.
    pub(crate) const fn len(&self) -> usize {
        self.awaited
    }

    /// Awaits the reply to `message`, whose number is higher than all before.
    pub(crate) fn push(&mut self, number: u64, message: SentMessage) {
        if self.messages.is_empty() {
            self.first = number;
        }
        let end = self.first + self.messages.len() as u64;
        self.messages.extend((end..number).map(|_| None));
        self.messages.push_back(Some(message));
        self.awaited += 1;
    }

    /// The one that has been awaited for longest, and its number.
    pub(crate) fn first(&self) -> Option<(u64, SentMessage)> {
        let message = self.messages.front().copied().flatten()?;
        Some((self.first, message))
    }

    /// Takes the one of this number, if it is awaited. It is not any more.
    pub(crate) fn take(&mut self, number: u64) -> Option<SentMessage> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let message = self.messages.get_mut(index)?.take()?;
        self.awaited -= 1;
        while let Some(None) = self.messages.front() {
            self.messages.pop_front();
            self.first += 1;
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_in_any_order_find_their_messages_once() {
        let mut flight = AwaitedDatagrams::default();
        // Number 5 was not sent.
        for number in [2, 3, 4, 6] {
            flight.push(number, SentMessage::on_time(number, 64));
        }
        assert_eq!(
            (flight.len(), flight.first()),
            (4, Some((2, SentMessage::on_time(2, 64))))
        );
        assert_eq!(flight.take(3), Some(SentMessage::on_time(3, 64)));
        assert_eq!(flight.take(3), None);
        assert_eq!(flight.first(), Some((2, SentMessage::on_time(2, 64))));
        assert_eq!(flight.take(2), Some(SentMessage::on_time(2, 64)));
        assert_eq!(flight.first(), Some((4, SentMessage::on_time(4, 64))));
        assert_eq!(flight.take(4), Some(SentMessage::on_time(4, 64)));
        assert_eq!(
            (flight.len(), flight.first()),
            (1, Some((6, SentMessage::on_time(6, 64))))
        );
        assert_eq!([1, 5, 7].map(|number| flight.take(number)), [None; 3]);
        assert_eq!(flight.take(6), Some(SentMessage::on_time(6, 64)));
        assert_eq!((flight.len(), flight.first()), (0, None));
        flight.push(90, SentMessage::on_time(90, 64));
        assert_eq!(flight.first(), Some((90, SentMessage::on_time(90, 64))));
    }
}
