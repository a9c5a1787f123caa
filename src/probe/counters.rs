//! The counters of a loop and of a server.

use std::fmt;
use std::io::ErrorKind;

use crate::connection::{CloseReason, Tally};
use crate::service::{FaultCounters, Refusal};

/// What a loop has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// Turns taken.
    pub count: u64,
    /// Events delivered.
    pub events: u64,
    /// Polls that brought as many events as one can: more were waiting.
    pub full_batches: u64,
    /// Polls ended by a signal.
    pub interrupted: u64,
}

/// What a server has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Its TCP clients.
    pub clients: ClientCounters,
    /// Its datagrams.
    pub datagrams: DatagramCounters,
    /// What it got wrong on purpose.
    pub faults: FaultCounters,
}

/// What became of TCP clients and their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Connections accepted and served.
    pub accepted: u64,
    /// Connections accepted only to be closed, because `max-conns` clients were there.
    pub rejected: u64,
    /// Connections accepted only to be closed, because `max-conns-per-ip` clients of their host were there.
    pub rejected_per_ip: u64,
    /// Connections lost before or while they were accepted.
    pub accept_errors: u64,
    /// Times accepting paused for want of descriptors or memory.
    pub accept_pauses: u64,
    /// Turns in which the accept budget ran out.
    pub accept_yields: u64,
    /// Times accepting reached the accept rate, so that others had to wait.
    pub accept_waits: u64,
    /// Conversations that ended, by reason.
    pub closed: Closed,
    /// What has been moved.
    pub moved: Tally,
    /// Bytes that were owed when a conversation failed or was aborted.
    pub unsent_bytes: u64,
    /// Times a client had to let others go first, because its budget was spent.
    pub yields: u64,
    /// Loop iterations whose budget was spent, so that clients had to wait for the next one.
    pub full_iterations: u64,
    /// Times the kernel had no memory for a socket.
    pub starved: u64,
    /// Events for a client that had gone.
    pub stale_events: u64,
}

/// Conversations that ended, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// [`CloseReason::PeerClosed`].
    pub peer_closed: u64,
    /// [`CloseReason::Failed`] by a reset or a broken pipe: the peer went away.
    pub reset: u64,
    /// [`CloseReason::Failed`] by anything else.
    pub failed: u64,
    /// [`CloseReason::Evicted`].
    pub evicted: u64,
    /// [`CloseReason::FirstByteTimeout`].
    pub first_byte_timeout: u64,
    /// [`CloseReason::HungUp`].
    pub hung_up: u64,
    /// [`CloseReason::IdleTimeout`].
    pub idle_timeout: u64,
    /// [`CloseReason::OwedTooMuch`].
    pub owed_too_much: u64,
    /// [`CloseReason::WriteStalled`].
    pub write_stalled: u64,
    /// [`CloseReason::Drained`].
    pub drained: u64,
    /// [`CloseReason::Aborted`].
    pub aborted: u64,
}

/// What became of datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatagramCounters {
    /// Datagrams received.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Datagrams answered.
    pub answered: u64,
    /// The bytes of the answers.
    pub sent_bytes: u64,
    /// Datagrams longer than `recv-size`, of which the rest was ignored.
    pub cut: u64,
    /// Datagrams not answered, by the rule that forbade it.
    pub refused: Refused,
    /// Errors reported while receiving: most concern a datagram sent earlier.
    pub receive_errors: u64,
    /// Answers dropped because the kernel's send buffer was full.
    pub send_blocked: u64,
    /// Answers dropped because the kernel refused them.
    pub send_errors: u64,
    /// Datagrams that the kernel dropped, for want of room in the receive buffer above all.
    pub overflowed: u64,
    /// Turns in which the datagram budget ran out.
    pub yields: u64,
}

/// Datagrams not answered, by [`Refusal`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// [`Refusal::Amplification`].
    pub amplification: u64,
    /// [`Refusal::Answer`].
    pub answer: u64,
    /// [`Refusal::BadAddress`].
    pub bad_address: u64,
    /// [`Refusal::BadPort`].
    pub bad_port: u64,
    /// [`Refusal::Rate`].
    pub rate: u64,
    /// [`Refusal::NetworkRate`].
    pub network_rate: u64,
    /// [`Refusal::TotalRate`].
    pub total_rate: u64,
    /// [`Refusal::Repeat`].
    pub repeat: u64,
}

