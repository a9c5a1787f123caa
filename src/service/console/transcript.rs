//! What an operator is shown, until it is.

use std::fmt::{self, Display};

use crate::service::DisplayText;

/// The most bytes kept until they are shown. What comes then is dropped, and counted. One client can say
/// 64 KiB in a turn, and every byte of it can take four when it is shown.
pub(super) const KEPT_MAX: usize = 256 * 1024;

/// How wide the column is that says who speaks.
const GUTTER: usize = 4;

/// Text for the operator. Each entry of a client has the client's number.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    text: DisplayText,
    dropped: u64,
}

impl Transcript {
    /// A message of a client, or of another peer. Each of its lines has the peer's name, so a client
    /// can forge neither a notice nor a message of another client. Returns whether there was room for it.
    pub(super) fn speech(&mut self, who: impl Display, text: &str) -> bool {
        self.add(text, |shown| {
            shown.push_peer(format_args!("{who:>GUTTER$} | "), text);
        })
    }

    /// The excerpt of a message of a client, after a `label` of this program.
    pub(super) fn reminder(&mut self, number: u64, label: impl Display, excerpt: &str) {
        self.add(excerpt, |shown| {
            let who = Number(number);
            shown.push_peer(format_args!("{who:>GUTTER$} {label} "), excerpt);
        });
    }

    /// A notice about a client.
    pub(super) fn news(&mut self, number: u64, what: impl Display) {
        self.notice(format_args!("{:>GUTTER$} {what}", Number(number)));
    }

    /// A notice about something else, in lines without a client's number.
    pub(super) fn notice(&mut self, what: impl Display) {
        self.add("", |shown| shown.push_program(what));
    }

    /// What is to be shown now, and how many lines before it were dropped.
    pub(super) fn take(&mut self) -> (DisplayText, u64) {
        (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.dropped),
        )
    }

    /// Whether there is nothing to show.
    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty() && self.dropped == 0
    }

    /// Adds an entry, unless there is no room. Returns whether there was room. Otherwise the lines of
    /// `text` are counted as dropped.
    fn add(&mut self, text: &str, push: impl FnOnce(&mut DisplayText)) -> bool {
        let has_room = self.text.size() < KEPT_MAX;
        if has_room {
            push(&mut self.text);
            if self.text.size() <= KEPT_MAX {
                return true;
            }
            self.text.pop();
        }
        self.dropped += text.lines().count().max(1) as u64;
        false
    }
}

/// A client, as an operator knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) u64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As one piece, so that it can be aligned.
        f.pad(&format!("#{}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_speech_is_marked() {
        let mut transcript = Transcript::default();
        transcript.speech(Number(3), "hello\n  #4 | forged\n");
        transcript.news(12, "has left");
        assert_eq!(
            transcript.take().0.to_string(),
            "  #3 | hello\n  #3 |   #4 | forged\n #12 has left\n"
        );
    }

    #[test]
    fn what_is_not_shown_is_bounded_and_counted() {
        let mut transcript = Transcript::default();
        for _ in 0..300 {
            transcript.speech(Number(3), &"x".repeat(1000));
        }
        let (text, dropped) = transcript.take();
        let text = text.to_string();
        assert!(text.len() <= KEPT_MAX && text.ends_with('\n'));
        assert_eq!(text.lines().count() as u64 + dropped, 300);
        assert!(dropped > 0 && transcript.is_empty());
    }
}
