//! The loop, and everything that names mio.
//!
//! [`Reactor::run`] is the whole loop: ask the [`Handler`] to work, wait for events, tell it of each.
//! A role, such as the server, is a handler; so is the load of the benchmark.

#[cfg_attr(
    not(all(feature = "bench", target_os = "linux")),
    path = "alarm_plain.rs"
)]
mod alarm;
mod backlog;
mod buffer_sizes;
#[cfg(feature = "bench")]
mod clock;
mod connector;
mod datagram;
mod deadlines;
mod dial;
mod event;
mod happy_eyeballs;
mod listener;
mod net;
mod poller;
mod sleep;
mod slots;
mod socket_table;
mod source;
mod stamp;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(feature = "bench")]
pub use alarm::Heartbeat;
pub use backlog::{Accepted, Backlog};
pub use buffer_sizes::{BUFFER_MAX, BufferSizes};
#[cfg(feature = "bench")]
pub use clock::{monotonic, thread_cpu_time};
pub use connector::{ConnectError, Connected, Connecting, Connector, connect_any};
pub use datagram::{
    Batch, Burst, DatagramSocket, Datagrams, Head, Outlet, UdpOptions, size_udp_buffers,
    uncounted_drops,
};
pub use deadlines::Deadlines;
pub use dial::{Dial, DialOptions, Dialled, dial_datagrams};
pub use event::Event;
pub use happy_eyeballs::{CONNECTION_ATTEMPT_DELAY, HappyEyeballs};
pub use listener::{Accept, Listener, TcpOptions};
/// What the loop's interface is made of, as in [mio](https://docs.rs/mio).
pub use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpStream, UdpSocket},
};
pub use net::{Attempt, ConnectedDatagrams, Net, OutgoingStream, System};
#[cfg(test)]
pub(crate) use poller::Poller;
pub(crate) use poller::drive;
pub use sleep::Timer;
pub use slots::{Key, Slots, fixed_index, fixed_token};
pub use socket_table::{SocketRow, dropped_datagrams, socket_inode, socket_rows};
pub use source::{SourceAddr, connect_datagrams};
pub use stamp::Stamp;

use socket2::SockRef;

use self::poller::Poll;
use self::sleep::Sleeper;
use crate::connection::Stream;
use crate::probe::Turns;

/// How many events one poll may bring. The rest come with the next poll, and those a full batch left
/// behind come first (epoll keeps them in a queue), so the number decides how much work lies between
/// two looks at the clock, not who is served. 512 small messages take about 3 ms, and one poll for
/// 512 costs each of them nothing that can be measured.
pub const EVENTS_PER_POLL: usize = 512;

/// The longest sleep. Some platforms mistreat very long timeouts; waking once an hour costs nothing.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

const WAKER: Token = fixed_token(u32::MAX);

/// A fixed token left to whoever wraps a role in a handler of their own, to register a source the
/// role knows nothing of: signals, say.
pub const EXTERNAL: Token = fixed_token(u32::MAX - 1);

const ALARM: Token = fixed_token(u32::MAX - 2);

#[cfg(all(feature = "bench", target_os = "linux"))]
const HEARTBEAT: Token = fixed_token(u32::MAX - 3);

/// What the loop drives.
///
/// # Events only mark
///
/// [`ready`](Self::ready) notes what an event says and makes no system call; the work is done in
/// [`turn`](Self::turn). So an event that is late, merged with another or meant for somebody who has
/// gone is harmless, and a batch of events can't be invalidated by the work on its first.
pub trait Handler {
    /// An event: mark what it says is ready. A token that means nothing to the handler is a wake-up
    /// by a [`Waker`] or a [`Timer`], and needs nothing done.
    fn ready(&mut self, event: &Event);

    /// A turn: do what is ready, within budgets, and say how long to sleep.
    fn turn(&mut self, registry: &Registry, now: Instant) -> Next;
}

/// What the loop does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for events, at most this long from when the turn began. `Some(ZERO)` looks for events without
    /// sleeping: work is left over. `None` sleeps until something happens.
    Wait(Option<Duration>),
    /// Leave the loop.
    Stop,
}

impl Next {
    /// Sleep until `deadline`, or until something happens if there is none.
    #[inline]
    pub fn until(deadline: Option<Instant>, now: Instant) -> Self {
        Self::Wait(deadline.map(|deadline| deadline.saturating_duration_since(now).min(SLEEP_MAX)))
    }
}

/// The poll, and its events.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    waker: Waker,
    turns: Turns,
}

impl Reactor {
    /// A loop without sources. Takes two or three descriptors.
    ///
    /// # Errors
    ///
    /// When the process can have no more descriptors.
    pub fn new() -> io::Result<Self> {
        Self::build(EVENTS_PER_POLL, Timer::Poll)
    }

