//! What the kernel says of a source.

use mio::Token;

use crate::connection::Readiness;

/// Of the source that `token` was registered with, this is ready: a hint, which the call that follows confirms or not.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    token: Token,
    readiness: Readiness,
}

impl Event {
    /// Says this of that source.
    #[inline]
    pub const fn new(token: Token, readiness: Readiness) -> Self {
        Self { token, readiness }
    }

    /// What the source was registered with.
    #[inline]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// What may be ready.
    #[inline]
    pub const fn readiness(&self) -> Readiness {
        self.readiness
    }
}

impl From<&mio::event::Event> for Event {
    #[inline]
    fn from(event: &mio::event::Event) -> Self {
        Self::new(event.token(), readiness(event))
    }
}

#[inline]
fn readiness(event: &mio::event::Event) -> Readiness {
    let seen = Readiness::of(event.is_readable(), event.is_writable());
    // Not short-circuited: together they are two tests of one word.
    if event.is_read_closed() | event.is_error() | event.is_priority() {
        return rare_readiness(seen, event);
    }
    seen
}

#[cold]
#[inline(never)]
fn rare_readiness(seen: Readiness, event: &mio::event::Event) -> Readiness {
    let (read_closed, write_closed) = (event.is_read_closed(), event.is_write_closed());
    add_rare(
        seen,
        read_closed,
        write_closed,
        event.is_error(),
        event.is_priority(),
    )
}

/// What an event says at most a few times in the life of a stream, on top of what was `seen`.
///
/// Errors and hang-ups are only hints: they latch both directions, and the read or write that follows
/// reports the truth, after the input that came before it.
fn add_rare(
    mut seen: Readiness,
    read_closed: bool,
    write_closed: bool,
    error: bool,
    priority: bool,
) -> Readiness {
    if read_closed {
        seen.latch_read_closed();
    }
    if write_closed {
        seen.latch_writable();
    }
    if error {
        seen.latch_failed();
    }
    if priority {
        seen.latch_urgent();
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::SHORT_MEANS_EXHAUSTED;
    use crate::reactor::tests::{connected, reset, said_at_first};

    /// A poll says it in one event.
    #[test]
    #[cfg(unix)]
    fn a_reset_is_both_an_error_and_an_end() {
        let (mut stream, peer) = connected();
        reset(peer);
        let seen = said_at_first(&mut stream);
        assert!(seen.is_failed() && seen.is_readable());
    }

    /// Pitfall 47: kqueue says of one half that it is closed when both are, and of both when one is.
    #[test]
    fn pitfall_47_halves_that_are_said_to_be_closed_are_asked_and_not_believed() {
        for (read_closed, write_closed) in [(true, false), (false, true), (true, true)] {
            let seen = Readiness::of(false, false);
            let mut seen = add_rare(seen, read_closed, write_closed, false, false);
            let asked = (seen.is_readable(), seen.is_writable());
            assert_eq!(asked, (read_closed, write_closed));
            assert!(!seen.is_failed(), "only an error is one");
            // What was wrong is found out by a call, and forgotten.
            seen.read_blocked();
            seen.write_blocked();
            assert_eq!((seen.is_readable(), seen.is_writable()), (false, false));
        }
    }

    /// Pitfalls 8 and 9: an event may say nothing but that something is wrong.
    #[test]
    fn pitfall_08_and_09_whatever_an_event_says_leads_to_a_call_that_tells_the_truth() {
        for mask in 0..64u8 {
            let [
                readable,
                writable,
                read_closed,
                write_closed,
                error,
                priority,
            ] = std::array::from_fn(|bit| mask & (1 << bit) != 0);
            let seen = Readiness::of(readable, writable);
            let seen = add_rare(seen, read_closed, write_closed, error, priority);
            let reads = readable || read_closed || error || priority;
            let writes = writable || write_closed || error;
            assert_eq!(
                (seen.is_readable(), seen.is_writable()),
                (reads, writes),
                "{mask:06b}"
            );
            // What came before an end, an error or an urgent mark is read to its end.
            let mut short = seen;
            short.read_short();
            let proves_nothing = read_closed || error || priority || !SHORT_MEANS_EXHAUSTED;
            assert_eq!(short.is_readable(), reads && proves_nothing, "{mask:06b}");
        }
    }
}