impl ClientCounters {
    /// Counts a conversation that ended with `unsent` bytes still owed.
    pub fn closed(&mut self, reason: CloseReason, unsent: usize) {
        self.unsent_bytes += unsent as u64;
        let closed = &mut self.closed;
        *match reason {
            CloseReason::Aborted => &mut closed.aborted,
            CloseReason::Drained => &mut closed.drained,
            CloseReason::Evicted => &mut closed.evicted,
            CloseReason::Failed(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                &mut closed.reset
            }
            CloseReason::Failed(_) => &mut closed.failed,
            CloseReason::FirstByteTimeout => &mut closed.first_byte_timeout,
            CloseReason::HungUp => &mut closed.hung_up,
            CloseReason::IdleTimeout => &mut closed.idle_timeout,
            CloseReason::OwedTooMuch => &mut closed.owed_too_much,
            CloseReason::PeerClosed => &mut closed.peer_closed,
            CloseReason::WriteStalled => &mut closed.write_stalled,
        } += 1;
    }

    /// Clients being served: each one accepted and not yet ended.
    pub fn live(&self) -> u64 {
        self.accepted - self.closed.total()
    }
}

impl Closed {
    /// Conversations that ended, whatever the reason.
    pub fn total(&self) -> u64 {
        self.named().iter().map(|(count, _)| count).sum()
    }

    fn named(&self) -> [(u64, &'static str); 11] {
        [
            (self.peer_closed, "peer closed"),
            (self.reset, "reset"),
            (self.failed, "failed"),
            (self.hung_up, "hung up"),
            (self.first_byte_timeout, "first-byte timeout"),
            (self.idle_timeout, "idle timeout"),
            (self.evicted, "evicted"),
            (self.write_stalled, "write stalled"),
            (self.owed_too_much, "owed too much"),
            (self.drained, "drained"),
            (self.aborted, "aborted"),
        ]
    }
}

impl Refused {
    /// Datagrams that got no reply, whatever the rule.
    pub const fn total(&self) -> u64 {
        self.amplification
            + self.answer
            + self.bad_address
            + self.bad_port
            + self.rate
            + self.network_rate
            + self.total_rate
            + self.repeat
    }
}

impl DatagramCounters {
    /// Counts a datagram that is not answered.
    pub const fn refused(&mut self, refusal: Refusal) {
        let refused = &mut self.refused;
        *match refusal {
            Refusal::Amplification => &mut refused.amplification,
            Refusal::Answer => &mut refused.answer,
            Refusal::BadAddress => &mut refused.bad_address,
            Refusal::BadPort => &mut refused.bad_port,
            Refusal::Rate => &mut refused.rate,
            Refusal::NetworkRate => &mut refused.network_rate,
            Refusal::TotalRate => &mut refused.total_rate,
            Refusal::Repeat => &mut refused.repeat,
        } += 1;
    }