    /// A loop whose polls bring at most `capacity` events.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_events(capacity: usize) -> io::Result<Self> {
        Self::build(capacity, Timer::Poll)
    }

    /// A loop that sleeps by `timer`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and `Unsupported` for any other than [`Timer::Poll`] where there is none: they
    /// need Linux, and the feature `bench` of this crate.
    pub fn with_timer(timer: Timer) -> io::Result<Self> {
        Self::build(EVENTS_PER_POLL, timer)
    }

    fn build(capacity: usize, timer: Timer) -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
        Ok(Self {
            poll: Poll {
                sleeper: Sleeper::new(timer, &poll, ALARM)?,
                poll,
                events: mio::Events::with_capacity(capacity),
            },
            waker,
            turns: Turns::default(),
        })
    }

    /// Runs until the handler says stop.
    ///
    /// # Errors
    ///
    /// When the poll fails, which is this process's failure and no peer's.
    pub fn run(&mut self, handler: &mut impl Handler) -> io::Result<()> {
        drive(&mut self.poll, &mut self.turns, handler)
    }

    /// Where sources are registered.
    pub fn registry(&self) -> &Registry {
        self.poll.poll.registry()
    }

    /// What another thread ends this loop's sleep with.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What it sleeps by.
    pub const fn timer(&self) -> Timer {
        self.poll.sleeper.timer()
    }

    /// What the loop has done so far.
    pub const fn turns(&self) -> &Turns {
        &self.turns
    }
}

/// Ends a loop's sleep from another thread: the handler gets a turn.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Ends the sleep, or the next one if the loop is awake.
    ///
    /// # Errors
    ///
    /// When the system call fails.
    pub fn wake(&self) -> io::Result<()> {
        self.0.wake()
    }
}

/// Everything a stream socket is registered for, once: urgent data too, because reads stop short at
/// its mark (see [`Readiness`](crate::connection::Readiness)).
pub fn stream_interests() -> Interest {
    let interests = Interest::READABLE | Interest::WRITABLE;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let interests = interests | Interest::PRIORITY;
    interests
}

/// Registers `source` anew, whatever its poll still knows of it, which reports its state once more.
///
/// For a socket that lives on after an error: mio's `poll(2)` forgets a source that has had one, and `epoll(7)` does not.
///
/// # Errors
///
/// When it can't be registered.
pub fn watch_again(
    registry: &Registry,
    source: &mut impl Source,
    token: Token,
    interests: Interest,
) -> io::Result<()> {
    // Fails if it is forgotten. If anything else is wrong, registering says so.
    let _ = registry.deregister(source);
    registry.register(source, token, interests)
}

impl Stream for TcpStream {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        Self::take_error(self)
    }

    fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::connection::Readiness;

    const NEVER: Duration = Duration::from_secs(10);

    /// One that is connected, and its peer.
    pub(super) fn connected() -> (TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(NEVER)).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (TcpStream::from_std(stream), peer)
    }

    /// Ends the connection by a reset.
    pub(super) fn reset(stream: std::net::TcpStream) {
        let lingers = SockRef::from(&stream);
        lingers.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// What a poll says of `stream`, which it hears of now.
    pub(super) fn said_at_first(stream: &mut TcpStream) -> Readiness {
        let mut poll = mio::Poll::new().unwrap();
        let interests = stream_interests();
        poll.registry()
            .register(stream, EXTERNAL, interests)
            .unwrap();
        let [event] = said(&mut poll)[..] else {
            panic!("one event")
        };
        assert_eq!(event.token(), EXTERNAL);
        event.readiness()
    }

    fn said(poll: &mut mio::Poll) -> Vec<Event> {
        let mut events = mio::Events::with_capacity(4);
        poll.poll(&mut events, Some(NEVER)).unwrap();
        events.iter().map(Event::from).collect()
    }

    #[test]
    fn the_sources_of_the_loop_have_the_last_tokens_of_all() {
        let tokens = [WAKER, EXTERNAL, ALARM].map(|token| fixed_index(token).unwrap());
        assert_eq!(tokens, [u32::MAX, u32::MAX - 1, u32::MAX - 2]);
    }

    #[test]
    fn shutting_one_half_ends_the_input_of_the_peer_which_may_still_send() {
        let (mut stream, mut peer) = connected();
        Stream::shutdown_write(&mut stream).unwrap();
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        peer.write_all(b"!").unwrap();
        assert!(said_at_first(&mut stream).is_readable());
        assert_eq!(stream.read(&mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn an_error_is_taken_once() {
        let (mut stream, peer) = connected();
        reset(peer);
        assert!(said_at_first(&mut stream).is_failed());
        let error = Stream::take_error(&mut stream).unwrap().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(Stream::take_error(&mut stream).unwrap().is_none());
    }

    #[test]
    fn what_is_watched_again_is_told_of_once_more_even_if_it_was_forgotten() {
        let (mut stream, _peer) = connected();
        let mut poll = mio::Poll::new().unwrap();
        let interests = stream_interests();
        for forgotten in [true, false, false] {
            let watch = watch_again(poll.registry(), &mut stream, EXTERNAL, interests);
            watch.unwrap();
            let said = said(&mut poll);
            assert!(said.iter().any(|event| event.readiness().is_writable()));
            if forgotten {
                poll.registry().deregister(&mut stream).unwrap();
            }
        }
    }

    /// Pitfall 38: a timeout must not overflow, be cut to nothing or lie in the past.
    #[test]
    fn pitfall_38_timeouts_are_clamped_and_never_negative() {
        let now = Instant::now();
        let until = |deadline| Next::until(deadline, now);
        assert_eq!(until(None), Next::Wait(None));
        assert_eq!(until(Some(now)), Next::Wait(Some(Duration::ZERO)));
        let earlier = now.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(until(Some(earlier)), Next::Wait(Some(Duration::ZERO)));
        let soon = Duration::from_micros(300);
        assert_eq!(
            until(Some(now + soon)),
            Next::Wait(Some(soon)),
            "not rounded down to a spin"
        );
        let far = Duration::from_secs(30 * 24 * 3600);
        assert_eq!(until(Some(now + far)), Next::Wait(Some(SLEEP_MAX)));
    }
}
