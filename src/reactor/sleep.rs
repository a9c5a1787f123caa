//! How the loop waits for events until a deadline, and how punctually.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::SLEEP_MAX;
use super::alarm::Alarm;

/// How long before a deadline [`Timer::Spin`] stops sleeping. An idle core needs some 50 µs to come back.
const SPIN: Duration = Duration::from_micros(60);

/// How the loop sleeps until a deadline.
///
/// An event ends the sleep at once, whichever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timer {
    /// By the timeout of the poll, which is rounded up to a whole millisecond. Good enough for timeouts, and costs no
    /// descriptor; but the kernel arms a timer for each sleep, and takes it back when an event comes first, as it nearly always
    /// does.
    #[default]
    Poll,
    /// By a timer of the kernel that is an event among the others: late by what waking up takes, tens of
    /// microseconds. Costs a descriptor, and a system call for each new deadline; but a sleep that an event ends costs less:
    /// with one client that is waited for each time, a fourteenth of what a message costs.
    Timerfd,
    /// As [`Timerfd`](Self::Timerfd) until shortly before the deadline; then the poll is asked without
    /// sleeping until it has come. Punctual to a microsecond, as long as nobody else takes the core, which
    /// is why it keeps the core busy for that long before each deadline.
    Spin,
}

/// What a [`Timer`] needs.
#[derive(Debug)]
pub(super) enum Sleeper {
    Poll,
    Alarm {
        alarm: Alarm,
        /// How long before a deadline it is awake.
        spin: Duration,
    },
}

/// What to do with the time that is left until a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// None is left: see what has happened.
    Look,
    /// Too little to sleep.
    Spin,
    /// Have the alarm end the sleep after this long.
    Sleep(Duration),
}

impl Sleeper {
    /// What `timer` needs: if that is an alarm, it is among the sources of `poll`, as `token`.
    pub(super) fn new(timer: Timer, poll: &Poll, token: Token) -> io::Result<Self> {
        let spin = match timer {
            Timer::Poll => return Ok(Self::Poll),
            Timer::Timerfd => Duration::ZERO,
            Timer::Spin => SPIN,
        };
        let alarm = Alarm::new(poll.registry(), token)?;
        Ok(Self::Alarm { alarm, spin })
    }

    pub(super) const fn timer(&self) -> Timer {
        match self {
            Self::Poll => Timer::Poll,
            Self::Alarm { spin, .. } if spin.is_zero() => Timer::Timerfd,
            Self::Alarm { .. } => Timer::Spin,
        }
    }

    /// Waits for events, at most until `timeout` after `now`, which may be some time ago already.
    #[inline]
    pub(super) fn sleep(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        now: Instant,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match (self, timeout) {
            (Self::Alarm { alarm, spin }, Some(timeout)) if !timeout.is_zero() => {
                let timeout = timeout.min(SLEEP_MAX);
                if spin.is_zero() && alarm.is_set_for(now, timeout) {
                    // If the time has come meanwhile, the alarm has gone off.
                    return poll.poll(events, None);
                }
                sleep_until(now + timeout, alarm, *spin, poll, events)
            }
            // With nothing to wait for, an alarm that is still set ends the sleep once, which is harmless.
            _ => poll.poll(events, timeout),
        }
    }
}

impl Wait {
    fn of(left: Duration, spin: Duration) -> Self {
        if left.is_zero() {
            Self::Look
        } else if left <= spin {
            Self::Spin
        } else {
            Self::Sleep(left - spin)
        }
    }
}

