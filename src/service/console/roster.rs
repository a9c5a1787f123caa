//! Who is there, and what they wait for.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use crate::service::{ClientId, Sanitizer};

/// How many characters of a message are kept, to remind of it when its turn comes.
const EXCERPT_MAX: usize = 60;

/// One client.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) id: ClientId,
    pub(super) address: SocketAddr,
    pub(super) sanitizer: Sanitizer,
    /// Its messages that no answer has been given to, oldest first.
    pub(super) unanswered: VecDeque<u64>,
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) from: u64,
    pub(super) excerpt: String,
}

/// A message that is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    pub(super) message: u64,
    pub(super) client: u64,
}

impl Question {
    /// The number of the client that asks.
    pub const fn client(self) -> u64 {
        self.client
    }
}

/// The client that a service knows as `client`, and its number.
pub(super) fn guest<'a>(
    numbers: &HashMap<ClientId, u64>,
    guests: &'a mut BTreeMap<u64, Guest>,
    client: ClientId,
) -> Option<(u64, &'a mut Guest)> {
    let number = *numbers.get(&client)?;
    Some((number, guests.get_mut(&number)?))
}

/// All of a text, fit for a terminal.
pub(super) fn sanitized(bytes: &[u8]) -> String {
    let (mut sanitizer, mut text) = (Sanitizer::new(), String::new());
    sanitizer.push(bytes, &mut text);
    sanitizer.finish(&mut text);
    text
}

/// The beginning of the first line of `text`.
pub(super) fn excerpt(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut excerpt: String = line.chars().take(EXCERPT_MAX).collect();
    if excerpt.len() < text.trim_end_matches('\n').len() {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pitfall 59: whatever is said in one breath, a list has a line for it.
    #[test]
    fn pitfall_59_an_excerpt_is_one_line_of_a_bounded_length() {
        assert_eq!(excerpt(""), "");
        assert_eq!(excerpt("hello\n"), "hello");
        assert_eq!(excerpt("two\nlines"), "two…");
        let long = "你".repeat(100_000);
        let shown = excerpt(&long);
        assert_eq!(shown.chars().count(), EXCERPT_MAX + 1);
        assert!(shown.ends_with('…'));
        let whole = "x".repeat(EXCERPT_MAX);
        assert_eq!(excerpt(&whole), whole);
    }
}
