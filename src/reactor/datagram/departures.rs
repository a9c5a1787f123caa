//! Answers that are sent together.

use std::io;
use std::net::SocketAddr;

use super::{SourceAddr, system};
use crate::probe::DatagramCounters;

/// The largest answer that is left to the kernel to cut out of several: what fits into the smallest packet that every
/// path takes whole (1280 bytes for IPv6, RFC 8200 section 5, less 48 of headers). Larger ones may have to be
/// fragmented, which a datagram that is cut out of several can't be.
const SEGMENT_MAX: usize = 1232;

/// The most that the kernel cuts one call's bytes into (`UDP_MAX_SEGMENTS` was 64 when it began to).
const SEGMENTS_MAX: u32 = 64;

/// With so many bytes waiting to be sent, they are.
const FULL: usize = 64 * 1024;

/// With so many bursts waiting to be sent, they are.
const BURSTS_MAX: usize = 64;

/// Answers that wait for the end of a batch, so that few calls send them all.
///
/// # Memory
///
/// At most 64 KiB and one answer.
#[derive(Debug)]
pub(super) struct Departures {
    bytes: Vec<u8>,
    bursts: Vec<Burst>,
    /// The system may be given several answers to one source in one piece.
    segments: bool,
}

/// Answers to one source, in one piece, all of one size but the last, which may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// To where.
    pub to: SocketAddr,
    /// From which address of this machine, if not from that which the system chooses.
    pub from: Option<SourceAddr>,
    /// Where its first byte is among those of all bursts...
    pub start: usize,
    /// ...and where the first is that is no longer its.
    pub end: usize,
    /// How large each answer is.
    pub each: usize,
    /// How many there are.
    pub count: u32,
}

impl Burst {
    /// One answer, which is all there is to send.
    pub(super) const fn single(to: SocketAddr, from: Option<SourceAddr>, size: usize) -> Self {
        Self {
            to,
            from,
            start: 0,
            end: size,
            each: size,
            count: 1,
        }
    }

    /// Its bytes, of `all`.
    pub fn bytes<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.start..self.end]
    }

    /// Whether an answer of `size` can be its next.
    fn takes(&self, to: SocketAddr, from: Option<SourceAddr>, size: usize) -> bool {
        let whole = self.end - self.start == self.each * self.count as usize;
        let fits = (1..=self.each).contains(&size) && self.each <= SEGMENT_MAX;
        self.to == to && self.from == from && whole && fits && self.count < SEGMENTS_MAX
    }

    /// The same answers, one by one.
    fn singles(self) -> impl Iterator<Item = Self> {
        (0..self.count).map(move |index| {
            let start = self.start + index as usize * self.each;
            let end = (start + self.each).min(self.end);
            Self {
                start,
                end,
                count: 1,
                ..self
            }
        })
    }
}

impl Departures {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            bursts: Vec::new(),
            segments: system::SEGMENTS,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bursts.is_empty()
    }

    /// Adds an answer. Returns whether there are enough now to send them.
    pub(super) fn push(&mut self, to: SocketAddr, from: Option<SourceAddr>, answer: &[u8]) -> bool {
        let (start, size) = (self.bytes.len(), answer.len());
        self.bytes.extend_from_slice(answer);
        let end = self.bytes.len();
        match self.bursts.last_mut() {
            Some(last) if self.segments && last.takes(to, from, size) => {
                last.end = end;
                last.count += 1;
            }
            _ => self.bursts.push(Burst {
                to,
                from,
                start,
                end,
                each: size,
                count: 1,
            }),
        }
        self.bytes.len() >= FULL || self.bursts.len() >= BURSTS_MAX
    }

    /// Sends everything with `send`, which is told all bytes and the bursts among them, sends at least the first, and
    /// returns how many it has. An answer that it refuses is dropped, and counted.
    pub(super) fn flush(
        &mut self,
        counters: &mut DatagramCounters,
        mut send: impl FnMut(&[u8], &[Burst]) -> io::Result<usize>,
    ) {
        let mut next = 0;
        while next < self.bursts.len() {
            let bursts = &self.bursts[next..];
            match send(&self.bytes, bursts) {
                Ok(sent) => {
                    for burst in &bursts[..sent] {
                        counters.answered += u64::from(burst.count);
                        counters.sent_bytes += (burst.end - burst.start) as u64;
                    }
                    next += sent;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let first = bursts[0];
                    next += 1;
                    if first.count == 1 {
                        note_failed(&error, counters);
                        continue;
                    }
                    let before = counters.answered;
                    for single in first.singles() {
                        let sent = send_one(&self.bytes, single, counters, &mut send);
                        counters.answered += u64::from(sent);
                    }
                    // What can be sent one by one, and was not for want of room, this kernel or device can't cut.
                    let sent = counters.answered > before;
                    self.segments &= !sent || error.kind() == io::ErrorKind::WouldBlock;
                }
            }
        }
        self.bytes.clear();
        self.bursts.clear();
    }
}

