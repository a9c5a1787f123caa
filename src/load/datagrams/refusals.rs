//! Whether a server's port is closed, as far as ICMP errors tell.

use std::io::{self, ErrorKind};

/// How many datagrams may have been sent before the first refusal, for the port to have been closed from the beginning.
const FIRST_MAX: u64 = 2;

/// How many datagrams without an error show that a port is open again.
const SENT_MIN: u32 = 8;

/// Refusals of one flow's datagrams: ICMP port unreachable, which Linux reports as `ECONNREFUSED` (udp(7)).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Refusals {
    /// The last that was heard from the server is a refusal.
    refused: bool,
    /// How many datagrams had been sent to other addresses before.
    sent_before: u64,
    /// How many datagrams had been sent to this address by the first.
    first_after: Option<u64>,
    /// How many have been sent since the last.
    sent_since: u32,
}

impl Refusals {
    /// None yet, of an address that is used after `sent` datagrams.
    pub(crate) fn after(sent: u64) -> Self {
        Self {
            sent_before: sent,
            ..Self::default()
        }
    }

    /// A call has failed, after `sent` datagrams.
    pub(crate) fn note(&mut self, error: &io::Error, sent: u64) {
        if error.kind() == ErrorKind::ConnectionRefused {
            (self.refused, self.sent_since) = (true, 0);
            self.first_after.get_or_insert(sent - self.sent_before);
        }
    }

    /// A datagram was sent, and no reply is expected that would show that the port is open: many in a row without an
    /// error do.
    pub(crate) const fn sent_without_reply(&mut self) {
        self.sent_since = self.sent_since.saturating_add(1);
        if self.sent_since >= SENT_MIN {
            self.refused = false;
        }
    }

    /// A datagram came, so the port is open.
    pub(crate) const fn heard(&mut self) {
        self.refused = false;
    }

    /// Whether the last that was heard from the server is a refusal.
    pub(crate) const fn is_refused(&self) -> bool {
        self.refused
    }

    /// Whether one of the first datagrams was refused already, and nothing else was heard since.
    pub(crate) fn is_refused_from_the_beginning(&self) -> bool {
        self.refused && self.first_after.is_some_and(|sent| sent <= FIRST_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_closed_from_the_beginning_if_one_of_the_first_datagrams_is_refused() {
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        for (sent, from_the_beginning) in [(1, true), (2, true), (3, false)] {
            let mut refusals = Refusals::default();
            refusals.note(&io::Error::from(ErrorKind::HostUnreachable), sent);
            assert!(!refusals.is_refused());
            refusals.note(&refused, sent);
            assert!(refusals.is_refused());
            assert_eq!(refusals.is_refused_from_the_beginning(), from_the_beginning);
            refusals.heard();
            assert!(!refusals.is_refused());
            refusals.note(&refused, 1_000);
            assert_eq!(refusals.is_refused_from_the_beginning(), from_the_beginning);
        }
    }

    #[test]
    fn datagrams_to_other_addresses_do_not_count() {
        for (sent, from_the_beginning) in [(101, true), (103, false)] {
            let mut refusals = Refusals::after(100);
            refusals.note(&ErrorKind::ConnectionRefused.into(), sent);
            assert_eq!(refusals.is_refused_from_the_beginning(), from_the_beginning);
        }
    }
}
