//! Notices to the operator. Those about clients that come and go are limited.

use std::time::{Duration, Instant};

use super::Console;
use crate::service::Phrase;

/// How many notices about clients that come and go are shown in a second. One client that reconnects all the
/// time could otherwise scroll everything else off the screen.
const NOTICES_MAX: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// Counts the notices of a second.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// When the second ends. Without a time there is no limit.
    end: Option<Instant>,
    shown: u32,
    left_out: u64,
}

impl Notices {
    /// Whether one more may be shown. Otherwise it is counted as left out.
    fn admit(&mut self) -> bool {
        if self.end.is_none() {
            return true;
        }
        let has_room = self.shown < NOTICES_MAX;
        if has_room {
            self.shown += 1;
        } else {
            self.left_out += 1;
        }
        has_room
    }

    /// Begins another second, if this one has ended by `now`. Returns how many notices it left out.
    fn advance(&mut self, now: Instant) -> u64 {
        if self.end.is_some_and(|end| now < end) {
            return 0;
        }
        let Self { left_out, .. } = std::mem::take(self);
        self.end = Some(now + SECOND);
        left_out
    }
}

impl Console {
    /// Tells the operator something.
    pub fn tell(&mut self, phrase: Phrase<'_>) {
        self.transcript.notice(self.language.say(phrase));
        self.shown_last = None;
    }

    pub(super) fn news(&mut self, client: u64, phrase: Phrase<'_>) {
        self.transcript.news(client, self.language.say(phrase));
        self.shown_last = None;
    }

    /// A notice about a client that comes or goes, which many may do at one time.
    pub(super) fn come_or_go(&mut self, client: u64, phrase: Phrase<'_>) {
        if self.notices.admit() {
            self.news(client, phrase);
        }
    }

    /// It is `now`: sums up what was left out. Returns when to call this next.
    pub(super) fn sum_up(&mut self, now: Instant) -> Option<Instant> {
        let left_out = self.notices.advance(now);
        self.tell_of_left_out(left_out);
        self.notices.end.filter(|_| self.notices.left_out > 0)
    }

    /// Sums up what was left out, and leaves out nothing more: there may be no time any more.
    pub(super) fn lift_limit(&mut self) {
        let Notices { left_out, .. } = std::mem::take(&mut self.notices);
        self.tell_of_left_out(left_out);
    }

    fn tell_of_left_out(&mut self, count: u64) {
        if count > 0 {
            self.tell(Phrase::MoreNotices(count));
        }
    }
}
