//! The buffers of sockets: what the kernel gives, and whether that is what a plan asks for.

use std::fs;

use echoloop::load::Plan;

use super::preflight::Check;
use crate::socket_buffers::Buffer;

/// What a datagram takes of a receive buffer beyond its payload, at least (skbuff and head on Linux).
const DATAGRAM_OVERHEAD: usize = 768;

/// A rate of datagrams above which a receive buffer may overflow before it is read.
const RATE_LARGE: f64 = 1e4;

/// The sizes that the kernel gives to the buffers of sockets, in bytes, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffers {
    receive: Option<u64>,
    receive_max: Option<u64>,
    send_max: Option<u64>,
}

impl Buffers {
    pub(super) fn look() -> Self {
        Self {
            receive: fs::read_to_string("/proc/sys/net/core/rmem_default")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            receive_max: Buffer::Receive.largest(),
            send_max: Buffer::Send.largest(),
        }
    }

    /// Whether the sockets of `plan` get the buffers that it asks for, and whether those suffice.
    pub(super) fn check(&self, plan: &Plan) -> Vec<Check> {
        let (receive, send) = (plan.dial.buffers.receive, plan.dial.buffers.send);
        let mut checks = Vec::new();
        match check_cap(Buffer::Receive, receive, self.receive_max) {
            Some(capped) => checks.push(capped),
            None if plan.udp => checks.push(self.check_room(plan)),
            None => {}
        }
        checks.extend(check_cap(Buffer::Send, send, self.send_max));
        checks
    }

    /// Whether the datagrams in flight fit into the receive buffer.
    fn check_room(&self, plan: &Plan) -> Check {
        let what = Buffer::Receive.name();
        let size = plan
            .message
            .as_ref()
            .map_or_else(|| plan.sizes.largest(), Vec::len);
        let most = plan.pipeline.min(1 << 16) * (size + DATAGRAM_OVERHEAD);
        let is_fast = plan
            .rate
            .as_ref()
            .is_some_and(|rate| rate.peak() > RATE_LARGE);
        let asked = plan.dial.buffers.receive.map(|asked| asked as u64);
        match asked.or(self.receive) {
            Some(has) if is_fast && has < most as u64 => Check::doubtful(
                what,
                format!(
                    "{has} bytes for up to {} datagrams in flight: what overflows is told apart; \
                     --rcvbuf 4M makes room",
                    plan.pipeline
                ),
            ),
            Some(has) => Check::fine(what, format!("{has} bytes")),
            None => Check::fine(what, "not known here".to_owned()),
        }
    }
}

/// A note if the kernel gives less than was `asked` for.
fn check_cap(buffer: Buffer, asked: Option<usize>, max: Option<u64>) -> Option<Check> {
    let sentence = buffer.capped(asked, max)?;
    Some(Check::doubtful(buffer.name(), sentence))
}

#[cfg(test)]
mod tests {
    use echoloop::load::Profile;

    use super::*;
    use crate::bench::preflight::Health;

    const BUFFERS: Buffers = Buffers {
        receive: Some(212_992),
        receive_max: Some(4 << 20),
        send_max: Some(1 << 20),
    };

    fn told(change: impl FnOnce(&mut Plan)) -> Vec<(Health, String)> {
        let mut plan = Plan::new();
        change(&mut plan);
        let checks = BUFFERS.check(&plan).into_iter();
        checks
            .map(|check| (check.verdict, check.sentence()))
            .collect()
    }

    #[test]
    fn sizes_that_the_kernel_caps_are_noted_for_tcp_and_udp() {
        for udp in [false, true] {
            let told = told(|plan| {
                plan.udp = udp;
                plan.dial.buffers.receive = Some(64 << 20);
                plan.dial.buffers.send = Some((1 << 20) + 1);
            });
            let expected = [
                "receive buffer: --rcvbuf 67108864 is capped at 4194304 by the kernel: raise \
                 net.core.rmem_max, or ask for less",
                "send buffer: --sndbuf 1048577 is capped at 1048576 by the kernel: raise \
                 net.core.wmem_max, or ask for less",
            ];
            assert_eq!(
                told,
                expected.map(|told| (Health::Doubtful, told.to_owned()))
            );
        }
        assert!(told(|plan| plan.dial.buffers.send = Some(1 << 20)).is_empty());
    }

    #[test]
    fn fast_datagrams_need_room_in_the_receive_buffer() {
        let fast = |plan: &mut Plan| {
            plan.udp = true;
            plan.pipeline = 1024;
            plan.rate = Some(Profile::constant(100_000.0));
        };
        assert_eq!(told(fast)[0].0, Health::Doubtful);
        let told = told(|plan| {
            fast(plan);
            plan.dial.buffers.receive = Some(4 << 20);
        });
        assert_eq!(
            told,
            [(Health::Fine, "receive buffer: 4194304 bytes".to_owned())]
        );
    }
}
