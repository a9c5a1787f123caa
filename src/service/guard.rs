//! Whether a datagram is answered at all.
//!
//! A datagram's source address is whatever its sender wrote there. A server that answers every one
//! reflects traffic at victims, and two such servers can be made to answer each other for ever by a
//! single forged datagram (CERT CA-1996-01; CVE-2024-2169). The guard runs before anything else is
//! done with a datagram. It holds no socket and no clock, and its memory is fixed.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::bucket::{Bucket, Refill};
use super::network::Prefix;
use super::repeat::Repeat;
use super::sources::Sources;

/// The source ports below this belong to system services, which don't ask for echoes: time, DNS, NTP
/// and, above all, other echo services.
const FIRST_USER_PORT: u16 = 1024;

/// How many replies a second one address gets, unless it is a loopback address.
const RATE_DEFAULT: u32 = 1000;

/// How many replies one address may get at once when it has been silent, in time's worth of its rate.
const BURST: Duration = Duration::from_secs(1);

/// How often one source may repeat a payload, unless it is a loopback address.
const LOOP_LIMIT_DEFAULT: u32 = 1000;

/// Decides, datagram by datagram, which are answered.
#[derive(Debug)]
pub struct Guard {
    options: GuardOptions,
    rates: Sources<Prefix, Bucket>,
    repeats: Sources<SocketAddr, Repeat>,
}

/// What a [`Guard`] goes by.
#[derive(Clone, Debug, Default)]
pub struct GuardOptions {
    /// The ports of our own datagram sockets.
    pub own_ports: Vec<u16>,
    /// What our replies end in. Empty for pure echoes.
    pub suffix: Vec<u8>,
    /// Answer even what already ends in our suffix, as two of the tutorial's servers would.
    pub answer_replies: bool,
    /// Replies a second to one address; 0 for no limit. `None`: 1,000, and no limit for loopback
    /// addresses, so that a load test is not mistaken for an attack.
    pub rate: Option<u32>,
    /// How often a payload may come again within half a second of the last time before its source is
    /// ignored for 60 s; 0 for no limit. `None`: 1,000, and no limit for loopback addresses.
    pub loop_limit: Option<u32>,
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It already ends in our suffix: an answer is never answered.
    Answer,
    /// Its source is no address one host can have: multicast, broadcast or unspecified.
    BadAddress,
    /// Its source port is 0, below 1024, or one of our own.
    BadPort,
    /// Its source address has had its replies for now.
    Rate,
    /// Its source has repeated a payload too often, and is ignored for a while.
    Repeat,
}

impl Guard {
    /// A guard that goes by `options`.
    pub fn new(options: GuardOptions) -> Self {
        Self {
            options,
            rates: Sources::new(),
            repeats: Sources::new(),
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
        if source.port() < FIRST_USER_PORT || self.options.own_ports.contains(&source.port()) {
            return Err(Refusal::BadPort);
        }
        let address = source.ip().to_canonical();
        if !is_one_host(address) {
            return Err(Refusal::BadAddress);
        }
        let GuardOptions {
            suffix,
            answer_replies,
            ..
        } = &self.options;
        if !suffix.is_empty() && !answer_replies && datagram.ends_with(suffix) {
            return Err(Refusal::Answer);
        }
        if let Some(limit) = limit(self.options.loop_limit, LOOP_LIMIT_DEFAULT, address) {
            self.admit_payload(source, datagram, limit, now)?;
        }
        if let Some(rate) = limit(self.options.rate, RATE_DEFAULT, address) {
            self.admit_rate(source, rate, now)?;
        }
        Ok(())
    }

    fn admit_payload(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
        limit: u32,
        now: Instant,
    ) -> Result<(), Refusal> {
        let payload = self.repeats.hash(datagram);
        let entry = self
            .repeats
            .entry(source, now, || Repeat::new(payload, now));
        if entry.value.admit(payload, limit, now) {
            return Ok(());
        }
        entry.keep_until = entry.value.ignored_until();
        Err(Refusal::Repeat)
    }

    fn admit_rate(&mut self, source: SocketAddr, rate: u32, now: Instant) -> Result<(), Refusal> {
        let refill = Refill::new(Duration::from_secs(1) / rate, BURST);
        let host = Prefix::host(source);
        let entry = self.rates.entry(host, now, || Bucket::new(now));
        if entry.value.take_one(refill, now) {
            Ok(())
        } else {
            Err(Refusal::Rate)
        }
    }
}

/// The limit in force for `address`: what was `asked`, or the default, which spares loopback.
fn limit(asked: Option<u32>, default: u32, address: IpAddr) -> Option<u32> {
    match asked {
        Some(limit) => (limit > 0).then_some(limit),
        None => (!address.is_loopback()).then_some(default),
    }
}

fn is_one_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_multicast() || address.is_unspecified() || broadcast)
}

#[cfg(test)]
mod tests {
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
    fn a_rate_below_one_a_burst_still_admits() {
        let mut guard = guard(|o| o.rate = Some(1));
        let now = Instant::now();
        assert_eq!(guard.admit(source("192.0.2.1:4000"), b"a", now), Ok(()));
        assert_eq!(
            guard.admit(source("192.0.2.1:4000"), b"b", now),
            Err(Refusal::Rate)
        );
        let later = now + Duration::from_secs(1);
        assert_eq!(guard.admit(source("192.0.2.1:4000"), b"c", later), Ok(()));
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
    fn a_source_that_repeats_itself_is_ignored_for_a_minute() {
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
        assert_eq!(
            guard.admit(from, b"another", now),
            Err(Refusal::Repeat),
            "ignored whatever it sends"
        );
        assert_eq!(
            guard.admit(other, b"ping", now),
            Ok(()),
            "another port is another source"
        );
        let later = now + Duration::from_secs(60);
        assert_eq!(guard.admit(from, b"ping", later), Ok(()));
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
    }
}
