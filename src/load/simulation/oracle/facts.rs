//! What a log says of a run that its verdict depends on.

use super::totals::Totals;

/// What a verdict has to take into account, by the log alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Wrong replies, in the whole run.
    pub(crate) wrong_replies: u64,
    /// Messages of the window.
    pub(crate) offered: u64,
    /// Messages that were lost with their connections, or timed out without a pause of the client.
    pub(crate) failed: u64,
    /// Messages with their replies, or written without a reply to come.
    pub(crate) completed: u64,
    /// Messages that were never sent.
    pub(crate) unsent: u64,
    /// Attempts to connect: all, those that the server or the network refused, and those that this machine could not make.
    pub(crate) attempts: u64,
    pub(crate) attempts_failed: u64,
    pub(crate) attempts_failed_locally: u64,
    /// Nothing went wrong: neither at a server, nor on the client's machine.
    pub(crate) is_clean: bool,
    /// A signal ended the run.
    pub(crate) is_interrupted: bool,
}

impl Facts {
    pub(super) fn of(totals: &Totals<'_>) -> Self {
        let settings = totals.settings;
        let mut facts = Self {
            wrong_replies: totals.account.wrong_replies,
            attempts: totals.account.connections.attempted,
            attempts_failed: totals.account.connections.failed
                + totals.account.connections.closed_without_reply,
            attempts_failed_locally: totals.account.connections.failed_locally,
            is_clean: settings.is_clean(),
            is_interrupted: totals.outcome.interrupted,
            ..Self::default()
        };
        for counts in &totals.counts {
            facts.offered += counts.offered;
            facts.failed += counts.connection_lost;
            // A client that was paused is the cause itself.
            facts.failed += if settings.has_pauses() {
                0
            } else {
                counts.timed_out
            };
            facts.completed += counts.replied + counts.replied_late + counts.written;
            facts.unsent += counts.unsent;
        }
        facts
    }
}
