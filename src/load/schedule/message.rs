//! A message of the load, once it is sent.

/// A message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentMessage {
    /// When it was to be sent, in nanoseconds since the load began.
    pub(crate) due: u64,
    /// When it was sent.
    pub(crate) sent: u64,
    /// How long it is, in bytes.
    pub(crate) size: u32,
    /// It is one of those that are measured.
    pub(crate) measured: bool,
    /// It was sent before the measured window ended, as far as that was known then.
    pub(crate) in_window: bool,
}

impl SentMessage {
    /// A message of `size` bytes in the measured window, due and sent at `sent`: for tests and benchmarks.
    pub(crate) const fn on_time(sent: u64, size: u32) -> Self {
        Self {
            due: sent,
            sent,
            size,
            measured: true,
            in_window: true,
        }
    }
}
