//! Latched readiness of one socket: what the kernel has reported and no system call has refuted.
//!
//! Not a wish: what a connection *wants* is the state machine's business
//! ([`Connection`](super::Connection)). Work is possible where a latch and a wish meet.

/// Whether a read or write that moved less than it was asked to proves that the kernel buffer is
/// empty (or full).
///
/// True for epoll and kqueue, where the next change raises a new edge. False for mio's `poll(2)`
/// and Windows backends, which re-arm only after a `WouldBlock`
/// (<https://github.com/tokio-rs/tokio/pull/5866>).
pub(crate) const SHORT_MEANS_EXHAUSTED: bool =
    cfg!(all(unix, not(mio_unsupported_force_poll_poll)));

/// The latches of one socket.
///
/// Events set latches; only the outcome of a read or a write clears one. Events may be spurious,
/// late or merged: a latch that is set wrongly costs one `WouldBlock`, so nothing else needs care.
///
/// # Draining readiness
///
/// With edge-triggered events the kernel reports a change once. As long as a latch is set, somebody
/// must come back for it without being told again: the ready list of the loop.
///
/// # The end of file hides behind a short read
///
/// Data and the FIN behind it arrive as *one* edge. A short read proves that no data is left, not
/// that no end of file is left, and no further edge will come for it. So once `read_closed` has
/// been seen, a short read clears nothing, and reads go on to the end of file. `urgent` works the
/// same way: TCP urgent data makes `recv(2)` stop short at the urgent mark with more data behind it.
/// Both are sticky: never cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness(u8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 2;
const READ_CLOSED: u8 = 4;
const URGENT: u8 = 8;
const FAILED: u8 = 16;
/// Nothing has been read yet.
const UNHEARD: u8 = 32;

impl Readiness {
    /// A fresh socket: taken to be writable, because a write that succeeds raises no edge and the
    /// first one should not wait for any.
    pub const fn new() -> Self {
        Self(WRITABLE | UNHEARD)
    }

    /// What one event says, to be [merged](Self::merge).
    pub const fn of(readable: bool, writable: bool) -> Self {
        Self((readable as u8 * READABLE) | (writable as u8 * WRITABLE))
    }

    /// Sets the latches that are set in `other`.
    pub const fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// An event said that a read may succeed, or that it will report an error.
    pub const fn latch_readable(&mut self) {
        self.0 |= READABLE;
    }

    /// An event said that a write may succeed, or that it will report an error.
    pub const fn latch_writable(&mut self) {
        self.0 |= WRITABLE;
    }

    /// An event said that the peer has shut its side, or that the socket has failed. Implies readable.
    pub const fn latch_read_closed(&mut self) {
        self.0 |= READ_CLOSED | READABLE;
    }

    /// An event said that the socket has failed, or that both its sides are shut. Implies that the peer has
    /// shut its side, and that a write will tell.
    pub const fn latch_failed(&mut self) {
        self.0 |= FAILED | READ_CLOSED | READABLE | WRITABLE;
    }

    /// An event said that urgent data is there. Implies readable.
    pub const fn latch_urgent(&mut self) {
        self.0 |= URGENT | READABLE;
    }

    /// A read returned fewer bytes than it had room for.
    pub const fn read_short(&mut self) {
        // One mask for both, so that a message pays nothing for the second.
        let empty = SHORT_MEANS_EXHAUSTED && self.0 & (READ_CLOSED | URGENT) == 0;
        self.0 &= if empty {
            !(READABLE | UNHEARD)
        } else {
            !UNHEARD
        };
    }

    /// A read returned as many bytes as it had room for.
    pub const fn read_full(&mut self) {
        self.0 &= !UNHEARD;
    }

    /// A read returned `WouldBlock`.
    pub const fn read_blocked(&mut self) {
        self.0 &= !READABLE;
    }

    /// A write took fewer bytes than it was offered.
    pub const fn write_short(&mut self) {
        if SHORT_MEANS_EXHAUSTED {
            self.0 &= !WRITABLE;
        }
    }

    /// A write returned `WouldBlock`.
    pub const fn write_blocked(&mut self) {
        self.0 &= !WRITABLE;
    }

    /// The socket was asked, and has not failed.
    pub const fn not_failed(&mut self) {
        self.0 &= !FAILED;
    }

    /// Whether the socket is worth asking why it has failed.
    pub const fn is_failed(self) -> bool {
        self.0 & FAILED != 0
    }

    /// Whether no read has brought a byte yet.
    pub const fn is_unheard(self) -> bool {
        self.0 & UNHEARD != 0
    }

    /// Whether a read is worth trying.
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Whether a write is worth trying.
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pitfall 46: where nothing but `WouldBlock` re-arms, a move that was short proves nothing.
    #[test]
    fn pitfall_46_a_short_move_counts_only_where_it_proves_something() {
        let mut readiness = Readiness::of(true, true);
        readiness.read_short();
        readiness.write_short();
        let kept = (readiness.is_readable(), readiness.is_writable());
        let proves = !cfg!(mio_unsupported_force_poll_poll) && cfg!(unix);
        assert_eq!(kept, (!proves, !proves));
        readiness.read_blocked();
        readiness.write_blocked();
        let kept = (readiness.is_readable(), readiness.is_writable());
        assert_eq!(kept, (false, false));
    }

    #[test]
    fn a_short_read_clears_readable_unless_the_peer_has_closed_or_sent_urgent_data() {
        let mut plain = Readiness::new();
        plain.latch_readable();
        plain.read_short();
        assert_eq!(plain.is_readable(), !SHORT_MEANS_EXHAUSTED);

        let mut closed = Readiness::new();
        closed.latch_read_closed();
        closed.read_short();
        assert!(closed.is_readable(), "the end of file is still to be read");

        let mut urgent = Readiness::new();
        urgent.latch_urgent();
        urgent.read_short();
        assert!(
            urgent.is_readable(),
            "data behind the urgent mark is still to be read"
        );
        urgent.read_blocked();
        assert!(!urgent.is_readable());
    }

    #[test]
    fn only_a_read_that_brought_bytes_is_heard() {
        let mut silent = Readiness::new();
        silent.latch_readable();
        silent.read_blocked();
        silent.write_short();
        assert!(silent.is_unheard());
        let (mut short, mut full) = (silent, silent);
        short.latch_read_closed();
        short.read_short();
        full.read_full();
        assert!(!short.is_unheard() && !full.is_unheard());
    }

    #[test]
    fn each_direction_is_cleared_by_its_own_outcome_only() {
        let mut readiness = Readiness::new();
        readiness.latch_readable();
        readiness.write_blocked();
        assert!(readiness.is_readable() && !readiness.is_writable());
        readiness.latch_writable();
        readiness.read_blocked();
        assert!(!readiness.is_readable() && readiness.is_writable());
        readiness.write_short();
        assert_eq!(readiness.is_writable(), !SHORT_MEANS_EXHAUSTED);
    }
}
