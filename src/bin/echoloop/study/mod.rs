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
use crate::{Failure, logger};

/// How often figures are taken.
const STRETCH: Duration = Duration::from_millis(100);

/// Whoever has a recorder in it, somewhere.
pub(crate) trait Recorded {
    /// The recorder.
    fn recorder(&mut self) -> &mut Recorder;

    /// Whether the load or the server is running. A trace replaces no file before that.
    fn has_started(&self) -> bool;

    /// Whether it is coming to its end, and has something else to tell.
    fn is_ending(&self) -> bool;
}

/// A recorder for a loop of this program.
pub(crate) fn recorder() -> Recorder {
    Recorder::new(monotonic, EVENTS_PER_POLL).with_cpu_clock(thread_cpu_time)
}

/// What looks at a loop.
pub(crate) struct Study {
    view: Option<View>,
    tracing: Option<Tracing>,
}

impl Study {
    /// Begins the view and the trace that `args` ask for, of a loop that `recorder` observes. The trace goes to `trace`,
    /// and the view to `text`.
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
            let limit = args.trace_limit as u64;
            let (handle, sink) = Tracing::begin(trace, role, name, limit, reactor.waker())?;
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
        }
    }

    /// The loop has been left. The trace, if there is one, is to be finished or discarded.
    pub(crate) fn finish(self, recorder: &mut Recorder) -> Option<Tracing> {
        if let Some(view) = self.view {
            // What was logged on the way would take the last picture away.
            logger::finish();
            view.close(recorder);
        }
        recorder.finish();
        self.tracing
    }
}

/// A handler that is looked at.
pub(crate) struct Studied<'a, H> {
    handler: &'a mut H,
    study: &'a mut Study,
    /// When figures are taken next.
    next: Instant,
}

impl<H: Handler + Recorded> Handler for Studied<'_, H> {
    fn ready(&mut self, event: &Event) {
        self.handler.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        let next = self.handler.turn(registry, now);
        if let Some(tracing) = &self.study.tracing
            && !tracing.has_started()
            && self.handler.has_started()
        {
            tracing.start();
        }
        let Some(view) = &mut self.study.view else {
            return next;
        };
        if now >= self.next {
            self.next = now + STRETCH;
            let figures = self.handler.recorder().take_figures();
            let quiet = self.handler.is_ending();
            view.take(figures, self.handler.recorder(), quiet);
        }
        match next {
            Next::Stop => Next::Stop,
            Next::Wait(time) => {
                let until_next = self.next.saturating_duration_since(now);
                Next::Wait(Some(time.map_or(until_next, |time| time.min(until_next))))
            }
        }
    }
}
