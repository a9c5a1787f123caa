//! When each address of a server is tried: Happy Eyeballs version 2 (RFC 8305).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long after an attempt the next one starts, while the first is still pending: the recommended
/// "Connection Attempt Delay" of RFC 8305, section 8.
pub const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The order and the start times of attempts to connect to the addresses of one server.
///
/// It opens no socket and reads no clock. An attempt starts when the one before it failed, or
/// [`CONNECTION_ATTEMPT_DELAY`] after that one started. Earlier attempts stay pending.
#[derive(Clone, Debug)]
pub struct HappyEyeballs {
    untried: VecDeque<SocketAddr>,
    /// The attempt that started last, unless it failed, and when the next one starts.
    latest: Option<(SocketAddr, Instant)>,
}

impl HappyEyeballs {
    /// A schedule for `addresses`, which are in the order of the resolver (RFC 6724).
    pub fn new(addresses: &[SocketAddr]) -> Self {
        Self {
            untried: interleave(addresses),
            latest: None,
        }
    }

    /// The address of the attempt that starts now, if one does.
    pub fn start(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.next_start().is_some_and(|at| at > now) {
            return None;
        }
        let address = self.untried.pop_front()?;
        self.latest = Some((address, now + CONNECTION_ATTEMPT_DELAY));
        Some(address)
    }

    /// The attempt to connect to `address` failed. If it is the latest one, the next starts at once.
    pub fn fail(&mut self, address: SocketAddr) {
        self.latest = self.latest.filter(|&(latest, _)| latest != address);
    }

    /// When the next attempt starts, unless it starts at once or every address was tried.
    pub fn next_start(&self) -> Option<Instant> {
        let (_, at) = self.latest.filter(|_| !self.untried.is_empty())?;
        Some(at)
    }
}

/// `addresses` with the families in turn, the family of the first address first (RFC 8305,
/// section 4, with a "First Address Family Count" of 1). Duplicates are left out.
fn interleave(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for &address in addresses {
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let Some(first) = distinct.first() else {
        return VecDeque::new();
    };
    let is_ipv6 = first.is_ipv6();
    let families = distinct
        .iter()
        .partition(|address| address.is_ipv6() == is_ipv6);
    let (preferred, other): (Vec<SocketAddr>, Vec<SocketAddr>) = families;
    let mut other = other.into_iter();
    let mut order = VecDeque::new();
    for address in preferred {
        order.push_back(address);
        order.extend(other.next());
    }
    order.extend(other);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_begin_with_that_of_the_first_address() {
        for (resolved, tried) in [
            (
                &["[::1]:7", "[::2]:7", "[::3]:7", "1.0.0.1:7", "1.0.0.2:7"][..],
                "1 4 2 5 3",
            ),
            (&["1.0.0.1:7", "1.0.0.2:7", "[::1]:7"], "1 3 2"),
            (&["1.0.0.1:7", "[::1]:7", "[::2]:7", "[::3]:7"], "1 2 3 4"),
            (&["[::1]:7", "[::1]:7", "1.0.0.1:7", "[::1]:7"], "1 3"),
            (&["1.0.0.1:7"], "1"),
            (&[], ""),
        ] {
            let resolved = addresses(resolved);
            let order = interleave(&resolved);
            let places = order.iter().map(|address| {
                let place = resolved.iter().position(|other| other == address).unwrap();
                (place + 1).to_string()
            });
            assert_eq!(places.collect::<Vec<_>>().join(" "), tried, "{resolved:?}");
        }
    }

    #[test]
    fn attempts_start_250_ms_apart_while_all_are_pending() {
        let all = addresses(&["[::1]:7", "1.0.0.1:7", "[::2]:7"]);
        let mut schedule = HappyEyeballs::new(&all);
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(schedule.next_start(), None);
        assert_eq!(schedule.start(start), Some(all[0]));
        assert_eq!(schedule.next_start(), Some(after(250)));
        assert_eq!(schedule.start(after(249)), None);
        // A late wake-up does not shorten the next delay.
        assert_eq!(schedule.start(after(260)), Some(all[1]));
        assert_eq!(schedule.start(after(260)), None);
        assert_eq!(schedule.next_start(), Some(after(510)));
        assert_eq!(schedule.start(after(510)), Some(all[2]));
        assert_eq!(
            (schedule.next_start(), schedule.start(after(900))),
            (None, None)
        );
    }

    #[test]
    fn failure_of_the_latest_attempt_starts_the_next_at_once() {
        let all = addresses(&["[::1]:7", "1.0.0.1:7", "[::2]:7", "1.0.0.2:7"]);
        let mut schedule = HappyEyeballs::new(&all);
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(schedule.start(start), Some(all[0]));
        schedule.fail(all[0]);
        assert_eq!(schedule.next_start(), None);
        assert_eq!(schedule.start(start), Some(all[1]));
        assert_eq!(schedule.start(after(250)), Some(all[2]));
        // The attempt before the latest one fails: the latest keeps its delay.
        schedule.fail(all[1]);
        assert_eq!(
            (schedule.start(after(300)), schedule.next_start()),
            (None, Some(after(500)))
        );
        schedule.fail(all[2]);
        assert_eq!(schedule.start(after(300)), Some(all[3]));
    }
}
