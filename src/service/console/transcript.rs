//! What an operator is shown, until it is.

use std::fmt;

/// The most bytes kept until they are shown. What comes then is dropped, and counted. One client can say
/// 64 KiB in a turn, and every byte of it can take four when it is shown.
pub(super) const KEPT_MAX: usize = 256 * 1024;

/// How wide the column is that says who speaks.
const GUTTER: usize = 4;

/// Lines to be shown, each marked with whom it is from or about.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    text: String,
    dropped: u64,
}

impl Transcript {
    /// What a client said. However many lines `text` has, each is marked as its own: it can't forge a
    /// notice, or what another has said. Whether there was room for all of it.
    pub(super) fn speech(&mut self, who: impl fmt::Display, text: &str) -> bool {
        let dropped = self.dropped;
        let text = text.strip_suffix('\n').unwrap_or(text);
        for line in text.split('\n') {
            self.line(format_args!("{who:>GUTTER$} | {line}\n"));
        }
        dropped == self.dropped
    }

    /// What has happened to a client.
    pub(super) fn news(&mut self, number: u64, what: impl fmt::Display) {
        self.line(format_args!("{:>GUTTER$} {what}\n", Number(number)));
    }

    /// What has happened otherwise, in lines that are no client's.
    pub(super) fn notice(&mut self, what: impl fmt::Display) {
        self.line(format_args!("{what}\n"));
    }

    /// What is to be shown now, and how many lines before it were dropped.
    pub(super) fn take(&mut self) -> (String, u64) {
        (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.dropped),
        )
    }

    /// Whether there is nothing to show.
    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty() && self.dropped == 0
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        let before = self.text.len();
        if before < KEPT_MAX {
            // A string takes whatever is written to it.
            let _ = fmt::Write::write_fmt(&mut self.text, line);
        }
        if before >= KEPT_MAX || self.text.len() > KEPT_MAX {
            self.text.truncate(before);
            self.dropped += 1;
        }
    }
}

/// A client, as an operator knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) u64);

impl fmt::Display for Number {
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
            transcript.take().0,
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
        assert!(text.len() <= KEPT_MAX && text.ends_with('\n'));
        assert_eq!(text.lines().count() as u64 + dropped, 300);
        assert!(dropped > 0 && transcript.is_empty());
    }
}
