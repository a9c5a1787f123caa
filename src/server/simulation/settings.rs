//! Settings, drawn from a seed.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::seeds::Random;
use crate::connection::Watermarks;
use crate::server::{Config, OverLimit};

/// Settings under which every limit is met within a life.
pub(super) fn config(random: &mut Random) -> Config {
    let mut config = Config::new();
    config
        .tcp
        .push(SocketAddr::from(([127, 0, 0, 1], 0)).into());
    let some = |random: &mut Random| random.below(2) == 0;
    let seconds = |random: &mut Random| Duration::from_millis(100 + random.below(5_000) as u64);
    config.recv_size = NonZeroUsize::new(random.size(64)).unwrap();
    config.read_ahead = NonZeroUsize::new(random.size(256)).unwrap();
    config.read_budget = random.size(512);
    let high = 1 + random.size(512);
    if some(random) {
        // With less, an iteration may do nothing but look at deadlines, which would count as spinning.
        config.iteration_budget = 50_000 + random.size(200_000);
    }
    config.watermarks = Watermarks {
        high,
        low: random.below(high),
    };
    config.max_conns = random.size(40);
    config.over_limit = [OverLimit::Reject, OverLimit::Wait, OverLimit::EvictIdle][random.below(3)];
    config.accept_budget = random.size(64);
    config.datagram_budget = random.size(64);
    config.idle_timeout = some(random).then(|| seconds(random));
    config.write_stall_timeout = some(random).then(|| seconds(random));
    config.first_byte_timeout = (random.below(4) == 0).then(|| seconds(random));
    config.max_conns_per_ip =
        (random.below(4) == 0).then(|| NonZeroUsize::new(random.size(10)).unwrap());
    config.accept_rate = (random.below(4) == 0).then(|| 10.0 + random.size(200) as f64);
    config.unsent_max =
        (random.below(4) == 0).then(|| high.max(config.read_ahead.get()) + random.below(512));
    config.udp_loop_limit = some(random).then(|| random.size(10) as u32);
    config.udp_rate = some(random).then(|| random.size(100) as u32);
    config.udp_network_rate = some(random).then(|| random.size(150) as u32);
    config.udp_total_rate = some(random).then(|| random.size(200) as u32);
    config.udp_suffix = if some(random) {
        b"| lee".to_vec()
    } else {
        Vec::new()
    };
    config.udp_answer_replies = some(random);
    config.drain_timeout = Duration::from_secs(20);
    config
}
