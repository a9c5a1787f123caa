//! What is counted and timed as a load runs.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::answers::InFlight;
use super::nanoseconds;
use super::outcome::{
    Client, INTERVALS_MAX, Interval, MISMATCHES_MAX, Mismatch, Outcome, Step, histogram,
};
use super::plan::{Plan, Reply};

/// Counts and times, of the whole run and of the interval at hand. Times are in nanoseconds since the load began.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) outcome: Outcome,
    /// What was due from here on, and before there, is measured.
    from: u64,
    until: u64,
    /// Messages in flight, measured or not.
    pub(super) in_flight: u64,
    /// Events that came since a turn was last counted.
    pub(super) events: u64,
    /// System calls of each kind, when the measuring was over.
    calls: Option<[u64; 3]>,
    /// When a message was sent or answered last.
    pub(super) moved: u64,
    /// In a closed loop a message is due when it is sent, so there is nothing else to record.
    is_open: bool,
    /// No message is answered: it is done when it has been written.
    silent: bool,
    /// How long an answer may take.
    timeout: u64,
    interval: Interval,
    interval_began: u64,
    response: Histogram<u64>,
    busy_at: Duration,
    waiting_at: Duration,
}

impl Recorder {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            outcome: Outcome::new(plan.udp),
            from: u64::MAX,
            until: u64::MAX,
            in_flight: 0,
            events: 0,
            calls: None,
            moved: 0,
            is_open: plan.is_open(),
            silent: plan.reply == Reply::None,
            timeout: nanoseconds(plan.timeout),
            interval: Interval::default(),
            interval_began: 0,
            response: histogram(),
            busy_at: Duration::ZERO,
            waiting_at: Duration::ZERO,
        }
    }

    /// What is due from `from` on is measured.
    pub(super) const fn measure_from(&mut self, from: u64) {
        (self.from, self.interval_began) = (from, from);
    }

    /// What is due at `until` or later is not.
    pub(super) const fn measure_until(&mut self, until: u64) {
        self.until = until;
    }

    /// Whether what is due at `due` is measured.
    #[inline]
    pub(super) const fn measures(&self, due: u64) -> bool {
        due >= self.from && due < self.until
    }

    /// A message was sent, which was due at `due` and could be sent from `free` on.
    #[inline]
    pub(super) fn sent(&mut self, message: &InFlight, free: u64) {
        self.interval.sent += 1;
        self.moved = message.sent;
        if self.measures(message.due) {
            self.outcome.messages.offered += 1;
            self.outcome.messages.sent += 1;
            self.outcome.bytes_sent += message.size as u64;
            if self.is_open {
                let lag = message.sent - message.due.max(free).min(message.sent);
                self.outcome.latency.lag.saturating_record(lag.max(1));
            }
        }
    }

    /// A message was dropped, because it was too late to send it.
    pub(super) fn shed(&mut self, due: u64) {
        if self.measures(due) {
            self.outcome.messages.offered += 1;
            self.outcome.messages.shed += 1;
        }
    }

    /// A message was answered at `now`.
    #[inline]
    pub(super) fn answered(&mut self, message: &InFlight, now: u64) {
        let (response, service) = (now - message.due, now - message.sent);
        self.interval.answered += 1;
        self.moved = now;
        self.response.saturating_record(response.max(1));
        if self.measures(message.due) {
            self.outcome.messages.answered += 1;
            self.outcome.messages.answered_in_time += u64::from(now < self.until);
            self.outcome.messages.answered_late += u64::from(service > self.timeout);
            self.outcome
                .latency
                .service
                .saturating_record(service.max(1));
            if self.is_open {
                self.outcome
                    .latency
                    .response
                    .saturating_record(response.max(1));
            }
        }
    }

    /// Bytes of answers were received, to messages whether measured or not.
    #[inline]
    pub(super) const fn received(&mut self, now: u64, bytes: usize) {
        if self.measures(now) {
            self.outcome.bytes_received += bytes as u64;
        }
    }

    /// A message in flight has taken longer than it may.
    pub(super) fn timed_out(&mut self, message: &InFlight) {
        self.interval.errors += 1;
        if self.measures(message.due) {
            self.outcome.messages.timeout += 1;
        }
    }

    /// A message in flight will not be answered. If none is, it was still to be written.
    pub(super) fn cut_off(&mut self, message: &InFlight) {
        if !self.measures(message.due) {
            return;
        }
        let messages = &mut self.outcome.messages;
        if self.silent {
            messages.sent -= 1;
            messages.unsent += 1;
            self.outcome.bytes_sent -= message.size as u64;
        } else {
            messages.unanswered += 1;
        }
    }

    /// The connection, or the run, has ended before a message was answered. It counts with the time that it has waited: to leave out just
    /// those that wait longest would be to omit what was to be measured.
    pub(super) fn gave_up(&mut self, message: &InFlight, now: u64) {
        self.cut_off(message);
        if self.measures(message.due) && !self.silent {
            let service = &mut self.outcome.latency.service;
            service.saturating_record((now - message.sent).max(1));
            self.waited(message.due, now);
        }
    }

    /// The run has ended before a message was sent. It counts with the time that it has waited as well.
    pub(super) fn never_sent(&mut self, due: u64, now: u64) {
        if self.measures(due) {
            self.outcome.messages.offered += 1;
            self.outcome.messages.unsent += 1;
            self.waited(due, now);
        }
    }

    fn waited(&mut self, due: u64, now: u64) {
        if self.is_open && !self.silent {
            let response = &mut self.outcome.latency.response;
            response.saturating_record((now - due).max(1));
        }
    }

    /// An answer, to a message that was due at `due`, was not what it should be. What comes after the end counts too.
    /// `describe` is asked for the first few, those of the warm-up too.
    pub(super) fn mismatch(&mut self, due: u64, describe: impl FnOnce() -> Mismatch) {
        self.interval.errors += 1;
        self.outcome.messages.mismatch += u64::from(due >= self.from);
        if self.outcome.mismatches.len() < MISMATCHES_MAX {
            self.outcome.mismatches.push(describe());
        }
    }

    /// Something went wrong.
    pub(super) fn error(&mut self, step: Step, error: &io::Error) {
        self.error_named(step, &name(error));
    }

    pub(super) fn error_named(&mut self, step: Step, name: &str) {
        self.interval.errors += 1;
        let errors = &mut self.outcome.errors;
        match errors.get_mut(&(step, name.to_owned())) {
            Some(count) => *count += 1,
            None => {
                errors.insert((step, name.to_owned()), 1);
            }
        }
    }

    /// Time was spent at work, and waiting before it.
    pub(super) fn spent(&mut self, waiting: Duration, busy: Duration, now: u64) {
        if self.measures(now) {
            let client = &mut self.outcome.client;
            client.busy += busy;
            client.waiting += waiting;
            client.turns.count += 1;
            client.turns.events += std::mem::take(&mut self.events);
        }
    }

    /// The measuring is over: what is called from now on is no cost of it.
    pub(super) fn end_measuring(&mut self, ended: u64) {
        self.until = ended;
        self.outcome.measured = Duration::from_nanos(ended.saturating_sub(self.from));
        let Client {
            reads,
            writes,
            would_block,
            ..
        } = self.outcome.client;
        self.calls = Some([reads, writes, would_block]);
    }

    /// What it has all come to.
    pub(super) fn finish(mut self) -> Outcome {
        if let Some([reads, writes, would_block]) = self.calls {
            let client = &mut self.outcome.client;
            (client.reads, client.writes, client.would_block) = (reads, writes, would_block);
        }
        self.outcome
    }

    /// How long the interval at hand has lasted.
    pub(super) const fn interval_length(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.interval_began))
    }

    /// The interval at hand has ended: its figures, and how long each of its answers took.
    pub(super) fn end_interval(&mut self, now: u64) -> (Interval, Histogram<u64>) {
        let client = &self.outcome.client;
        let busy = client.busy - self.busy_at;
        let all = busy + (client.waiting - self.waiting_at);
        let nanoseconds = Duration::from_nanos;
        let figures = Interval {
            end: nanoseconds(now.saturating_sub(self.from)),
            length: nanoseconds(now - self.interval_began.min(now)),
            in_flight: self.in_flight,
            busy: if all.is_zero() {
                0.0
            } else {
                busy.as_secs_f64() / all.as_secs_f64()
            },
            p50: self.response.value_at_quantile(0.5),
            p99: self.response.value_at_quantile(0.99),
            max: self.response.max(),
            ..self.interval
        };
        (self.busy_at, self.waiting_at) = (client.busy, client.waiting);
        (self.interval, self.interval_began) = (Interval::default(), now);
        let response = self.response.clone();
        self.response.reset();
        if self.outcome.intervals.len() < INTERVALS_MAX {
            self.outcome.intervals.push(figures);
        } else {
            self.outcome.intervals_dropped += 1;
        }
        (figures, response)
    }

    /// What was counted before the measuring began is forgotten, as far as intervals and costs are concerned.
    pub(super) fn begin_intervals(&mut self, now: u64) {
        self.outcome.client = Client::default();
        self.events = 0;
        (self.busy_at, self.waiting_at) = (Duration::ZERO, Duration::ZERO);
        (self.interval, self.interval_began) = (Interval::default(), now);
        self.response.reset();
    }
}

/// The name of an error as the system's manual has it, such as `ECONNRESET`.
pub(super) fn name(error: &io::Error) -> String {
    let known = error.raw_os_error().and_then(|code| {
        let names = [
            (1, "EPERM"),
            (13, "EACCES"),
            (22, "EINVAL"),
            (24, "EMFILE"),
            (23, "ENFILE"),
            (12, "ENOMEM"),
            (32, "EPIPE"),
            (90, "EMSGSIZE"),
            (98, "EADDRINUSE"),
            (99, "EADDRNOTAVAIL"),
            (100, "ENETDOWN"),
            (101, "ENETUNREACH"),
            (103, "ECONNABORTED"),
            (104, "ECONNRESET"),
            (105, "ENOBUFS"),
            (110, "ETIMEDOUT"),
            (111, "ECONNREFUSED"),
            (113, "EHOSTUNREACH"),
        ];
        let found = names.iter().find(|(other, _)| *other == code);
        found.map(|(_, name)| (*name).to_owned())
    });
    known.unwrap_or_else(|| match error.kind() {
        io::ErrorKind::ConnectionRefused => "ECONNREFUSED".to_owned(),
        _ => error.to_string(),
    })
}
