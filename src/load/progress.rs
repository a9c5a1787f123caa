//! When replies came, and for how long none did.

use super::elapsed;

/// A server that answered nothing for this long, and for [`GAPS`] times as long as ever before, is silent.
const SILENT_MIN: u64 = 100_000_000;

/// That long of it have to be in the measured window.
const SILENT_IN_WINDOW_MIN: u64 = 10_000_000;

const GAPS: u64 = 3;

/// When replies came. (With `Reply::None`: when messages were written.) Times are in nanoseconds since the load began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    last: u64,
    /// The longest time between two of them in the measured window.
    longest_gap: u64,
    /// When something was tried first since the last reply: a message sent, or a connection that failed.
    waiting_since: u64,
    /// Messages were in flight when the window ended; the time without a reply by then.
    at_end: Option<u64>,
    replied_after_end: bool,
}

impl Progress {
    pub(super) const fn new() -> Self {
        Self {
            last: 0,
            longest_gap: 0,
            waiting_since: u64::MAX,
            at_end: None,
            replied_after_end: false,
        }
    }

    /// The measured window begins.
    pub(super) fn begin(&mut self, from: u64) {
        self.last = self.last.max(from);
        self.longest_gap = 0;
    }

    /// When the last reply came.
    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// A message was sent, or a connection could not be opened.
    #[inline]
    pub(super) fn tried(&mut self, now: u64) {
        self.waiting_since = self.waiting_since.min(now);
    }

    /// A reply came, and `in_flight` messages still wait for theirs.
    #[inline]
    pub(super) fn replied(&mut self, now: u64, in_flight: u64) {
        self.longest_gap = self.longest_gap.max(elapsed(self.last, now));
        self.last = now;
        self.waiting_since = if in_flight > 0 { now } else { u64::MAX };
        self.replied_after_end |= self.at_end.is_some();
    }

    /// Since when something is tried and no reply comes. `None`: there is nothing to wait for.
    pub(super) const fn waiting_since(&self) -> Option<u64> {
        match self.waiting_since {
            u64::MAX => None,
            since => Some(since),
        }
    }

    /// The window ends at `now`, and messages are in flight, the oldest since `oldest`; this client was paused for
    /// `paused` of the time since the last reply.
    pub(super) fn end_with(&mut self, oldest: u64, paused: u64, now: u64) {
        let silence = elapsed(self.last.max(oldest), now);
        self.at_end = Some(silence.saturating_sub(paused));
    }

    /// How long the server had been silent when the window ended, if it was, and stayed so until `now`, the end of the
    /// run. A reply takes its time, so a silence is one only if it is much longer than those before it.
    pub(super) fn silence(&self, now: u64) -> Option<u64> {
        let silence = self.at_end.filter(|_| !self.replied_after_end)?;
        let unusual = GAPS * self.longest_gap;
        let silent = silence >= unusual.max(SILENT_IN_WINDOW_MIN)
            && elapsed(self.last, now) >= unusual.max(SILENT_MIN);
        silent.then_some(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Replies at these times of a window from 0 to 1000 ms, in which a message is in flight since the last.
    fn progress(replies: &[u64]) -> Progress {
        let mut progress = Progress::new();
        progress.begin(0);
        for &ms in replies {
            progress.replied(ms * MS, 0);
        }
        progress.end_with(progress.last(), 0, 1_000 * MS);
        progress
    }

    #[test]
    fn a_server_that_stops_replying_is_silent_at_the_end() {
        let stopped = progress(&[10, 20, 30, 500]);
        assert_eq!(stopped.silence(2_000 * MS), None, "it was as slow before");
        let stopped = progress(&[10, 20, 30, 40]);
        assert_eq!(stopped.silence(1_000 * MS), Some(960 * MS));
    }

    #[test]
    fn a_reply_after_the_window_shows_that_the_server_is_there() {
        let mut slow = progress(&[10, 20, 30, 40]);
        slow.replied(1_200 * MS, 0);
        assert_eq!(slow.silence(3_000 * MS), None);
    }

    #[test]
    fn a_silence_of_ordinary_length_does_not_count() {
        let steady: Vec<u64> = (0..99).map(|n| n * 10).collect();
        assert_eq!(progress(&steady).silence(1_100 * MS), None);
        let short = progress(&(0..99).map(|n| n * 10 + 1).collect::<Vec<_>>());
        assert_eq!(short.silence(1_100 * MS), None, "19 ms against 10");
    }

    #[test]
    fn a_pause_of_this_client_is_not_the_servers_silence() {
        let mut progress = Progress::new();
        progress.begin(0);
        progress.replied(10 * MS, 0);
        progress.end_with(10 * MS, 985 * MS, 1_000 * MS);
        assert_eq!(progress.silence(3_000 * MS), None);
    }

    #[test]
    fn waiting_begins_with_the_first_attempt_after_a_reply() {
        let mut progress = Progress::new();
        assert_eq!(progress.waiting_since(), None);
        progress.tried(5);
        progress.tried(7);
        assert_eq!(progress.waiting_since(), Some(5));
        progress.replied(9, 2);
        assert_eq!(progress.waiting_since(), Some(9), "others wait still");
        progress.replied(11, 0);
        assert_eq!(progress.waiting_since(), None);
    }
}
