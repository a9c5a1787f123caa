//! When replies came, and for how long none did.

use crate::load::time::elapsed;

/// A server that answered nothing for this long, and for [`TIMES`] times as long as ever before, is silent.
const SILENT_MIN: u64 = 100_000_000;

/// That long of it have to be in the measured window.
const SILENT_IN_WINDOW_MIN: u64 = 10_000_000;

const TIMES: u64 = 3;

/// A silence that the drain confirms need not be longer than ever before, but longer than usual by this factor.
const USUAL_TIMES: u64 = 10;

/// When replies came, and how long they were waited for. (With `Reply::None`: when messages were written.) Times are in
/// nanoseconds since the load began.
///
/// Time in which there is nothing to wait for, such as between the messages of a slow schedule, does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    last: u64,
    /// Replies in the measured window, and when it began.
    replies: u64,
    from: u64,
    /// How long was waited in vain since the last reply, without the wait that is going on.
    waited: u64,
    /// Since when something is waited for; or [`NOTHING`].
    waiting_since: u64,
    /// How many messages have waited for a reply since the last one.
    unanswered: u64,
    /// The longest wait for a reply in the measured window.
    longest: u64,
    /// How long was waited in vain when the window ended, if it was.
    at_end: Option<u64>,
    replied_after_end: bool,
}

/// Not a time: nothing is waited for.
const NOTHING: u64 = u64::MAX;

impl Progress {
    pub(crate) const fn new() -> Self {
        Self {
            last: 0,
            replies: 0,
            from: 0,
            waited: 0,
            waiting_since: NOTHING,
            unanswered: 0,
            longest: 0,
            at_end: None,
            replied_after_end: false,
        }
    }

    /// The measured window begins.
    pub(crate) fn begin(&mut self, from: u64) {
        (self.from, self.last) = (from, self.last.max(from));
        (self.replies, self.longest, self.waited) = (0, 0, 0);
        if self.waiting_since != NOTHING {
            self.waiting_since = self.waiting_since.max(from);
        }
    }

    /// When the last reply came.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// The end of a window that began at `from` and ends with the last reply: `now` if there was none.
    pub(crate) const fn after_last(&self, from: u64, now: u64) -> u64 {
        if self.last > from { self.last + 1 } else { now }
    }

    /// A message was sent.
    #[inline]
    pub(crate) fn sent(&mut self, now: u64) {
        self.unanswered += 1;
        self.waiting_since = self.waiting_since.min(now);
    }

    /// Something was tried and failed at `now`: to connect, or to send.
    pub(crate) fn failed(&mut self, now: u64) {
        self.waiting_since = self.waiting_since.min(now);
    }

    /// A reply came, and `in_flight` messages still wait for theirs.
    #[inline]
    pub(crate) fn replied(&mut self, now: u64, in_flight: u64) {
        self.longest = self.longest.max(self.waited(now));
        (self.last, self.waited, self.unanswered) = (now, 0, in_flight);
        self.replies += 1;
        self.waiting_since = if in_flight > 0 { now } else { NOTHING };
        self.replied_after_end |= self.at_end.is_some();
    }

    /// Nothing is in flight any more, although no reply came.
    pub(crate) fn gave_up_on_all(&mut self, now: u64) {
        self.waited = self.waited(now);
        self.waiting_since = NOTHING;
    }

    /// For how long something has been waited for in vain since the last reply.
    pub(crate) const fn waited(&self, now: u64) -> u64 {
        match self.waiting_since {
            NOTHING => self.waited,
            since => self.waited + elapsed(since, now),
        }
    }

    /// When that will be `patience`, if something is waited for.
    pub(crate) const fn patience_ends(&self, patience: u64) -> Option<u64> {
        match self.waiting_since {
            NOTHING => None,
            since => Some(since.saturating_add(patience.saturating_sub(self.waited))),
        }
    }

    /// The window ends at `now`. This client was paused for `paused` of the time since the last reply.
    pub(crate) fn end(&mut self, paused: u64, now: u64) {
        let waited = self.waited(now).saturating_sub(paused);
        self.at_end = (waited > 0).then_some(waited);
    }

