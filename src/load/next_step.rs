//! What a connection or flow needs next.

/// When a connection or flow is to be served again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// At its next event or deadline.
    Wait,
    /// In the next iteration, although no event will come.
    Again,
    /// At this time, when its next message is due.
    At(u64),
}
