//! Notices to the operator. Those about clients that come and go are limited.

use std::time::{Duration, Instant};

use super::Console;
use crate::service::Phrase;

/// The most notices about clients that come and go within a second. A client that reconnects all
/// the time could otherwise scroll everything else off the screen.
const NOTICES_MAX: u32 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// Counts the notices of a second.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// When the second ends. Without a time there is no limit.
    end: Option<Instant>,
    shown: u32,
    left_out: u64,
    /// The server stops: there is no limit any more, because nothing would be summed up.
    is_lifted: bool,
}

impl Notices {
    /// Whether there is room for another one. Otherwise it is counted as left out.
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
        if self.is_lifted || self.end.is_some_and(|end| now < end) {
            return 0;
        }
        let Self { left_out, .. } = std::mem::take(self);
        self.end = Some(now + SECOND);
        left_out
    }
}

impl Console {
    /// Gives the operator a notice.
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

    /// Sums up what was left out, and leaves out nothing more: the loop may end at any time.
    pub(super) fn lift_limit(&mut self) {
        let Notices { left_out, .. } = std::mem::take(&mut self.notices);
        self.notices.is_lifted = true;
        self.tell_of_left_out(left_out);
    }

    fn tell_of_left_out(&mut self, count: u64) {
        if count > 0 {
            self.tell(Phrase::MoreNotices(count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Desk;
    use super::*;
    use crate::connection::CloseReason;
    use crate::service::Service;

    #[test]
    fn notices_of_clients_that_reconnect_are_limited_and_summed_up() {
        let mut desk = Desk::new();
        let start = Instant::now();
        assert_eq!(desk.console.wake(start), None);
        for id in 0..100 {
            desk.opens(id);
            desk.closes(id, CloseReason::PeerClosed);
        }
        assert_eq!(desk.shows().lines().count(), 20);
        // Messages are not affected.
        desk.opens(100);
        desk.hears(100, b"hello\n");
        assert_eq!(desk.shows(), "#101 | hello\n");
        let end = start + Duration::from_secs(1);
        assert_eq!(desk.console.wake(end - Duration::from_millis(1)), Some(end));
        assert_eq!(desk.shows(), "");
        assert_eq!(desk.console.wake(end), None);
        let rest = "(more notices of clients that connected or left: 181; \
                    /clients lists who is connected)\n";
        assert_eq!(desk.shows(), rest);
        desk.opens(101);
        assert_eq!(desk.shows(), "#102 connected from 127.0.0.1:5101\n");
    }

    #[test]
    fn notices_that_were_left_out_are_summed_up_when_the_server_stops() {
        let mut desk = Desk::new();
        desk.console.wake(Instant::now());
        for id in 0..22 {
            desk.opens(id);
        }
        desk.shows();
        desk.console.stopping();
        let shown = desk.shows();
        assert!(
            shown.starts_with("(more notices of clients that connected or left: 2;"),
            "{shown}"
        );
        // As a server does when it begins to drain.
        desk.console.wake(Instant::now());
        for id in 0..22 {
            desk.closes(id, CloseReason::Drained);
        }
        let shown = desk.shows();
        assert_eq!(shown.lines().count(), 22, "{shown}");
        assert!(shown.starts_with("  #1 was disconnected: the server stops\n"));
    }
}