    /// Datagrams that got no answer and why, as far as we know; errors of receiving concern none.
    fn dropped(&self) -> [(u64, &'static str); 10] {
        [
            (self.refused.answer, "were answers"),
            (self.refused.bad_address, "bad address"),
            (self.refused.bad_port, "bad port"),
            (self.refused.amplification, "reply too large"),
            (self.refused.rate, "over rate"),
            (self.refused.network_rate, "over network rate"),
            (self.refused.total_rate, "over total rate"),
            (self.refused.repeat, "repeated"),
            (self.send_blocked, "send blocked"),
            (self.send_errors, "send failed"),
        ]
    }
}

/// One line, such as `3 clients served (2 peer closed, 1 reset), 4096 bytes in, 4096 bytes out; …`.
/// What did not happen is left out.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clients,
            datagrams,
            faults,
        } = self;
        write!(f, "{} served", count(clients.accepted, "client"))?;
        list(f, &clients.closed.named())?;
        write!(
            f,
            ", {} in, {} out",
            count(clients.moved.received_bytes, "byte"),
            count(clients.moved.sent_bytes, "byte")
        )?;
        for (number, what) in [
            (clients.moved.discarded_bytes, "bytes discarded"),
            (clients.unsent_bytes, "bytes unsent"),
            (clients.rejected, "rejected"),
            (clients.rejected_per_ip, "rejected for their address"),
            (clients.accept_errors, "lost while accepted"),
            (clients.accept_pauses, "pauses of accepting"),
        ] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        write!(
            f,
            "; {} in, {} answered",
            count(datagrams.received, "datagram"),
            datagrams.answered
        )?;
        let dropped = datagrams.dropped();
        let total: u64 = dropped.iter().map(|(count, _)| count).sum();
        if total > 0 {
            write!(f, ", {total} dropped")?;
            list(f, &dropped)?;
        }
        if datagrams.overflowed > 0 {
            write!(f, ", {} without room", datagrams.overflowed)?;
        }
        if datagrams.cut > 0 {
            write!(f, ", {} cut to recv-size", datagrams.cut)?;
        }
        if datagrams.receive_errors > 0 {
            write!(f, ", {}", count(datagrams.receive_errors, "receive error"))?;
        }
        if *faults != FaultCounters::default() {
            write!(f, "; faults: {faults}")?;
        }
        Ok(())
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Writes those of `named` that happened, in parentheses, or nothing.
fn list(f: &mut fmt::Formatter<'_>, named: &[(u64, &str)]) -> fmt::Result {
    let mut separator = " (";
    for (number, what) in named.iter().filter(|(number, _)| *number > 0) {
        write!(f, "{separator}{number} {what}")?;
        separator = ", ";
    }
    f.write_str(if separator == " (" { "" } else { ")" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_totals_names_what_happened_and_nothing_else() {
        let mut counters = Counters::default();
        assert_eq!(
            counters.to_string(),
            "0 clients served, 0 bytes in, 0 bytes out; 0 datagrams in, 0 answered"
        );
        counters.clients.accepted = 3;
        counters.clients.moved.received_bytes = 10;
        counters.clients.moved.sent_bytes = 1;
        counters.clients.closed(CloseReason::PeerClosed, 0);
        counters.clients.closed(CloseReason::PeerClosed, 0);
        counters
            .clients
            .closed(CloseReason::Failed(ErrorKind::BrokenPipe), 9);
        counters.datagrams.received = 3;
        counters.datagrams.answered = 1;
        counters.datagrams.refused(Refusal::Answer);
        counters.datagrams.refused(Refusal::BadPort);
        counters.datagrams.overflowed = 4;
        (counters.faults.stalls, counters.faults.delayed) = (1, 20);
        assert_eq!(
            counters.to_string(),
            "3 clients served (2 peer closed, 1 reset), 10 bytes in, 1 byte out, 9 bytes unsent; \
             3 datagrams in, 1 answered, 2 dropped (1 were answers, 1 bad port), 4 without room; faults: 1 stall, 20 delayed"
        );
    }

    /// Pitfall 26: a conversation that ends twice makes the number of clients drift.
    #[test]
    fn every_reason_is_counted_once() {
        let reasons = [
            CloseReason::Aborted,
            CloseReason::Drained,
            CloseReason::Evicted,
            CloseReason::Failed(ErrorKind::ConnectionReset),
            CloseReason::Failed(ErrorKind::TimedOut),
            CloseReason::FirstByteTimeout,
            CloseReason::HungUp,
            CloseReason::IdleTimeout,
            CloseReason::OwedTooMuch,
            CloseReason::PeerClosed,
            CloseReason::WriteStalled,
        ];
        let mut counters = ClientCounters {
            accepted: 11,
            ..ClientCounters::default()
        };
        for (ended, reason) in reasons.into_iter().enumerate() {
            assert_eq!(counters.live(), 11 - ended as u64);
            counters.closed(reason, 0);
        }
        assert_eq!(counters.closed.named().map(|(count, _)| count), [1; 11]);
        assert_eq!(counters.live(), 0);
    }
}
