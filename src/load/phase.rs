//! The phases of a load.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Start,
    /// Connections are being opened, and nothing is sent yet.
    Connecting,
    WarmingUp,
    Measuring,
    /// Messages that were due are still sent, and replies awaited.
    Draining,
    Over,
}

impl Phase {
    /// Whether the connections are there, and messages may be sent.
    pub(crate) const fn is_running(self) -> bool {
        matches!(self, Self::WarmingUp | Self::Measuring | Self::Draining)
    }
}
