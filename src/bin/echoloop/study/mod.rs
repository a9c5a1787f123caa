//! A loop that is looked at as it runs: a view of it, and a trace.

mod overflows;
mod tracing;
pub(crate) mod view;

use std::time::{Duration, Instant};

use echoloop::probe::{Recorder, Role};
use echoloop::reactor::{
    EVENTS_PER_POLL, Event, Handler, Next, Reactor, Registry, monotonic, thread_cpu_time,
};

pub(crate) use self::tracing::Tracing;
use self::view::View;
use crate::args::StudyArgs;
use crate::output::{Opened, TextStream};
use crate::{Failure, logger, signals};

/// How often figures are taken.
const STRETCH: Duration = Duration::from_millis(100);

/// The longest time that a record waits in the loop for others, before it is given to the trace.
const RECORDS_WAIT: Duration = Duration::from_secs(1);

/// Whoever has a recorder in it, somewhere.
pub(crate) trait Recorded {
    /// The recorder.
    fn recorder(&mut self) -> &mut Recorder;

    /// Whether the load or the server is running. A trace replaces no file before that.
    fn has_started(&self) -> bool;

    /// Whether it is coming to its end, and has something else to tell.
    fn is_ending(&self) -> bool;
}

/// A recorder for a loop of this program, of which `args` are to be seen.
pub(crate) fn recorder(args: &StudyArgs) -> Recorder {
    let recorder = Recorder::new(monotonic, EVENTS_PER_POLL);
    // A trace does not show it, and reading it is a system call.
    match args.watch {
        true => recorder.with_cpu_clock(thread_cpu_time),
        false => recorder,
    }
}

/// What looks at a loop.
pub(crate) struct Study {
    view: Option<View>,
    tracing: Option<Tracing>,
}

impl Study {
    /// Begins the view and the trace that `args` ask for, of a loop that `recorder` observes. The
    /// trace goes to `trace`, and the view to `text`.
    pub(crate) fn begin(
        args: &StudyArgs,
        (trace, text): (Option<Opened>, TextStream),
        role: Role,
        name: &str,
        reactor: &Reactor,
        recorder: &mut Recorder,
    ) -> Result<Self, Failure> {
        let mut tracing = None;
        if let Some(trace) = trace {
            // It removes the temporary file of the trace. Whoever writes the trace is a thread
            // anyway.
            signals::start_thread();
            let limit = args.trace_limit as u64;
            let (handle, sink) = Tracing::begin(trace, role, name, limit)?;
            recorder.set_sink(sink);
            tracing = Some(handle);
        }
        let view = args
            .watch
            .then(|| View::open(role, name, reactor.waker(), text))
            .transpose()
            .map_err(|error| Failure::cannot("show the view", &error))?;
        Ok(Self { view, tracing })
    }

    /// Looks at `handler` while it runs.
    pub(crate) fn of<'a, H: Handler + Recorded>(
        &'a mut self,
        handler: &'a mut H,
    ) -> Studied<'a, H> {
        Studied {
            handler,
            study: self,
            next: Instant::now() + STRETCH,
            hand_over_at: Instant::now(),
        }
    }

    /// The loop has been left. The trace, if there is one, is to be finished or discarded.
    pub(crate) fn finish(self, recorder: &mut Recorder) -> Option<Tracing> {
        if let Some(view) = self.view {
            // What was logged on the way would take the last picture away.
            logger::finish();
            view.close(recorder);
        }
        recorder.hand_over();
        self.tracing
    }
}

/// A handler that is looked at.
pub(crate) struct Studied<'a, H> {
    handler: &'a mut H,
    study: &'a mut Study,
    /// When figures are taken next.
    next: Instant,
    /// When the trace is next given fewer records than a full batch.
    hand_over_at: Instant,
}

impl<H: Handler + Recorded> Studied<'_, H> {
    /// Gives the trace what was recorded, at most once a second. Returns how long the loop may sleep until
    /// the next time; `None`: for ever, because nothing is left.
    ///
    /// A loop without work must wake up once for the records of its last iteration, and not again: nothing
    /// is left after it.
    fn hand_over(&mut self, now: Instant) -> Option<Duration> {
        let tracing = self.study.tracing.as_ref()?;
        if !tracing.has_started() && self.handler.has_started() {
            tracing.start();
        }
        let recorder = self.handler.recorder();
        if !recorder.has_pending() {
            return None;
        }
        if now < self.hand_over_at {
            return Some(self.hand_over_at - now);
        }
        recorder.hand_over();
        self.hand_over_at = now + RECORDS_WAIT;
        None
    }

    /// Shows the figures of the loop when it is time to. Returns how long the loop may sleep until then.
    fn show(&mut self, now: Instant) -> Option<Duration> {
        let view = self.study.view.as_mut()?;
        if now >= self.next {
            self.next = now + STRETCH;
            let figures = self.handler.recorder().take_figures();
            let quiet = self.handler.is_ending();
            view.take(figures, self.handler.recorder(), quiet);
        }
        Some(self.next.saturating_duration_since(now))
    }
}

