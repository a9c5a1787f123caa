//! The sleep of a loop that ends to the microsecond: Linux, with the feature `bench`.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::SLEEP_MAX;

/// A timer whose expiry is an event.
///
/// It is registered edge-triggered and never read: setting it again takes back what it has counted,
/// so the next expiry is an edge again.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
    /// What it is set to.
    at: Option<Instant>,
    /// Where it is watched anew each time it is set: with `poll(2)`, which tells of a source once, until a call on it would
    /// block.
    #[cfg(mio_unsupported_force_poll_poll)]
    watched: (Registry, Token),
}

impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self {
            timer,
            at: None,
            #[cfg(mio_unsupported_force_poll_poll)]
            watched: (registry.try_clone()?, token),
        })
    }

    /// Whether it goes off, or has, when a sleep of `timeout` from `now` on is to end. The longest sleep may end sooner,
    /// so that those who want nothing within it do not set the alarm anew each time.
    #[inline]
    pub(super) fn is_set_for(&self, now: Instant, timeout: Duration) -> bool {
        let Some(at) = self.at else {
            return false;
        };
        at == now + timeout
            || (timeout == SLEEP_MAX && at > now + SLEEP_MAX / 2 && at <= now + SLEEP_MAX)
    }

    /// Has it go off `after` this `now`, which is a time to come, and not when it was set to before.
    pub(super) fn set(&mut self, now: Instant, after: Duration) -> io::Result<()> {
        let at = now + after;
        // The one it is set to has not come yet either.
        if self.at == Some(at) {
            return Ok(());
        }
        let timespec = |time| Timespec::try_from(time).map_err(io::Error::other);
        let once = Itimerspec {
            it_interval: timespec(Duration::ZERO)?,
            it_value: timespec(after)?,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        #[cfg(mio_unsupported_force_poll_poll)]
        self.watched.0.reregister(
            &mut SourceFd(&self.timer.as_raw_fd()),
            self.watched.1,
            Interest::READABLE,
        )?;
        self.at = Some(at);
        Ok(())
    }
}

/// A timer that wakes the loop so often that it can tell when it woke up late.
///
/// It is registered edge-triggered and never read: setting it again makes its next expiry an edge again
/// (timerfd_create(2), epoll(7)). A periodic timer would not expire again before it is read.
#[derive(Debug)]
pub struct Heartbeat {
    timer: OwnedFd,
}

impl Heartbeat {
    /// A timer of the loop of `registry`, which is not set.
    ///
    /// # Errors
    ///
    /// When the process can have no more descriptors; `Unsupported` where a source that is never read is reported once
    /// only (mio's `poll(2)`).
    pub fn new(registry: &Registry) -> io::Result<Self> {
        if cfg!(mio_unsupported_force_poll_poll) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(
            &mut SourceFd(&timer.as_raw_fd()),
            super::HEARTBEAT,
            Interest::READABLE,
        )?;
        Ok(Self { timer })
    }

    /// Wakes the loop once, `after` this time.
    ///
    /// # Errors
    ///
    /// Those of the system call.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        let timespec = |time| Timespec::try_from(time).map_err(io::Error::other);
        let once = Itimerspec {
            it_interval: timespec(Duration::ZERO)?,
            it_value: timespec(after)?,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::reactor::{Event, Handler, Next, Reactor};

    struct Beats {
        heartbeat: Option<Heartbeat>,
        iterations: u32,
    }

    impl Handler for Beats {
        fn ready(&mut self, _: &Event) {}

        fn turn(&mut self, registry: &Registry, _: Instant) -> Next {
            if self.heartbeat.is_none() {
                self.heartbeat = Some(Heartbeat::new(registry).unwrap());
            }
            let heartbeat = self.heartbeat.as_ref().unwrap();
            heartbeat.set(Duration::from_millis(10)).unwrap();
            self.iterations += 1;
            if self.iterations == 6 {
                Next::Stop
            } else {
                Next::Wait(None)
            }
        }
    }

    #[test]
    #[cfg(not(mio_unsupported_force_poll_poll))]
    fn a_heartbeat_wakes_a_loop_that_waits_for_nothing() {
        let start = Instant::now();
        let mut beats = Beats {
            heartbeat: None,
            iterations: 0,
        };
        Reactor::new().unwrap().run(&mut beats).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(45));
    }
}
