//! What is known of the datagrams that wait in the kernel, without the socket.

use std::io;
use std::time::{Duration, Instant};

use crate::connection::SHORT_MEANS_EXHAUSTED;
use crate::probe::DatagramCounters;

/// How long receiving pauses when every call of a whole budget fails.
const PAUSE: Duration = Duration::from_millis(100);

/// Datagrams that wait.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Datagrams may be waiting: latched by an event, cleared by `WouldBlock`, or by less than was asked for.
    pub(super) pending: bool,
}

/// What one call has brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    pub(super) count: usize,
    /// It had room for more.
    pub(super) short: bool,
}

impl Inbox {
    /// Calls `receive`, with how many datagrams the budget has room for, until nothing more is there or the budget is
    /// spent. Returns when to try again if it failed each time: whatever that is, trying on would spin.
    pub(super) fn drain(
        &mut self,
        now: Instant,
        budget: usize,
        counters: &mut DatagramCounters,
        mut receive: impl FnMut(usize, &mut DatagramCounters) -> io::Result<Received>,
    ) -> Option<Instant> {
        let (mut left, mut worked) = (budget, false);
        while left > 0 {
            match receive(left, counters) {
                Ok(received) => {
                    worked = true;
                    left = left.saturating_sub(received.count);
                    if received.short && SHORT_MEANS_EXHAUSTED {
                        self.pending = false;
                        return None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending = false;
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    worked = true;
                    left -= 1;
                }
                Err(_) => {
                    counters.receive_errors += 1;
                    left -= 1;
                }
            }
        }
        if !worked {
            self.pending = false;
            return Some(now + PAUSE);
        }
        counters.yields += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ECONNREFUSED: i32 = 111;

    const ONE: Received = Received {
        count: 1,
        short: false,
    };

    /// Pitfall 50: errors of datagrams sent earlier come from receiving.
    #[test]
    fn pitfall_50_errors_are_counted_and_survived_and_nothing_but_errors_is_waited_out() {
        let (now, mut counters) = (Instant::now(), DatagramCounters::default());
        let mut inbox = Inbox { pending: true };
        let mut calls = 0;
        let again = inbox.drain(now, 10, &mut counters, |_, _| {
            calls += 1;
            match calls {
                1..=3 => Err(io::Error::from_raw_os_error(ECONNREFUSED)),
                4 | 5 => Ok(ONE),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        });
        assert_eq!(
            (again, calls, counters.receive_errors, inbox.pending),
            (None, 6, 3, false)
        );

        inbox.pending = true;
        let refused = |_, _: &mut DatagramCounters| Err(io::Error::from_raw_os_error(ECONNREFUSED));
        assert_eq!(
            inbox.drain(now, 10, &mut counters, refused),
            Some(now + PAUSE)
        );
        assert!(!inbox.pending, "no spin");

        inbox.pending = true;
        assert_eq!(inbox.drain(now, 10, &mut counters, |_, _| Ok(ONE)), None);
        assert!(inbox.pending, "what the budget left over needs no event");
        assert_eq!(counters.yields, 1);
    }

    #[test]
    fn a_signal_is_no_error_and_ends_no_turn_but_is_charged_for() {
        let (now, mut counters) = (Instant::now(), DatagramCounters::default());
        let (mut inbox, mut calls) = (Inbox { pending: true }, 0);
        let again = inbox.drain(now, 10, &mut counters, |_, _| {
            calls += 1;
            Err(io::ErrorKind::Interrupted.into())
        });
        assert_eq!((again, calls, inbox.pending), (None, 10, true));
        assert_eq!((counters.receive_errors, counters.yields), (0, 1));
    }

    #[test]
    fn a_batch_is_within_the_budget_and_a_short_one_is_the_last() {
        let (now, mut counters) = (Instant::now(), DatagramCounters::default());
        let mut inbox = Inbox { pending: true };
        let mut asked = Vec::new();
        let again = inbox.drain(now, 40, &mut counters, |most, _| {
            asked.push(most);
            let count = most.min(16);
            let short = false;
            Ok(Received { count, short })
        });
        assert_eq!((again, asked.as_slice()), (None, &[40, 24, 8][..]));
        assert!(inbox.pending);
        asked.clear();
        inbox.drain(now, 40, &mut counters, |most, _| {
            asked.push(most);
            if asked.len() == 2 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let (count, short) = (3, true);
            Ok(Received { count, short })
        });
        let calls = if SHORT_MEANS_EXHAUSTED { 1 } else { 2 };
        assert_eq!((asked.len(), inbox.pending), (calls, false));
    }
}