impl<H: Handler + Recorded> Handler for Studied<'_, H> {
    fn ready(&mut self, event: &Event) {
        self.handler.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        let Next::Wait(time) = self.handler.turn(registry, now) else {
            return Next::Stop;
        };
        let times = [time, self.hand_over(now), self.show(now)];
        Next::Wait(times.into_iter().flatten().min())
    }
}

#[cfg(test)]
mod tests {
    use echoloop::probe::Probe;

    use super::*;
    use crate::output::Destination;

    struct Looped {
        recorder: Recorder,
        turns: u32,
        /// When it stops.
        until: Option<Instant>,
    }

    impl Handler for Looped {
        fn ready(&mut self, _: &Event) {}

        fn turn(&mut self, _: &Registry, now: Instant) -> Next {
            self.turns += 1;
            self.recorder.turn_began();
            self.recorder.turn_ended();
            match self.until {
                Some(until) if now >= until => Next::Stop,
                until => Next::Wait(until.map(|until| until - now)),
            }
        }
    }

    impl Recorded for Looped {
        fn recorder(&mut self) -> &mut Recorder {
            &mut self.recorder
        }

        fn has_started(&self) -> bool {
            true
        }

        fn is_ending(&self) -> bool {
            false
        }
    }

    const fn args(watch: bool) -> StudyArgs {
        StudyArgs {
            watch,
            trace: None,
            trace_limit: 100,
        }
    }

    /// The clock of CPU time is a system call, other than that of the time of day (vdso(7)).
    #[test]
    fn cpu_time_of_iterations_is_measured_only_for_the_view() {
        for watch in [false, true] {
            let mut recorder = recorder(&args(watch));
            recorder.turn_began();
            recorder.turn_ended();
            let used = recorder.take_figures().longest_turn_cpu;
            assert_eq!(used > 0, watch, "{used}");
        }
    }

    /// A loop without work, whose trace is written to `/dev/null`.
    fn idle() -> (Reactor, Looped, Study) {
        let reactor = Reactor::new().unwrap();
        let args = args(false);
        let mut looped = Looped {
            recorder: recorder(&args),
            turns: 0,
            until: None,
        };
        let destination = Destination::check("--trace", "/dev/null".as_ref()).unwrap();
        let output = (Some(destination.open().unwrap()), TextStream::Stdout);
        let recorder = &mut looped.recorder;
        let study = Study::begin(&args, output, Role::Server, "x", &reactor, recorder).unwrap();
        (reactor, looped, study)
    }

    /// An iteration is recorded itself. If its record made the loop wake up, it would never sleep again.
    #[test]
    fn idle_loop_wakes_up_once_for_its_last_records() {
        let (reactor, mut looped, mut study) = idle();
        let mut studied = study.of(&mut looped);
        let start = Instant::now();
        let mut sleep_after = |ms| {
            let now = start + Duration::from_millis(ms);
            match studied.turn(reactor.registry(), now) {
                Next::Wait(time) => time.map(|time| time.as_millis()),
                Next::Stop => panic!("it does not stop"),
            }
        };
        let sleeps = [0, 300, 900, 1_000, 60_000, 60_001, 61_000].map(&mut sleep_after);
        let expected = [None, Some(700), Some(100), None, None, Some(999), None];
        assert_eq!(sleeps, expected);
        let tracing = study.finish(&mut looped.recorder).unwrap();
        tracing.finish(false).unwrap();
    }

    #[test]
    fn writing_the_trace_does_not_wake_the_loop() {
        let (mut reactor, mut looped, mut study) = idle();
        looped.until = Some(Instant::now() + Duration::from_millis(300));
        reactor.run(&mut study.of(&mut looped)).unwrap();
        assert_eq!(looped.turns, 2, "the first, and the one that stops");
        let tracing = study.finish(&mut looped.recorder).unwrap();
        tracing.finish(false).unwrap();
    }
}
