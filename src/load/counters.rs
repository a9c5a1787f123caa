//! What a load has done so far.

use std::fmt;

use super::host::Host;
use super::result::messages::Messages;
use super::run::Load;

/// The counters of a load that is running. It prints itself as one line.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Connections there are now, with idle ones.
    pub connected: usize,
    /// Messages that wait for a reply now.
    pub in_flight: u64,
    /// Messages of the measured window.
    pub messages: Messages,
    /// Failed attempts to connect.
    pub connections_failed: u64,
    /// Errors of connections and system calls, in the whole run.
    pub errors: u64,
}

impl<P, H: Host> Load<P, H> {
    /// The counters so far.
    pub fn counters(&self) -> Counters {
        let recorder = &self.shared.recorder;
        let outcome = &recorder.outcome;
        let mut messages = outcome.messages.clone();
        for server in &outcome.servers {
            messages += &server.messages;
        }
        Counters {
            connected: self.table.connected,
            in_flight: recorder.in_flight(),
            messages,
            connections_failed: outcome.connections.failed + outcome.connections.failed_locally,
            errors: outcome.errors.values().sum(),
        }
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = &self.messages;
        write!(
            f,
            "{} connected; in the measured window: {} messages offered, {} completed, {} failed; {} in \
             flight; {} attempts to connect failed, {} errors",
            self.connected,
            messages.offered,
            messages.completed(),
            messages.failed(),
            self.in_flight,
            self.connections_failed,
            self.errors
        )
    }
}
