//! Text for a person, with the origin of each entry.

use std::fmt::{self, Display, Write};

/// The author of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A peer: the text is not trusted.
    Peer,
    /// This program.
    Program,
}

/// One entry of a [`DisplayText`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The author of the text.
    pub origin: Origin,
    /// What each line of the text begins with. It is this program's. Empty for the program's own text.
    pub prefix: &'a str,
    /// One or more lines, without the last line feed.
    pub text: &'a str,
}

/// Text for a person. Its entries keep who has written them, because text of a peer is wrapped by
/// other rules than text of this program: no row of a peer may look like a row of someone else.
///
/// Displayed, it is plain lines, each with its prefix.
///
/// ```
/// use echoloop::service::DisplayText;
///
/// let mut text = DisplayText::default();
/// text.push_program("#1 has connected");
/// text.push_peer("#1 | ", "hello\n#2 | forged\n");
/// assert_eq!(text.to_string(), "#1 has connected\n#1 | hello\n#1 | #2 | forged\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisplayText {
    text: String,
    /// The origin of each entry, and where its prefix and its text end.
    entries: Vec<(Origin, usize, usize)>,
}

impl DisplayText {
    /// Appends what a peer has written. Each of its lines begins with `prefix`.
    pub fn push_peer(&mut self, prefix: impl Display, text: &str) {
        // A string takes whatever is written to it.
        let _ = write!(self.text, "{prefix}");
        let prefix_end = self.text.len();
        self.text.push_str(text.strip_suffix('\n').unwrap_or(text));
        let end = self.text.len();
        self.entries.push((Origin::Peer, prefix_end, end));
    }

    /// Appends text of this program, without its last line feed.
    pub fn push_program(&mut self, text: impl Display) {
        let start = self.text.len();
        let _ = write!(self.text, "{text}");
        let end = self.text.len();
        self.entries.push((Origin::Program, start, end));
    }

    /// Appends the entries of `other`.
    pub fn append(&mut self, other: &Self) {
        let offset = self.text.len();
        self.text.push_str(&other.text);
        let moved = other.entries.iter();
        let moved = moved.map(|&(origin, prefix, end)| (origin, offset + prefix, offset + end));
        self.entries.extend(moved);
    }

    /// Removes the last entry.
    pub(super) fn pop(&mut self) {
        self.entries.pop();
        let end = self.entries.last().map_or(0, |&(.., end)| end);
        self.text.truncate(end);
    }

    /// The entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut start = 0;
        self.entries.iter().map(move |&(origin, prefix_end, end)| {
            let entry = Entry {
                origin,
                prefix: &self.text[start..prefix_end],
                text: &self.text[prefix_end..end],
            };
            start = end;
            entry
        })
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many bytes of memory the entries take.
    pub(super) const fn size(&self) -> usize {
        self.text.len() + self.entries.len() * size_of::<(Origin, usize, usize)>()
    }
}

impl Display for DisplayText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { prefix, text, .. } in self.entries() {
            for line in text.split('\n') {
                writeln!(f, "{prefix}{line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_peer_has_the_prefix() {
        let mut text = DisplayText::default();
        text.push_peer("<<< ", "one\n\ntwo\n\n");
        text.push_peer("<<< ", "");
        assert_eq!(text.to_string(), "<<< one\n<<< \n<<< two\n<<< \n<<< \n");
    }

    #[test]
    fn appended_entries_keep_their_origin_and_the_last_can_be_removed() {
        let (mut text, mut other) = (DisplayText::default(), DisplayText::default());
        text.push_program("first");
        other.push_peer("p ", "second");
        other.push_program("third");
        text.append(&other);
        let entry = |origin, prefix, text| Entry {
            origin,
            prefix,
            text,
        };
        let all = [
            entry(Origin::Program, "", "first"),
            entry(Origin::Peer, "p ", "second"),
            entry(Origin::Program, "", "third"),
        ];
        assert!(text.entries().eq(all));
        text.pop();
        assert!(text.entries().eq(all[..2].iter().copied()));
        text.pop();
        text.pop();
        assert!(text.is_empty() && text.size() == 0);
    }
}
