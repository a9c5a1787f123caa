//! How late a sleep ends.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::limit::Limit;
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::load::histogram;
use crate::reactor::{Event, Handler, Next, Reactor, Registry, Timer};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "timer",
    question: "How late does a sleep of 300 µs, or of 1.3 ms, end: by the timeout of the poll, by a timer of the \
kernel, and by spinning at the end?",
    prediction: "By the poll some 700 µs late, as its timeout is in whole milliseconds and rounded up; by a timerfd \
at most a fifth of that, which is what waking up takes; spinning less again.",
    expected: &[
        Relation::AtLeast(Figure("poll, 300 µs", "median"), 500_000.0),
        Relation::AtLeast(Figure("poll, 1.3 ms", "median"), 500_000.0),
        Relation::Times(
            Figure("poll, 300 µs", "median"),
            5.0,
            Figure("timerfd, 300 µs", "median"),
        ),
        Relation::Times(
            Figure("timerfd, 300 µs", "median"),
            1.0,
            Figure("spin, 300 µs", "median"),
        ),
    ],
    explanation: "epoll_wait(2) takes milliseconds, and to wake too early would be wrong, so mio rounds up: good \
enough for a timeout of seconds, and a millisecond of error for a load that is sent on a schedule. A timerfd \
is a readiness source like a socket, with nanoseconds. To be woken takes tens of microseconds still; who can't wait \
that long stops sleeping shortly before, and keeps a core busy instead. Lateness is counted from the deadline.",
    doubt: "While other programs want the cores, nobody is woken on time.",
    run,
};

const SLEEPS: u64 = 120;

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    let (short, long) = (Duration::from_micros(300), Duration::from_micros(1300));
    for (subject, timer, time) in [
        ("poll, 300 µs", Timer::Poll, short),
        ("timerfd, 300 µs", Timer::Timerfd, short),
        ("spin, 300 µs", Timer::Spin, short),
        ("poll, 1.3 ms", Timer::Poll, long),
        ("timerfd, 1.3 ms", Timer::Timerfd, long),
        ("spin, 1.3 ms", Timer::Spin, long),
    ] {
        let mut sleeper = Sleeper::new(time);
        limit.run(&mut Reactor::with_timer(timer)?, &mut sleeper)?;
        for (quantity, quantile) in [("median", 0.5), ("p90", 0.9), ("longest", 1.0)] {
            let late = sleeper.lateness.value_at_quantile(quantile) as f64;
            measured.put(subject, quantity, late, Unit::Nanoseconds);
        }
    }
    Ok(measured)
}

/// Sleeps again and again, and looks at the clock when it wakes.
struct Sleeper {
    time: Duration,
    until: Instant,
    lateness: Histogram<u64>,
}

impl Sleeper {
    fn new(time: Duration) -> Self {
        Self {
            time,
            until: Instant::now() + time,
            lateness: histogram(),
        }
    }
}

impl Handler for Sleeper {
    fn ready(&mut self, _: &Event) {}

    fn turn(&mut self, _: &Registry, now: Instant) -> Next {
        if now < self.until {
            return Next::until(Some(self.until), now);
        }
        self.lateness += (now - self.until).as_nanos() as u64;
        if self.lateness.len() == SLEEPS {
            return Next::Stop;
        }
        self.until = now + self.time;
        Next::until(Some(self.until), now)
    }
}
