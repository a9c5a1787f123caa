//! UDP abuse protection under forged sources: replies granted, as counts of a simulated time.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Instant;

use echoloop::service::{Guard, GuardOptions};

/// The default of `--udp-rate`.
const RATE: u64 = 1000;

fn guard() -> Guard {
    Guard::new(GuardOptions {
        own_ports: vec![25556],
        suffix: b"| lee".to_vec(),
        ..GuardOptions::default()
    })
}

/// A link-local address belongs to one interface (RFC 4007): all have the same prefix.
#[test]
fn link_local_addresses_are_hosts_of_their_own() {
    let (mut guard, now) = (guard(), Instant::now());
    let mut replies = [0; 3];
    let hosts = ["[fe80::1%2]:4000", "[fe80::2%2]:4000", "[fe80::1%3]:4000"];
    for number in 0..3 * RATE {
        for (source, replies) in hosts.iter().zip(&mut replies) {
            let source: SocketAddr = source.parse().unwrap();
            *replies += u64::from(guard.admit(source, &number.to_le_bytes(), now).is_ok());
        }
    }
    println!("proof: replies to three link-local hosts at once: {replies:?}");
    assert_eq!(replies, [RATE; 3]);
}