/// Sends one answer, and returns whether the kernel has taken it. Whether that answers a datagram, the caller knows.
pub(super) fn send_one(
    bytes: &[u8],
    burst: Burst,
    counters: &mut DatagramCounters,
    mut send: impl FnMut(&[u8], &[Burst]) -> io::Result<usize>,
) -> bool {
    loop {
        match send(bytes, &[burst]) {
            Ok(_) => counters.sent_bytes += (burst.end - burst.start) as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                note_failed(&error, counters);
                return false;
            }
        }
        return true;
    }
}

fn note_failed(error: &io::Error, counters: &mut DatagramCounters) {
    if error.kind() == io::ErrorKind::WouldBlock {
        counters.send_blocked += 1;
    } else {
        counters.send_errors += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIO: i32 = 5;

    fn to(port: u16) -> SocketAddr {
        (std::net::Ipv4Addr::LOCALHOST, port).into()
    }

    /// An answer: to whom, how large, and the byte that it is made of.
    type Pushed = (u16, usize, u8);

    /// The answers that `bursts` are made of.
    fn answers(bytes: &[u8], bursts: &[Burst]) -> Vec<Pushed> {
        let singles = bursts.iter().flat_map(|burst| burst.singles());
        let answer = |single: Burst| {
            let bytes = single.bytes(bytes);
            let byte = bytes.first().copied().unwrap_or(0);
            assert!(bytes.iter().all(|&other| other == byte));
            (single.to.port(), bytes.len(), byte)
        };
        singles.map(answer).collect()
    }

    fn departures(segments: bool, pushed: &[Pushed]) -> Departures {
        let mut departures = Departures::new();
        departures.segments = segments;
        for &(port, size, byte) in pushed {
            departures.push(to(port), None, &vec![byte; size]);
        }
        departures
    }

    /// Answers that can and can't be joined, of every kind.
    fn mixed() -> Vec<Pushed> {
        let sizes = [
            (1, 3),
            (1, 3),
            (1, 2),
            (1, 2),
            (2, 2),
            (2, 0),
            (2, 0),
            (1, 4),
            (1, 5),
            (3, 1232),
            (3, 1232),
            (3, 1233),
            (3, 1233),
            (3, 7),
        ];
        let byte = |index, size| if size == 0 { 0 } else { index };
        let answer = |(index, (port, size))| (port, size, byte(index, size));
        (0..).zip(sizes).map(answer).collect()
    }

    #[test]
    fn whatever_is_pushed_leaves_once_in_order_and_only_answers_of_one_size_are_joined() {
        let pushed = mixed();
        for segments in [false, true] {
            let mut departures = departures(segments, &pushed);
            let counts: Vec<u32> = departures.bursts.iter().map(|burst| burst.count).collect();
            let joined: &[u32] = &[3, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1];
            assert_eq!(counts, if segments { joined } else { &[1; 14] });
            let (mut counters, mut sent) = (DatagramCounters::default(), Vec::new());
            departures.flush(&mut counters, |bytes, bursts| {
                // As few as may be at once, then as many as there are.
                let count = if sent.is_empty() { 1 } else { bursts.len() };
                sent.extend(answers(bytes, &bursts[..count]));
                Ok(count)
            });
            assert_eq!(sent, pushed);
            assert_eq!(counters.answered, pushed.len() as u64);
            let bytes: usize = pushed.iter().map(|&(_, size, _)| size).sum();
            assert_eq!(counters.sent_bytes, bytes as u64);
            assert!(departures.is_empty() && departures.bytes.is_empty());
        }
    }

    #[test]
    fn where_nothing_can_be_cut_each_answer_leaves_by_itself_from_then_on() {
        let pushed = mixed();
        let mut departures = departures(true, &pushed);
        let (mut counters, mut sent, mut refused) = (DatagramCounters::default(), Vec::new(), 0);
        departures.flush(&mut counters, |bytes, bursts| {
            if bursts[0].count > 1 {
                refused += 1;
                return Err(io::Error::from_raw_os_error(EIO));
            }
            sent.extend(answers(bytes, &bursts[..1]));
            Ok(1)
        });
        assert_eq!((refused, &sent), (2, &pushed));
        assert_eq!(counters.answered, pushed.len() as u64);
        let bytes: usize = pushed.iter().map(|&(_, size, _)| size).sum();
        assert_eq!(counters.sent_bytes, bytes as u64);
        departures.push(to(1), None, b"a");
        departures.push(to(1), None, b"b");
        assert_eq!(departures.bursts.len(), 2, "the system is not asked again");
    }

    #[test]
    fn what_is_refused_is_dropped_and_counted_and_a_full_buffer_is_no_inability() {
        let pushed = mixed();
        let mut departures = departures(true, &pushed);
        let (mut counters, mut sent) = (DatagramCounters::default(), Vec::new());
        departures.flush(&mut counters, |bytes, bursts| {
            let first = bursts[0];
            match first.to.port() {
                2 => Err(io::ErrorKind::PermissionDenied.into()),
                1 if first.start < 8 => Err(io::ErrorKind::WouldBlock.into()),
                _ => {
                    sent.extend(answers(bytes, &bursts[..1]));
                    Ok(1)
                }
            }
        });
        assert_eq!(
            sent,
            pushed[3..4]
                .iter()
                .chain(&pushed[7..])
                .copied()
                .collect::<Vec<_>>()
        );
        assert_eq!((counters.send_blocked, counters.send_errors), (3, 3));
        assert_eq!(counters.answered, sent.len() as u64);
        assert!(departures.segments);
    }

    #[test]
    fn an_interrupted_call_is_made_again_together_or_one_by_one() {
        let pushed = mixed();
        for cuts in [false, true] {
            let mut departures = departures(true, &pushed);
            let (mut counters, mut sent, mut calls) = (DatagramCounters::default(), Vec::new(), 0);
            departures.flush(&mut counters, |bytes, bursts| {
                calls += 1;
                if calls % 2 == 1 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                if bursts[0].count > 1 && !cuts {
                    return Err(io::Error::from_raw_os_error(EIO));
                }
                sent.extend(answers(bytes, &bursts[..1]));
                Ok(1)
            });
            assert_eq!(sent, pushed);
            assert_eq!((counters.send_blocked, counters.send_errors), (0, 0));
        }
    }

    #[test]
    fn where_nobody_is_sent_anything_cutting_is_not_to_blame() {
        let mut departures = departures(true, &[(1, 2, 7), (1, 2, 7), (2, 2, 7)]);
        let mut counters = DatagramCounters::default();
        departures.flush(&mut counters, |_, bursts| {
            Err(match bursts[0].to.port() {
                1 => io::ErrorKind::PermissionDenied.into(),
                _ => io::ErrorKind::WouldBlock.into(),
            })
        });
        assert_eq!((counters.send_blocked, counters.send_errors), (1, 2));
        assert!(departures.segments && departures.is_empty());
        departures.push(to(1), None, b"1");
        assert!(!departures.is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut departures = Departures::new();
        let (mut bursts, mut bytes) = (0, 0);
        while !departures.push(to(bursts), None, b"1") {
            bursts += 1;
        }
        assert_eq!(departures.bursts.len(), BURSTS_MAX);
        departures.flush(&mut DatagramCounters::default(), |_, bursts| {
            Ok(bursts.len())
        });
        while !departures.push(to(1), None, &[0; 1024]) {
            bytes += 1024;
        }
        assert!((FULL - 1024..FULL).contains(&bytes));
        departures.segments = true;
        departures.bursts.clear();
        for _ in 0..=SEGMENTS_MAX {
            departures.push(to(1), None, b"1");
        }
        assert_eq!(departures.bursts[0].count, SEGMENTS_MAX);
        assert_eq!(departures.bursts[1].count, 1);
    }
}
