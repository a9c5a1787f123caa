//! UDP abuse protection: whether a datagram is replied to at all.
//!
//! A datagram's source address is whatever its sender wrote there. A server that replies to every one
//! reflects traffic at victims, and two such servers can be made to reply to each other for ever by a
//! single forged datagram (CERT CA-1996-01; CVE-2024-2169). The guard runs before anything else is
//! done with a datagram. It holds no socket and no clock, and its memory is fixed.

mod options;

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub use options::{GuardOptions, Refusal};

use self::options::Limits;
use super::network::{Prefix, group_address, header_size};
use super::rate_table::RateTable;
use super::repeat::Repeats;

/// The source ports below this belong to system services, which don't ask for echoes: time, DNS, NTP
/// and, above all, other echo services.
const FIRST_USER_PORT: u16 = 1024;

/// How many token buckets a row for hosts has, and one for networks: 512 KiB and 128 KiB for two rows.
/// By default, no more than 40 hosts can use up their burst and rate within a second: they would deny
/// another host its replies with a probability of 1 to 600,000.
const HOSTS: usize = 32 * 1024;
const NETWORKS: usize = 8 * 1024;

/// Decides, datagram by datagram, which are replied to.
///
/// Hashes have a random seed, so a sender can't choose to share a bucket with a victim.
#[derive(Debug)]
pub struct Guard {
    options: GuardOptions,
    /// What holds for sources that are loopback addresses, and for all others.
    loopback: Limits,
    elsewhere: Limits,
    seed: RandomState,
    /// When the first datagram came. Times are in ns since then.
    start: Option<Instant>,
    hosts: RateTable,
    networks: RateTable,
    /// When the bucket of all sources together would be full.
    total: u64,
    repeats: Repeats,
}

impl Guard {
    /// A guard that goes by `options`.
    pub fn new(options: GuardOptions) -> Self {
        Self {
            loopback: Limits::new(&options, false),
            elsewhere: Limits::new(&options, true),
            options,
            seed: RandomState::new(),
            start: None,
            hosts: RateTable::new(HOSTS),
            networks: RateTable::new(NETWORKS),
            total: 0,
            repeats: Repeats::new(),
        }
    }

