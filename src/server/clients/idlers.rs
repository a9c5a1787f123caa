//! Whose place is given to somebody who comes when all are taken.

use std::time::{Duration, Instant};

use super::iteration::LOOK_COST;
use super::{Client, Clients, CloseReason, Key, Probe, Service, Stamp, Stream};

/// How long a client must have been quiet before its place can be given away: those in the middle of a conversation keep
/// theirs, however many knock.
pub(super) const EVICT_QUIET: Duration = Duration::from_secs(1);

/// After a look at all clients has found nobody, how long none is worth while. Until then, who comes is turned away.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The clients that have been quiet for longest, as of the last look at all of them.
///
/// Looking takes time in proportion to the number of clients, and whoever knocks can cause it; so one look serves for a
/// hundredth of them.
#[derive(Debug, Default)]
pub(super) struct Idlers {
    /// The quietest last, each with when it had been active then.
    found: Vec<(Stamp, Key)>,
    /// Nobody will be found until then.
    nobody_until: Option<Instant>,
}

impl<S: Stream, P: Probe> Clients<S, P> {
    /// Closes the client that has been quiet for longest and is owed nothing, if there is one: at once, because its place
    /// and its descriptor are wanted. Returns whether there is room now.
    pub(super) fn evict(&mut self, service: &mut impl Service, now: Instant) -> bool {
        loop {
            let Some((active, key)) = self.idlers.found.pop() else {
                if self.find_idlers(now) {
                    continue;
                }
                return false;
            };
            let idle = self
                .slots
                .get_mut(key)
                .is_some_and(|client| client.active == active && is_idle(client));
            if !idle {
                continue;
            }
            if self.turns_out_silent(key, service, now) {
                self.close(key, CloseReason::Evicted, service);
            }
            if self.slots.free() > 0 {
                return true;
            }
        }
    }

    /// Looks for those who have been quiet for longest. Returns whether there is anybody.
    fn find_idlers(&mut self, now: Instant) -> bool {
        if self.idlers.nobody_until.is_some_and(|until| now < until) {
            return false;
        }
        let quiet_since = now.checked_sub(EVICT_QUIET);
        let latest = quiet_since.filter(|&since| since >= self.start);
        let Some(latest) = latest.map(|latest| Stamp::new(self.start, latest)) else {
            return false;
        };
        self.budget.add(self.slots.len() as i64 * LOOK_COST);
        let found = &mut self.idlers.found;
        let idle = self.slots.entries();
        let idle = idle.filter(|(_, client)| client.active <= latest && is_idle(client));
        found.extend(idle.map(|(key, client)| (client.active, key)));
        let count = (self.slots.len() / 100).max(1);
        if found.len() > count {
            found.select_nth_unstable_by_key(count, |&(active, _)| active);
            found.truncate(count);
        }
        found.sort_unstable_by_key(|&(active, _)| std::cmp::Reverse(active));
        found.shrink_to(count);
        self.idlers.nobody_until = found.is_empty().then_some(now + LOOK_AGAIN);
        !found.is_empty()
    }
}

/// Whether a client has nothing to come and nothing to do.
fn is_idle<S>(client: &Client<S>) -> bool {
    let connection = &client.peer.connection;
    connection.keeps_up() && connection.deferred() == 0 && !client.is_queued()
}
