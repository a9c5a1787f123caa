//! What holds for any input, of which the least that breaks it is found.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use echoloop::connection::{Limits, Outcome, Watermarks};
use echoloop::reactor::{Deadlines, Key, Slots};
use echoloop::service::{Guard, GuardOptions, Refusal, Sanitizer};
use proptest::collection::vec;
use proptest::prelude::*;
use support::script::{Pumping, Script};

/// However a stream is cut on its way in, and whatever is taken of it at once on its way out, the same bytes come back.
fn echoed(pieces: &[Vec<u8>], takes: &[usize], limits: Limits) -> Vec<u8> {
    let mut script = Script::new();
    for piece in pieces {
        script = script.read(piece);
    }
    for &take in takes {
        script = script.take(take);
    }
    let total: usize = pieces.iter().map(Vec::len).sum();
    let mut client = Pumping::with_limits(script.eof(), limits);
    client.peer.readiness.latch_readable();
    for _ in 0..total * 4 + 100 {
        // Where a write finds no room, some is made.
        client.peer.readiness.latch_writable();
        client.peer.stream.make_room(limits.watermarks.high);
        if let Outcome::Closed(_) = client.pump().outcome {
            return client.peer.stream.written;
        }
        client.peer.readiness.latch_readable();
    }
    panic!("it never ended: {client:?}");
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..40usize, 1..60usize, 1..80usize, 1..50usize, 0..50usize).prop_map(
        |(recv_size, read_ahead, budget, more, low)| Limits {
            recv_size: recv_size.try_into().unwrap(),
            read_ahead: read_ahead.try_into().unwrap(),
            budget,
            deferred: 16,
            watermarks: Watermarks {
                high: low + more,
                low,
            },
        },
    )
}

/// What happens at a set of slots, or of timers: the second number picks one.
fn acts() -> impl Strategy<Value = Vec<(u8, usize)>> {
    vec((0..4u8, any::<usize>()), 0..200)
}