    /// How long the server had been silent when the window ended, if it was, and stayed so until `now`, the end of the
    /// run. A reply takes its time, so a silence is one only if it is much longer than earlier waits: than the longest,
    /// or, on a stream that loses nothing, than the usual if no reply came within `timeout` either. `is_stream`: a single
    /// datagram without a reply is a lost one.
    pub(crate) fn silence(&self, is_stream: bool, timeout: u64, now: u64) -> Option<u64> {
        let silence = self.at_end.filter(|_| !self.replied_after_end)?;
        if !is_stream && self.unanswered < 2 {
            return None;
        }
        let total = silence.max(self.waited(now));
        let unusual = TIMES * self.longest;
        let longer_than_ever =
            silence >= unusual.max(SILENT_IN_WINDOW_MIN) && total >= unusual.max(SILENT_MIN);
        let usual = elapsed(self.from, self.last) / self.replies.max(1);
        let confirmed =
            is_stream && silence >= (USUAL_TIMES * usual).max(SILENT_MIN) && total >= timeout;
        (longer_than_ever || confirmed).then_some(silence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const TIMEOUT: u64 = 2_000 * MS;

    /// Messages that are replied to at these times, each sent with the reply before, in a window from 0 to 1000 ms. One
    /// more is never replied to.
    fn progress(replies: &[u64]) -> Progress {
        let mut progress = Progress::new();
        progress.begin(0);
        progress.sent(0);
        for &ms in replies {
            progress.replied(ms * MS, 0);
            progress.sent(ms * MS);
        }
        progress.end(0, 1_000 * MS);
        progress
    }

    #[test]
    fn a_server_that_stops_replying_is_silent_at_the_end() {
        let stopped = progress(&[10, 20, 30, 40]);
        assert_eq!(stopped.silence(true, TIMEOUT, 1_000 * MS), Some(960 * MS));
    }

    #[test]
    fn a_stall_before_hides_a_silence_only_until_the_time_limit() {
        let stalled: Vec<u64> = (1..40).chain([500]).collect();
        let stalled = progress(&stalled);
        assert_eq!(
            stalled.silence(true, TIMEOUT, 1_100 * MS),
            None,
            "as slow before"
        );
        assert_eq!(stalled.silence(true, TIMEOUT, 3_000 * MS), Some(500 * MS));
    }

    #[test]
    fn a_reply_after_the_window_shows_that_the_server_is_there() {
        let mut slow = progress(&[10, 20, 30, 40]);
        slow.replied(1_200 * MS, 0);
        assert_eq!(slow.silence(true, TIMEOUT, 3_000 * MS), None);
    }

    #[test]
    fn a_silence_of_ordinary_length_does_not_count() {
        let steady: Vec<u64> = (0..99).map(|n| n * 10).collect();
        assert_eq!(progress(&steady).silence(true, TIMEOUT, 1_100 * MS), None);
        let short = progress(&(0..99).map(|n| n * 10 + 1).collect::<Vec<_>>());
        assert_eq!(
            short.silence(true, TIMEOUT, 1_100 * MS),
            None,
            "19 ms against 10"
        );
    }

    #[test]
    fn a_single_lost_datagram_is_not_a_silence() {
        let mut lossy = progress(&[10, 20, 30, 40]);
        assert_eq!(lossy.silence(false, TIMEOUT, 3_000 * MS), None);
        lossy.sent(900 * MS);
        assert!(
            lossy.silence(false, TIMEOUT, 3_000 * MS).is_some(),
            "two in a row"
        );
    }

    #[test]
    fn a_pause_of_this_client_is_not_the_servers_silence() {
        let mut progress = progress(&[10]);
        progress.end(985 * MS, 1_000 * MS);
        assert_eq!(progress.silence(true, TIMEOUT, 1_050 * MS), None);
    }

    #[test]
    fn only_the_time_in_which_something_is_waited_for_counts() {
        let mut progress = Progress::new();
        assert_eq!(progress.patience_ends(100), None);
        progress.sent(5);
        progress.sent(7);
        assert_eq!(progress.patience_ends(100), Some(105));
        progress.replied(9, 2);
        assert_eq!(progress.patience_ends(100), Some(109), "others wait still");
        progress.gave_up_on_all(59);
        assert_eq!(
            (progress.patience_ends(100), progress.waited(9_000)),
            (None, 50)
        );
        progress.sent(10_000);
        assert_eq!(progress.patience_ends(100), Some(10_050));
        progress.replied(10_001, 0);
        assert_eq!(
            (progress.patience_ends(100), progress.waited(20_000)),
            (None, 0)
        );
    }

    #[test]
    fn after_the_last_reply_patience_is_counted_from_the_next_failure() {
        let mut progress = Progress::new();
        progress.sent(5);
        progress.replied(1_000, 0);
        progress.failed(1_001);
        assert_eq!(progress.patience_ends(100), Some(1_101));
    }
}
