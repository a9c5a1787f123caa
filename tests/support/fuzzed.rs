//! What is fed with arbitrary bytes: by a fuzzer (`tests/fuzz`), and from its corpora by `cargo test --test corpora`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use echoloop::service::{Guard, GuardOptions, Sanitizer};

use super::world::{Sizes, World};

/// A life of one connection: sizes, and then a step for each byte. Whatever happens, it must end with nothing stuck, lost,
/// repeated or out of order.
pub fn life(data: &[u8]) {
    let Some((&[reads, waters, boxes], steps)) = data.split_first_chunk::<3>() else {
        return;
    };
    let (low, more) = (usize::from(waters & 15), usize::from(waters >> 4));
    let mut world = World::new(Sizes {
        recv_size: 1 + usize::from(reads & 7),
        read_ahead: 1 + usize::from(reads >> 3 & 7),
        budget: 1 + usize::from(reads >> 6) * 4,
        high: low + 1 + more,
        low,
        inbox: 1 + usize::from(boxes & 15),
        outbox: 1 + usize::from(boxes >> 4),
    });
    for &step in steps.iter().take(1000) {
        let amount = 1 + usize::from(step >> 4);
        match step & 15 {
            0..=2 => world.kernel().peer_sends(amount),
            3 | 4 => world.kernel().peer_receives(amount),
            5 => world.kernel().peer_receives(usize::MAX),
            6 | 7 => world.event(),
            8 => world.spurious_event(),
            9 | 10 => world.turn(),
            11 => world.deadline(),
            12 => world.kernel().interrupt(),
            13 => world.kernel().run_short(),
            // Once is the end: seldom, so that there is something before it.
            14 if amount == 16 => world.kernel().peer_resets(),
            14 if amount > 12 => world.kernel().peer_ends(),
            15 if amount > 12 => world.finish(),
            _ => world.turn(),
        }
    }
    world.heal();
}

/// Datagrams from anywhere at any time. What may never be answered is not.
pub fn guard(data: &[u8]) {
    let Some((&options, mut rest)) = data.split_first() else {
        return;
    };
    let (answer_replies, pure) = (options & 1 != 0, options & 2 != 0);
    let suffix = if pure { Vec::new() } else { b"| lee".to_vec() };
    let mut guard = Guard::new(GuardOptions {
        own_ports: vec![25556],
        suffix: suffix.clone(),
        answer_replies,
        rate: (options & 4 != 0).then_some(u32::from(options >> 4)),
        loop_limit: (options & 8 != 0).then_some(u32::from(options >> 4)),
        network_rate: (options & 16 != 0).then_some(u32::from(options >> 4)),
        total_rate: (options & 32 != 0).then_some(u32::from(options >> 4)),
        limit_amplification: options & 64 != 0,
    });
    let mut now = Instant::now();
    while let Some((&[kind, length, later, port_high, port_low], behind)) =
        rest.split_first_chunk::<5>()
    {
        let (address, behind) = behind.split_at(behind.len().min(16));
        let mut bytes = [0; 16];
        bytes[..address.len()].copy_from_slice(address);
        let address = match kind & 3 {
            0 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            1 => IpAddr::V6(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).to_ipv6_mapped()),
            _ => IpAddr::V6(Ipv6Addr::from(bytes)),
        };
        let (datagram, behind) = behind.split_at(behind.len().min(length.into()));
        let mut datagram = datagram.to_vec();
        if kind & 4 != 0 {
            datagram.extend_from_slice(b"| lee");
        }
        now += Duration::from_millis(u64::from(later));
        let source = SocketAddr::new(address, u16::from_be_bytes([port_high, port_low]));
        let admitted = guard.admit(source, &datagram, now).is_ok();
        let host = address.to_canonical();
        let forged = host.is_multicast() || host.is_unspecified();
        let service = source.port() < 1024 || source.port() == 25556;
        let answer = !pure && !answer_replies && datagram.ends_with(&suffix);
        assert!(
            !(admitted && (forged || service || answer)),
            "{source} {datagram:?}"
        );
        rest = behind;
    }
}

/// A stranger's bytes, cut in two ways: the same is shown, and nothing of it acts on a terminal.
pub fn sanitizer(data: &[u8]) {
    let Some((&size, bytes)) = data.split_first() else {
        return;
    };
    let shown = |size: usize| {
        let (mut sanitizer, mut text) = (Sanitizer::new(), String::new());
        for piece in bytes.chunks(size) {
            sanitizer.push(piece, &mut text);
        }
        sanitizer.finish(&mut text);
        text
    };
    let whole = shown(bytes.len().max(1));
    assert_eq!(whole, shown(1 + usize::from(size % 16)), "{bytes:?}");
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!whole.contains(harmful), "{whole:?}");
}