proptest! {
    #[test]
    fn any_cut_of_a_stream_comes_back_whole(
        pieces in vec(vec(any::<u8>(), 1..50), 0..20),
        takes in vec(1..60usize, 0..40),
        limits in limits(),
    ) {
        prop_assert_eq!(echoed(&pieces, &takes, limits), pieces.concat());
    }

    #[test]
    fn any_cut_of_a_stream_shows_the_same(
        pieces in vec(vec(any::<u8>(), 0..12), 0..12),
        text in ".{0,40}",
    ) {
        let whole = [pieces.concat(), text.as_bytes().to_vec()].concat();
        let shown = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut sanitizer, mut shown) = (Sanitizer::new(), String::new());
            pieces.for_each(|piece| sanitizer.push(piece, &mut shown));
            sanitizer.finish(&mut shown);
            shown
        };
        let at_once = shown(&mut std::iter::once(whole.as_slice()));
        let in_pieces = shown(&mut pieces.iter().map(Vec::as_slice).chain([text.as_bytes()]));
        let byte_by_byte = shown(&mut whole.chunks(1));
        prop_assert_eq!(&at_once, &in_pieces);
        prop_assert_eq!(&at_once, &byte_by_byte);
        prop_assert!(!at_once.contains(|c: char| c.is_control() && c != '\n'));
    }

    #[test]
    fn slots_agree_with_a_map_that_forgets_nobody(acts in acts(), limit in 0..20usize) {
        let mut slots = Slots::new(limit);
        let (mut inside, mut gone) = (HashMap::<Key, usize>::new(), Vec::<Key>::new());
        for (number, (act, pick)) in acts.into_iter().enumerate() {
            let some = |keys: &HashMap<Key, usize>| keys.keys().nth(pick % keys.len().max(1)).copied();
            match (act, some(&inside)) {
                (0 | 1, _) => match slots.insert(number) {
                    Ok(key) => prop_assert!(inside.insert(key, number).is_none() && !gone.contains(&key)),
                    Err(value) => prop_assert_eq!((value, inside.len()), (number, limit)),
                },
                (2, Some(key)) => {
                    prop_assert_eq!(slots.remove(key), inside.remove(&key));
                    gone.push(key);
                }
                _ => {}
            }
            prop_assert_eq!((slots.len(), slots.free()), (inside.len(), limit - inside.len()));
            for (&key, value) in &mut inside {
                prop_assert_eq!(slots.get_mut(key), Some(value));
                prop_assert_eq!(Key::from_token(key.token()), Some(key));
            }
            prop_assert!(gone.iter().all(|&key| slots.get_mut(key).is_none()));
        }
    }

    #[test]
    fn deadlines_agree_with_a_sorted_list(acts in acts()) {
        let start = Instant::now();
        let (mut deadlines, mut list) = (Deadlines::new(start), BTreeMap::<Instant, VecDeque<usize>>::new());
        let mut now = start;
        for (number, (act, pick)) in acts.into_iter().enumerate() {
            if act < 2 {
                let at = start + Duration::from_millis(pick as u64 % 5_000);
                deadlines.arm(at, number);
                list.entry(at).or_default().push_back(number);
            } else {
                now += Duration::from_millis(pick as u64 % 500);
            }
            while let Some(what) = deadlines.expire(now) {
                let mut first = list.first_entry().unwrap();
                prop_assert!(*first.key() <= now, "early");
                let place = first.get().iter().position(|&other| other == what);
                first.get_mut().remove(place.unwrap());
                if first.get().is_empty() {
                    first.remove();
                }
            }
            prop_assert_eq!(deadlines.next(), list.keys().next().copied());
            prop_assert!(deadlines.next().is_none_or(|next| next > now), "late");
            prop_assert_eq!(deadlines.len(), list.values().map(VecDeque::len).sum::<usize>());
        }
    }

    /// Whatever comes when, nobody gets more than a burst and the rate; and nothing that may never be answered is.
    #[test]
    fn a_guard_keeps_to_its_rate_and_its_rules(
        datagrams in vec((0..6u8, 0..4u8, 0..700u64, vec(any::<u8>(), 0..12), any::<bool>()), 0..300),
        rate in 1..20u32,
    ) {
        let suffix = b"| lee";
        let mut guard = Guard::new(GuardOptions {
            own_ports: vec![25556],
            suffix: suffix.to_vec(),
            rate: Some(rate),
            loop_limit: Some(0),
            ..GuardOptions::default()
        });
        let (start, mut now) = (Instant::now(), Instant::now());
        let mut admitted = HashMap::<IpAddr, Vec<Duration>>::new();
        for (host, port, later, mut datagram, answer) in datagrams {
            now += Duration::from_millis(later);
            let host: IpAddr = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "224.0.0.9", "0.0.0.0", "::"][host as usize].parse().unwrap();
            let port = [4000, 4001, 53, 25556][port as usize];
            if answer {
                datagram.extend_from_slice(suffix);
            }
            let verdict = guard.admit(SocketAddr::new(host, port), &datagram, now);
            let forged = host.is_multicast() || host.is_unspecified();
            let service = port < 1024 || port == 25556;
            match verdict {
                Ok(()) => {
                    prop_assert!(!forged && !service && !datagram.ends_with(suffix));
                    admitted.entry(host).or_default().push(now - start);
                }
                Err(Refusal::BadAddress) => prop_assert!(forged),
                Err(Refusal::BadPort) => prop_assert!(service),
                Err(Refusal::Answer) => prop_assert!(datagram.ends_with(suffix)),
                Err(Refusal::Rate) => prop_assert!(admitted.contains_key(&host)),
                Err(refusal) => prop_assert!(false, "{refusal:?} is no limit here, or not reached"),
            }
        }
        for times in admitted.values() {
            for (first, &from) in times.iter().enumerate() {
                for (last, &to) in times.iter().enumerate().skip(first) {
                    let allowed = f64::from(rate) * ((to - from).as_secs_f64() + 1.0) + 1.0;
                    prop_assert!((last - first + 1) as f64 <= allowed, "{} in {:?}", last - first + 1, to - from);
                }
            }
        }
    }
}