    /// Judges the whole `datagram` that came from `source` at `now`.
    ///
    /// The cheap rules, which need no memory, come first. `now` must not go backwards.
    pub fn admit(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Result<(), Refusal> {
        let GuardOptions {
            own_ports,
            suffix,
            answer_replies,
            limit_amplification,
            ..
        } = &self.options;
        if source.port() < FIRST_USER_PORT || own_ports.contains(&source.port()) {
            return Err(Refusal::BadPort);
        }
        let address = source.ip().to_canonical();
        if address.is_unspecified() || group_address(address).is_some() {
            return Err(Refusal::BadAddress);
        }
        if !suffix.is_empty() && !answer_replies && datagram.ends_with(suffix) {
            return Err(Refusal::Answer);
        }
        // The reply is the datagram, or less, and the suffix; it has the same headers.
        if *limit_amplification && suffix.len() > datagram.len() + header_size(address) {
            return Err(Refusal::Amplification);
        }
        let limits = self.limits(address);
        if !limits.exist {
            return Ok(());
        }
        self.admit_within_limits(source, address, datagram, now)
    }

    /// The limits for datagrams from `address`.
    const fn limits(&self, address: IpAddr) -> &Limits {
        if address.is_loopback() {
            &self.loopback
        } else {
            &self.elsewhere
        }
    }

    /// Applies the limits that hold for `source`. A datagram that one of them refuses counts for none.
    fn admit_within_limits(
        &mut self,
        source: SocketAddr,
        address: IpAddr,
        datagram: &[u8],
        now: Instant,
    ) -> Result<(), Refusal> {
        let &Limits {
            repeats,
            host,
            network,
            total,
            ..
        } = self.limits(address);
        let start = *self.start.get_or_insert(now);
        let now = now.saturating_duration_since(start).as_nanos() as u64;
        // Tokens are taken only from a datagram that gets a reply: copies of a blocked payload must not
        // use up the rate of a victim in whose name they are.
        let host = match host {
            Some(rate) => {
                let hash = self.seed.hash_one(Prefix::host(source));
                Some(self.hosts.token(hash, rate, now).ok_or(Refusal::Rate)?)
            }
            None => None,
        };
        let network = match network {
            Some(rate) => {
                let hash = self.seed.hash_one(Prefix::network(source));
                let token = self.networks.token(hash, rate, now);
                Some(token.ok_or(Refusal::NetworkRate)?)
            }
            None => None,
        };
        // After the rates, because a flood is not worth hashing.
        let repeat = match repeats {
            Some(limit) => {
                let key = self.hash_payload(source, datagram);
                let place = self.repeats.place(key, limit, now);
                Some((place.ok_or(Refusal::Repeat)?, key))
            }
            None => None,
        };
        if let Some(rate) = total {
            self.total = rate.take(self.total, now).ok_or(Refusal::TotalRate)?;
        }
        if let Some(token) = host {
            self.hosts.take(token);
        }
        if let Some(token) = network {
            self.networks.take(token);
        }
        if let Some((place, key)) = repeat {
            self.repeats.count(place, key, now);
        }
        Ok(())
    }

    /// A hash of what `source` sent. A sender can't construct a collision.
    fn hash_payload(&self, source: SocketAddr, datagram: &[u8]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        Prefix::whole(source).hash(&mut hasher);
        hasher.write_u16(source.port());
        hasher.write(datagram);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SUFFIX: &[u8] = b"| lee";

    fn guard(change: impl FnOnce(&mut GuardOptions)) -> Guard {
        let mut options = GuardOptions {
            own_ports: vec![25556],
            suffix: SUFFIX.to_vec(),
            ..GuardOptions::default()
        };
        change(&mut options);
        Guard::new(options)
    }

    fn source(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sources_that_can_only_be_forged_or_be_services_are_refused() {
        let (mut guard, now) = (guard(|_| ()), Instant::now());
        for (text, verdict) in [
            ("192.0.2.1:0", Err(Refusal::BadPort)),
            ("192.0.2.1:7", Err(Refusal::BadPort)),
            ("192.0.2.1:1023", Err(Refusal::BadPort)),
            ("192.0.2.1:1024", Ok(())),
            ("192.0.2.1:25556", Err(Refusal::BadPort)),
            ("[2001:db8::1]:25556", Err(Refusal::BadPort)),
            ("224.0.0.1:4000", Err(Refusal::BadAddress)),
            ("255.255.255.255:4000", Err(Refusal::BadAddress)),
            ("0.0.0.0:4000", Err(Refusal::BadAddress)),
            ("[::]:4000", Err(Refusal::BadAddress)),
            ("[ff02::1]:4000", Err(Refusal::BadAddress)),
            ("[::ffff:224.0.0.1]:4000", Err(Refusal::BadAddress)),
            ("[2001:db8::1]:4000", Ok(())),
        ] {
            assert_eq!(guard.admit(source(text), b"hello", now), verdict, "{text}");
        }
    }

    #[test]
    fn an_answer_is_never_answered_unless_asked_for() {
        let (from, now) = (source("127.0.0.1:4000"), Instant::now());
        let mut strict = guard(|_| ());
        assert_eq!(strict.admit(from, b"hello| lee", now), Err(Refusal::Answer));
        assert_eq!(strict.admit(from, b"| lee", now), Err(Refusal::Answer));
        assert_eq!(strict.admit(from, b"| lee ", now), Ok(()));
        let long = [vec![b'x'; 5000], SUFFIX.to_vec()].concat();
        assert_eq!(
            strict.admit(from, &long, now),
            Err(Refusal::Answer),
            "judged on the whole datagram"
        );
        assert_eq!(
            guard(|o| o.answer_replies = true).admit(from, b"hello| lee", now),
            Ok(())
        );
        assert_eq!(
            guard(|o| o.suffix.clear()).admit(from, b"hello| lee", now),
            Ok(())
        );
    }

    #[test]
    fn an_address_gets_a_burst_then_its_rate() {
        let mut guard = guard(|o| (o.rate, o.loop_limit) = (Some(10), Some(0)));
        let mut now = Instant::now();
        let mut admitted = |count: usize, now| {
            let ports =
                (0..count).map(|port| SocketAddr::new([192, 0, 2, 1].into(), 2000 + port as u16));
            ports
                .filter(|&source| guard.admit(source, b"x", now).is_ok())
                .count()
        };
        assert_eq!(
            admitted(50, now),
            10,
            "a burst of one second's worth, whatever the ports"
        );
        now += Duration::from_millis(500);
        assert_eq!(admitted(50, now), 5, "then what half a second refills");
        now += Duration::from_secs(3600);
        assert_eq!(admitted(50, now), 10, "never more than a burst");
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let mut guard = guard(|o| o.rate = Some(1));
        let now = Instant::now();
        assert_eq!(guard.admit(source("[2001:db8::1]:4000"), b"a", now), Ok(()));
        assert_eq!(
            guard.admit(source("[2001:db8::2]:4000"), b"b", now),
            Err(Refusal::Rate)
        );
        assert_eq!(
            guard.admit(source("[2001:db8:0:1::2]:4000"), b"b", now),
            Ok(())
        );
    }

    #[test]
    fn payload_that_repeats_is_blocked_for_a_minute_and_other_payloads_are_not() {
        let mut guard = guard(|o| (o.rate, o.loop_limit) = (Some(0), Some(3)));
        let (from, other, now) = (
            source("192.0.2.1:4000"),
            source("192.0.2.1:4001"),
            Instant::now(),
        );
        for _ in 0..3 {
            assert_eq!(guard.admit(from, b"ping", now), Ok(()));
        }
        assert_eq!(guard.admit(from, b"ping", now), Err(Refusal::Repeat));
        assert_eq!(guard.admit(from, b"another", now), Ok(()));
        assert_eq!(
            guard.admit(other, b"ping", now),
            Ok(()),
            "another port is another source"
        );
        let later = now + Duration::from_secs(60);
        assert_eq!(guard.admit(from, b"ping", later), Ok(()));
    }

    #[test]
    fn copies_of_a_blocked_payload_take_nothing_from_the_rate() {
        let mut guard = guard(|o| (o.rate, o.loop_limit) = (Some(10), Some(3)));
        let (from, now) = (source("192.0.2.1:4000"), Instant::now());
        let forged = (0..100).filter(|_| guard.admit(from, b"forged", now).is_ok());
        assert_eq!(forged.count(), 3);
        let own = (0..100_u8).filter(|number| guard.admit(from, &[*number], now).is_ok());
        assert_eq!(own.count(), 7);
    }

    #[test]
    fn reply_is_at_most_twice_the_request_with_headers() {
        let suffix = vec![b'!'; 60];
        for (text, header) in [
            ("192.0.2.1:4000", 28),
            ("[2001:db8::1]:4000", 48),
            ("127.0.0.1:4000", 28),
        ] {
            let mut guard = guard(|o| {
                o.suffix.clone_from(&suffix);
                o.limit_amplification = true;
            });
            let now = Instant::now();
            for size in 0..100 {
                let verdict = guard.admit(source(text), &vec![b'x'; size], now);
                let (request, reply) = (size + header, size + suffix.len() + header);
                let expected = if reply > 2 * request {
                    Err(Refusal::Amplification)
                } else {
                    Ok(())
                };
                assert_eq!(verdict, expected, "{size} bytes from {text}");
            }
        }
        let mut unlimited = guard(|o| o.suffix = suffix);
        assert_eq!(
            unlimited.admit(source("192.0.2.1:4000"), b"", Instant::now()),
            Ok(())
        );
        let mut usual = guard(|o| o.limit_amplification = true);
        assert_eq!(
            usual.admit(source("192.0.2.1:4000"), b"", Instant::now()),
            Ok(())
        );
    }

    #[test]
    fn several_payloads_that_circulate_at_once_do_not_hide_each_other() {
        for width in [2, 3, 63] {
            let mut guard = guard(|o| (o.rate, o.loop_limit) = (Some(0), Some(3)));
            let (from, now) = (source("192.0.2.1:4000"), Instant::now());
            let admitted = (0..1000u32)
                .take_while(|turn| guard.admit(from, &[(turn % width) as u8], now).is_ok());
            assert_eq!(admitted.count() as u32, 3 * width, "{width} at once");
        }
    }

    #[test]
    fn a_conversation_that_changes_or_takes_its_time_is_no_loop() {
        let mut guard = guard(|o| (o.rate, o.loop_limit) = (Some(0), Some(3)));
        let (from, mut now) = (source("192.0.2.1:4000"), Instant::now());
        for turn in 0..1000u32 {
            assert_eq!(guard.admit(from, &(turn / 3).to_le_bytes(), now), Ok(()));
        }
        for _ in 0..1000 {
            now += Duration::from_secs(1);
            assert_eq!(guard.admit(from, b"are you there?", now), Ok(()));
        }
    }

    #[test]
    fn defaults_spare_loopback_and_a_given_value_does_not() {
        let (now, here, there) = (
            Instant::now(),
            source("127.0.0.1:4000"),
            source("192.0.2.1:4000"),
        );
        let count = |mut guard: Guard, from| {
            (0..5000)
                .filter(|_| guard.admit(from, b"ping", now).is_ok())
                .count()
        };
        assert_eq!(count(guard(|_| ()), here), 5000);
        assert_eq!(count(guard(|_| ()), there), 1000);
        assert_eq!(
            count(guard(|o| o.rate = Some(0)), there),
            1000,
            "the loop limit still holds"
        );
        assert_eq!(count(guard(|o| o.loop_limit = Some(7)), here), 7);
        assert_eq!(count(guard(|o| o.rate = Some(20)), here), 20);
        assert_eq!(count(guard(|o| o.network_rate = Some(30)), here), 30);
        assert_eq!(count(guard(|o| o.total_rate = Some(40)), here), 40);
    }
}