fn sleep_until(
    deadline: Instant,
    alarm: &mut Alarm,
    spin: Duration,
    poll: &mut Poll,
    events: &mut Events,
) -> io::Result<()> {
    // The turn has taken time, which must not be slept on top.
    let now = Instant::now();
    match Wait::of(deadline.saturating_duration_since(now), spin) {
        Wait::Look => poll.poll(events, Some(Duration::ZERO)),
        Wait::Spin => loop {
            poll.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() || Instant::now() >= deadline {
                return Ok(());
            }
        },
        Wait::Sleep(after) => {
            alarm.set(now, after)?;
            poll.poll(events, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::{EXTERNAL, Event, Handler, Next, Reactor, Registry};

    /// A sleep that nothing has ended by then never would have ended.
    const NEVER: Duration = Duration::from_secs(10);

    /// Deadlines, one after the other, each so long after the last was met.
    struct Punctual {
        waits: Vec<Duration>,
        deadline: Option<Instant>,
        /// Sleeps that ended before their deadline.
        early: usize,
    }

    impl Punctual {
        fn new(waits_ms: &[u64]) -> Self {
            Self {
                waits: waits_ms
                    .iter()
                    .rev()
                    .map(|&ms| Duration::from_millis(ms))
                    .collect(),
                deadline: None,
                early: 0,
            }
        }
    }

    impl Handler for Punctual {
        fn ready(&mut self, _: &Event) {}

        fn turn(&mut self, _: &Registry, now: Instant) -> Next {
            match self.deadline {
                Some(deadline) if now < deadline => self.early += 1,
                _ => match self.waits.pop() {
                    Some(wait) => self.deadline = Some(now + wait),
                    None => return Next::Stop,
                },
            }
            Next::until(self.deadline, now)
        }
    }

    fn timers() -> Vec<Reactor> {
        [Timer::Poll, Timer::Timerfd, Timer::Spin]
            .into_iter()
            .filter_map(|timer| match Reactor::with_timer(timer) {
                Ok(reactor) => {
                    assert_eq!(reactor.timer(), timer);
                    Some(reactor)
                }
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
                    assert!(
                        timer != Timer::Poll && !cfg!(all(feature = "bench", target_os = "linux"))
                    );
                    None
                }
            })
            .collect()
    }

    /// Runs `handler`, and fails if a sleep does not end.
    fn run(reactor: &mut Reactor, handler: &mut impl Handler) {
        let (waker, start) = (reactor.waker(), Instant::now());
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(NEVER);
                let _ = waker.wake();
            }
        });
        reactor.run(handler).unwrap();
        assert!(start.elapsed() < NEVER, "{:?} overslept", reactor.timer());
    }

    #[test]
    fn the_time_that_is_left_is_slept_except_for_the_end_of_it_when_spinning() {
        let us = Duration::from_micros;
        assert_eq!(Wait::of(us(0), us(0)), Wait::Look);
        assert_eq!(Wait::of(us(1), us(0)), Wait::Sleep(us(1)));
        assert_eq!(Wait::of(us(0), SPIN), Wait::Look);
        assert_eq!(Wait::of(us(1), SPIN), Wait::Spin);
        assert_eq!(Wait::of(SPIN, SPIN), Wait::Spin);
        assert_eq!(Wait::of(SPIN + us(7), SPIN), Wait::Sleep(us(7)));
    }

    /// What an alarm has counted is never read: setting it again must still make a new event.
    #[test]
    fn every_timer_meets_one_deadline_after_another() {
        for mut reactor in timers() {
            let mut punctual = Punctual::new(&[3, 1, 0, 2, 1]);
            let start = Instant::now();
            run(&mut reactor, &mut punctual);
            assert!(start.elapsed() >= Duration::from_millis(7), "too early");
            // One turn for each, one that ends it, and when spinning one between sleeping and spinning.
            let turns = reactor.turns().count;
            assert!(turns <= 20, "{:?} takes {turns} turns", reactor.timer());
            let again = if reactor.timer() == Timer::Spin { 4 } else { 0 };
            assert!(punctual.early <= again, "{} early", punctual.early);
        }
    }

    /// A socket that ends a sleep of `reactor`, the next one or the one after it. (Not a wake-up: with mio's `poll(2)`
    /// setting an alarm would lose it.)
    fn disturb(reactor: &Reactor) -> mio::net::UdpSocket {
        let mut socket = mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket
            .send_to(b"!", socket.local_addr().unwrap())
            .expect("it is empty");
        let registry = reactor.registry();
        registry
            .register(&mut socket, EXTERNAL, mio::Interest::READABLE)
            .unwrap();
        socket
    }

    /// A sleep that something else ends leaves the alarm set: for the same deadline it must still go off,
    /// and for an earlier one go off earlier.
    #[test]
    fn an_alarm_survives_sleeps_that_events_end() {
        for mut reactor in timers() {
            let mut punctual = Punctual::new(&[20, 1]);
            let _socket = disturb(&reactor);
            run(&mut reactor, &mut punctual);
            assert!(punctual.early >= 1, "it was disturbed");

            struct Nearer(Option<Instant>);
            impl Handler for Nearer {
                fn ready(&mut self, _: &Event) {}

                fn turn(&mut self, _: &Registry, now: Instant) -> Next {
                    match self.0 {
                        None => {
                            self.0 = Some(now + Duration::from_millis(5));
                            Next::Wait(Some(Duration::from_secs(3600)))
                        }
                        Some(deadline) if now >= deadline => Next::Stop,
                        nearer => Next::until(nearer, now),
                    }
                }
            }
            let _socket = disturb(&reactor);
            run(&mut reactor, &mut Nearer(None));
        }
    }

    /// A deadline that is the same each time is one system call, and so is none within the longest sleep.
    #[cfg(all(feature = "bench", target_os = "linux"))]
    #[test]
    fn an_alarm_is_set_once_for_each_deadline() {
        let poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), Token(0)).unwrap();
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert!(!alarm.is_set_for(now, second));
        alarm.set(now, second).unwrap();
        assert!(alarm.is_set_for(now, second));
        assert!(alarm.is_set_for(now + second / 4, second * 3 / 4));
        assert!(!alarm.is_set_for(now + second / 4, second));
        assert!(!alarm.is_set_for(now, SLEEP_MAX), "that would be too soon");
        alarm.set(now, SLEEP_MAX).unwrap();
        assert!(alarm.is_set_for(now + second, SLEEP_MAX));
        assert!(!alarm.is_set_for(now + SLEEP_MAX * 3 / 4, SLEEP_MAX));
        assert!(!alarm.is_set_for(now + second, second));
    }

    #[test]
    fn no_timeout_is_too_long_to_be_slept() {
        struct Endless(bool);
        impl Handler for Endless {
            fn ready(&mut self, _: &Event) {}

            fn turn(&mut self, _: &Registry, _: Instant) -> Next {
                if std::mem::replace(&mut self.0, true) {
                    return Next::Stop;
                }
                Next::Wait(Some(Duration::MAX))
            }
        }
        for mut reactor in timers() {
            reactor.waker().wake().unwrap();
            run(&mut reactor, &mut Endless(false));
            // Where there is an alarm, it is what would have ended the sleep, which mio's `poll(2)` makes shorter.
            if let Sleeper::Alarm { alarm, .. } = &reactor.poll.sleeper {
                let (now, shorter) = (Instant::now(), cfg!(mio_unsupported_force_poll_poll));
                assert!(shorter || alarm.is_set_for(now, SLEEP_MAX));
            }
        }
    }
}
