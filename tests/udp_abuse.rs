//! UDP abuse protection under forged sources: replies granted, as counts of a simulated time.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

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

fn host(number: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0b00_0000 + number), 4000).into()
}

/// Host `number`, each in a /24 of its own.
fn host_of_network(number: u32) -> SocketAddr {
    host(number << 8 | 1)
}

/// Eviction from a table of sources must not give a source a second burst.
#[test]
fn source_in_bursts_between_8192_others_keeps_to_its_rate() {
    const ROUNDS: u64 = 20;
    let mut guard = guard();
    let mut now = Instant::now();
    let (mut of_one, mut of_others) = (0, 0);
    for round in 0..ROUNDS {
        for number in 0..RATE {
            let datagram = (round * RATE + number).to_le_bytes();
            of_one += u64::from(guard.admit(host_of_network(0), &datagram, now).is_ok());
        }
        for other in 1..=8192 {
            let datagram = round.to_le_bytes();
            of_others += u64::from(guard.admit(host_of_network(other), &datagram, now).is_ok());
        }
        now += Duration::from_millis(1);
    }
    println!(
        "proof: one source, {ROUNDS} bursts of {RATE} in {ROUNDS} ms between 8,192 others: \
         {of_one} replies to it, {of_others} to the others"
    );
    // A burst, and what 19 ms refill.
    assert!(of_one <= RATE + RATE * (ROUNDS - 1) / 1000, "{of_one}");
    assert!(of_one >= RATE, "{of_one}: less than its rate allows");
}

#[test]
fn forged_sources_get_no_more_replies_together_than_the_total_rate() {
    const SOURCES: u32 = 400_000;
    let mut guard = guard();
    let (start, mut replies) = (Instant::now(), 0);
    // All within one second.
    for number in 0..SOURCES {
        let now = start + Duration::from_secs(1) * number / SOURCES;
        replies += u64::from(guard.admit(host_of_network(number), b"ping", now).is_ok());
    }
    println!("proof: {SOURCES} sources in 1 s: {replies} replies");
    // A burst of a second's worth, and a second.
    assert!(replies <= 2 * 20 * RATE, "{replies}");
    assert!(replies >= 20 * RATE, "{replies}");
}

#[test]
fn networks_get_no_more_replies_than_their_rate() {
    let networks: [fn(u32) -> SocketAddr; 2] = [host, |number| {
        let address = 0x2001_0db8_u128 << 96 | u128::from(number) << 64 | 1;
        SocketAddr::new(IpAddr::V6(address.into()), 4000)
    }];
    for of_network in networks {
        let (mut guard, now) = (guard(), Instant::now());
        let mut replies = 0;
        for round in 0..200_u32 {
            for number in 0..200 {
                let source = of_network(number);
                replies += u64::from(guard.admit(source, &round.to_le_bytes(), now).is_ok());
            }
        }
        println!(
            "proof: 200 hosts of the network of {}: {replies} replies at once",
            of_network(0).ip()
        );
        assert_eq!(replies, 5 * RATE);
    }
}

/// Someone forges datagrams in the name of a victim, all the same; the victim itself goes on.
#[test]
fn forged_payload_is_blocked_and_other_payloads_of_the_source_are_answered() {
    let mut guard = guard();
    let mut now = Instant::now();
    let victim = host(7);
    let (mut forged, mut own) = (0, 0);
    for number in 0..3000_u32 {
        now += Duration::from_millis(5);
        forged += u64::from(guard.admit(victim, b"forged", now).is_ok());
        if number % 3 == 0 {
            own += u64::from(guard.admit(victim, &number.to_le_bytes(), now).is_ok());
        }
    }
    println!(
        "proof: 3,000 forged copies of a payload in 15 s: {forged} replies to them, {own} of 1,000 \
         to the victim's own payloads"
    );
    assert_eq!((forged, own), (1000, 1000));
}

/// Two echo servers that answer each other must be noticed among any number of other datagrams.
#[test]
fn loop_is_ended_among_datagrams_of_many_other_sources() {
    let mut guard = guard();
    let mut now = Instant::now();
    let mut of_loop = 0;
    for round in 0..3000_u32 {
        now += Duration::from_millis(5);
        of_loop += u64::from(guard.admit(host_of_network(0), b"loop", now).is_ok());
        for other in 0..64 {
            let number = round * 64 + other;
            let _ = guard.admit(host_of_network(1 + number), &number.to_le_bytes(), now);
        }
    }
    println!("proof: a loop of 3,000 among 192,000 datagrams of others: {of_loop} replies");
    assert_eq!(of_loop, 1000);
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
