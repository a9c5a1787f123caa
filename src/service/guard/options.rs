//! What a guard goes by, and the verdicts that it has.

use crate::service::rate_table::Rate;

/// How many replies a second one host gets, unless it has a loopback address.
const RATE_DEFAULT: u32 = 1000;

/// How many times the rate of a host its network gets: a few busy clients of one site.
const NETWORK_RATE_FACTOR: u32 = 5;

/// How many times the rate of a host all of them get together. With replies of 1 KiB, 20 MiB/s leave for
/// victims of forged datagrams at most.
const TOTAL_RATE_FACTOR: u32 = 20;

/// How often one source may repeat a payload, unless it has a loopback address.
const LOOP_LIMIT_DEFAULT: u32 = 1000;

/// What a [`Guard`](super::Guard) goes by.
#[derive(Clone, Debug, Default)]
pub struct GuardOptions {
    /// The ports of our own datagram sockets.
    pub own_ports: Vec<u16>,
    /// What our replies end in. Empty for pure echoes.
    pub suffix: Vec<u8>,
    /// Reply even to what already ends in our suffix, as two of the tutorial's servers would.
    pub answer_replies: bool,
    /// Replies a second to one host ([an IPv4 address, an IPv6 /64, or a link-local address and its
    /// interface](crate::Config::max_conns_per_ip)); 0 for no limit. `None`: 1,000, and no limit for
    /// loopback addresses, so that a load test is not mistaken for an attack.
    pub rate: Option<u32>,
    /// Replies a second to one network: an IPv4 /24, an IPv6 /48, or all link-local addresses of one
    /// interface; 0 for no limit. `None`: 5 times the rate of a host, 5,000 if that has no limit, and no limit
    /// for loopback addresses.
    pub network_rate: Option<u32>,
    /// Replies a second to all sources together; 0 for no limit. `None`: 20 times the rate of a host, 20,000
    /// if that has no limit, and no limit for loopback addresses.
    pub total_rate: Option<u32>,
    /// How often one source gets a reply to the same payload, each time within half a second of the last,
    /// before the payload gets none from it for 60 s; 0 for no limit. `None`: 1,000, and no limit for loopback
    /// addresses.
    pub loop_limit: Option<u32>,
    /// Do not reply if that could take more than twice the bytes of the datagram, both with their headers
    /// of IP and UDP. (A reply without the suffix could not be distinguished from a request.)
    pub limit_amplification: bool,
}

/// Why a datagram gets no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It already ends in our suffix: a reply never gets a reply.
    Answer,
    /// Its source is no address one host can have: multicast, broadcast or unspecified.
    BadAddress,
    /// Its source port is 0, below 1024, or one of our own.
    BadPort,
    /// The reply would be more than twice as long.
    Amplification,
    /// Its source host has had its replies for now.
    Rate,
    /// The network of its source has.
    NetworkRate,
    /// All sources together have.
    TotalRate,
    /// Its source has repeated this payload too often, and it is blocked for a while.
    Repeat,
}

/// The limits of one kind of sources, as far as there are any.
#[derive(Debug)]
pub(super) struct Limits {
    /// There is at least one.
    pub(super) exist: bool,
    pub(super) repeats: Option<u32>,
    pub(super) host: Option<Rate>,
    pub(super) network: Option<Rate>,
    pub(super) total: Option<Rate>,
}

impl Limits {
    /// The limits that `options` give, and with `defaults` those that hold where they give none.
    pub(super) fn new(options: &GuardOptions, defaults: bool) -> Self {
        let limit = |asked: Option<u32>, default: u32| {
            let limit = asked.unwrap_or(if defaults { default } else { 0 });
            (limit > 0).then_some(limit)
        };
        // Without a limit for each host, those for networks and for all together protect victims.
        let of_host = options.rate.filter(|&rate| rate > 0);
        let of_host = of_host.unwrap_or(RATE_DEFAULT);
        let rate =
            |asked, factor| limit(asked, of_host.saturating_mul(factor)).map(Rate::per_second);
        let repeats = limit(options.loop_limit, LOOP_LIMIT_DEFAULT);
        let host = rate(options.rate, 1);
        let network = rate(options.network_rate, NETWORK_RATE_FACTOR);
        let total = rate(options.total_rate, TOTAL_RATE_FACTOR);
        let rates = [host, network, total];
        Self {
            exist: repeats.is_some() || rates.iter().any(Option::is_some),
            repeats,
            host,
            network,
            total,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::service::Guard;

    #[test]
    fn networks_and_all_together_have_limits_that_follow_the_rate_of_a_host() {
        let now = Instant::now();
        let asked = |change: fn(&mut GuardOptions), same_network: bool| {
            let mut options = GuardOptions::default();
            change(&mut options);
            let mut guard = Guard::new(options);
            let mut refusals = Vec::new();
            for number in 0..200_u32 {
                let host = if same_network { number } else { number << 8 };
                let host = std::net::Ipv4Addr::from_bits(0xc000_0000 + host);
                let verdict = guard.admit((host, 4000).into(), b"x", now);
                refusals.extend(verdict.err());
            }
            refusals
        };
        let refused = |count: usize, refusal| vec![refusal; 200 - count];
        let rate = |o: &mut GuardOptions| o.rate = Some(2);
        assert_eq!(asked(rate, true), refused(10, Refusal::NetworkRate));
        assert_eq!(asked(rate, false), refused(40, Refusal::TotalRate));
        let given = |o: &mut GuardOptions| (o.network_rate, o.total_rate) = (Some(7), Some(9));
        assert_eq!(asked(given, true), refused(7, Refusal::NetworkRate));
        assert_eq!(asked(given, false), refused(9, Refusal::TotalRate));
        assert_eq!(asked(|o| o.rate = Some(0), true), []);
        let off = |o: &mut GuardOptions| {
            (o.rate, o.network_rate, o.total_rate) = (Some(2), Some(0), Some(0));
        };
        assert_eq!(asked(off, true), []);
    }

    #[test]
    fn networks_and_all_together_keep_their_limits_without_a_limit_for_hosts() {
        let (now, options) = (Instant::now(), GuardOptions::default());
        let mut guard = Guard::new(GuardOptions {
            rate: Some(0),
            loop_limit: Some(0),
            ..options
        });
        let mut granted = |host: u32, count: u32| {
            let host = std::net::Ipv4Addr::from_bits(0xc000_0000 + host);
            let granted =
                (0..count).filter(|_| guard.admit((host, 4000).into(), b"x", now).is_ok());
            granted.count()
        };
        assert_eq!(granted(1, 6_000), 5_000, "one network");
        let others: usize = (1..=5).map(|network| granted(network << 8, 6_000)).sum();
        assert_eq!(others, 15_000, "all together have 20,000");
    }
}
