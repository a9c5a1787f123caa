//! Counts and times of a running load.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::plan::Plan;
use crate::load::result::after_reply::AfterReply;
use crate::load::result::errno;
use crate::load::result::in_flight::InFlightCount;
use crate::load::result::intervals::IntervalRecorder;
use crate::load::result::iteration_work::IterationWork;
use crate::load::result::messages::State;
use crate::load::result::outcome::{Client, Datagrams, Interval, Mismatch, Outcome, Server, Step};
use crate::load::result::progress::Progress;
use crate::load::schedule::message::SentMessage;
use crate::load::schedule::pauses::Pauses;
use crate::load::time::{elapsed, nanoseconds};

/// Counts and times, of the whole run and of the current interval, in nanoseconds since the load began.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) outcome: Outcome,
    /// The measured window: messages due at `from` or later, and before `until`.
    from: u64,
    until: u64,
    /// When the run ended.
    pub(crate) ended: u64,
    in_flight: InFlightCount,
    pub(crate) pauses: Pauses,
    pub(crate) progress: Progress,
    pub(crate) work: IterationWork,
    /// System calls of each kind, when the measuring was over.
    calls: Option<[u64; 3]>,
    /// In a closed loop a message is due when it is sent, so there is nothing else to record.
    is_open: bool,
    /// How long a reply may take.
    timeout: u64,
    after_reply: AfterReply,
    /// How long the loop's thread had waited for a processor at the beginning of the window.
    queued_from: Option<Duration>,
    pub(crate) interval: IntervalRecorder,
}

impl Recorder {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            outcome: Outcome::new(plan.udp, &plan.targets),
            from: u64::MAX,
            until: u64::MAX,
            ended: 0,
            in_flight: InFlightCount::default(),
            pauses: Pauses::default(),
            progress: Progress::new(),
            work: IterationWork::default(),
            calls: None,
            is_open: plan.is_open(),
            timeout: nanoseconds(plan.timeout),
            after_reply: AfterReply::new(plan.targets.len()),
            queued_from: None,
            interval: IntervalRecorder::new(),
        }
    }

    /// The load begins at `now`. Messages due at `from` or later, and before `until`, are measured.
    pub(crate) fn begin(&mut self, from: u64, until: u64, now: u64) {
        (self.from, self.until) = (from, until);
        self.interval.begin(now);
        self.outcome.measured_from = Duration::from_nanos(from);
    }

    /// Whether what is due at `due`, or happens then, is in the measured window.
    #[inline]
    pub(crate) const fn measures(&self, due: u64) -> bool {
        due >= self.from && due < self.until
    }

    /// How many messages are in flight, measured or not.
    #[inline]
    pub(crate) const fn in_flight(&self) -> u64 {
        self.in_flight.count()
    }

    #[inline]
    fn server(&mut self, server: u32) -> &mut Server {
        &mut self.outcome.servers[server as usize]
    }

    /// A message of `size` bytes that was due at `due` is sent to `server` at `now`. `ideal`: when it would have been sent if this
    /// client had never been late.
    #[inline]
    pub(crate) fn sent(
        &mut self,
        server: u32,
        due: u64,
        ideal: u64,
        now: u64,
        size: usize,
    ) -> SentMessage {
        let message = SentMessage {
            due,
            sent: now,
            // At most MESSAGE_MAX.
            size: size as u32,
            measured: self.measures(due),
            in_window: now < self.until,
        };
        self.interval.counts.sent += 1;
        self.in_flight.enter(now);
        self.progress.sent(now);
        if message.measured {
            let messages = &mut self.server(server).messages;
            messages.offered += 1;
            messages.sent_in_window += u64::from(message.in_window);
            if message.in_window {
                self.after_reply.sent(server, now);
            }
            if self.is_open {
                let lag = elapsed(ideal, now);
                self.outcome.latency.lag.saturating_record(lag.max(1));
            }
        }
        message
    }

    /// A message that was taken for sent was not: its connection ended before any of it was given to the kernel. In a
    /// closed loop, it was not offered either.
    #[cold]
    pub(crate) fn withdraw(&mut self, server: u32, message: &SentMessage, now: u64) {
        self.in_flight.leave(message.sent, now);
        if !message.measured {
            return;
        }
        if message.in_window {
            self.after_reply.withdraw(server, message.sent);
        }
        let (is_open, in_window) = (self.is_open, self.is_in_window(message));
        let messages = &mut self.server(server).messages;
        messages.sent_in_window -= u64::from(in_window);
        if is_open {
            messages.add(State::NeverSent);
        } else {
            messages.offered -= 1;
        }
    }

    /// `message` is not awaited any more. It ends later, in [`replied_late`](Self::replied_late) or [`settle`](Self::settle).
    pub(crate) fn stop_waiting(&mut self, message: &SentMessage, now: u64) {
        self.in_flight.leave(message.sent, now);
    }

    /// A message in flight ends in `state` at `now`, without the right reply.
    pub(crate) fn end(&mut self, server: u32, message: &SentMessage, state: State, now: u64) {
        self.in_flight.leave(message.sent, now);
        self.settle(server, message, state);
    }

    /// A message that is not in flight any more ends in `state`.
    pub(crate) fn settle(&mut self, server: u32, message: &SentMessage, state: State) {
        self.interval.counts.failures += u64::from(state.is_failure());
        if !message.measured {
            return;
        }
        let in_window = self.is_in_window(message);
        let messages = &mut self.outcome.servers[server as usize].messages;
        messages.add(state);
        let waited = match state {
            State::TimedOut => self.timeout,
            State::UnansweredAtEnd => u64::MAX,
            // It was taken for sent.
            State::NeverSent => {
                messages.sent_in_window -= u64::from(in_window);
                return;
            }
            _ => return,
        };
        let until = message.sent.saturating_add(waited);
        let cut_short = self.outcome.aborted || !message.in_window || !self.is_unusual(message);
        let unanswered_early = state == State::UnansweredAtEnd && cut_short;
        if unanswered_early || self.pauses.explain(message.sent, until) {
            self.server(server).messages.caused_by_client += 1;
        }
    }

    /// Whether `message` was sent in the window, of which the end may not be known yet.
    const fn is_in_window(&self, message: &SentMessage) -> bool {
        message.in_window && message.sent < self.until
    }

    /// Whether `message` has waited much longer for its reply than any other, now that the run has ended.
    fn is_unusual(&self, message: &SentMessage) -> bool {
        let longest = self.outcome.latency.service.max();
        elapsed(message.sent, self.ended) > longest.saturating_mul(3)
    }

    /// The message that was due at `due` was dropped, or not sent until the end. Returns whether it counts.
    pub(crate) fn not_sent(&mut self, server: u32, due: u64, state: State) -> bool {
        let counts = self.measures(due);
        if counts {
            let messages = &mut self.server(server).messages;
            messages.offered += 1;
            messages.add(state);
        }
        counts
    }

    /// The right reply to a message in flight came at `now`.
    #[inline(always)]
    pub(crate) fn replied(&mut self, server: u32, message: &SentMessage, now: u64) {
        self.in_flight.leave(message.sent, now);
        self.replied_late(server, message, now);
    }

    /// The right reply came at `now`, to a message that is not in flight any more.
    #[inline(always)]
    pub(crate) fn replied_late(&mut self, server: u32, message: &SentMessage, now: u64) {
        let response = elapsed(message.due, now).max(1);
        let service = elapsed(message.sent, now).max(1);
        self.interval.counts.replied += 1;
        self.note_reply(now);
        self.interval.response.saturating_record(response);
        if message.measured {
            let in_window = now < self.until;
            let state = if service > self.timeout {
                State::RepliedLate
            } else {
                State::Replied
            };
            let server = self.server(server);
            server.messages.add(state);
            server.messages.completed_in_window += u64::from(in_window);
            if let Some(times) = &mut server.service {
                times.saturating_record(service);
            }
            self.outcome.latency.service.saturating_record(service);
            if self.is_open {
                self.outcome.latency.response.saturating_record(response);
            }
        }
    }

    /// A reply came at `now`, right or wrong; or a message without one was written.
    #[inline]
    fn note_reply(&mut self, now: u64) {
        self.progress.replied(now, self.in_flight.count());
        self.after_reply.replied(now);
    }

    /// A message without a reply was written at `now`.
    #[inline]
    pub(crate) fn written(&mut self, server: u32, message: &SentMessage, now: u64) {
        self.in_flight.leave(message.sent, now);
        self.interval.counts.replied += 1;
        self.note_reply(now);
        if message.measured {
            let in_window = now < self.until;
            let messages = &mut self.server(server).messages;
            messages.add(State::Written);
            messages.completed_in_window += u64::from(in_window);
        }
    }

    /// Bytes were given to the kernel, of messages whether measured or not.
    #[inline]
    pub(crate) const fn wrote(&mut self, now: u64, bytes: usize) {
        if self.measures(now) {
            self.outcome.bytes_sent += bytes as u64;
            self.after_reply.wrote(now, bytes);
        }
    }

    /// Bytes of replies were received, to messages whether measured or not.
    #[inline]
    pub(crate) const fn received(&mut self, now: u64, bytes: usize) {
        if self.measures(now) {
            self.outcome.bytes_received += bytes as u64;
            self.after_reply.received(bytes);
        }
    }

    /// A message in flight has just taken longer than it may. It may still be replied to.
    pub(crate) const fn timed_out(&mut self) {
        self.interval.counts.timeouts += 1;
    }

    /// A reply was wrong, or there was nothing that it could reply to. `describe` is called for the first few.
    pub(crate) fn mismatch(&mut self, now: u64, describe: impl FnOnce() -> Mismatch) {
        self.note_reply(now);
        self.outcome.add_mismatch(describe);
    }

    /// The counts of datagrams.
    pub(crate) fn datagrams(&mut self) -> &mut Datagrams {
        self.outcome.udp.get_or_insert_default()
    }

    /// Something went wrong.
    pub(crate) fn error(&mut self, step: Step, error: &io::Error) {
        self.error_named(step, &errno::name(error));
    }

    /// Something went wrong that errno(3) has no name for.
    pub(crate) fn error_named(&mut self, step: Step, name: &str) {
        self.interval.counts.errors += 1;
        self.outcome.add_error(step, name);
    }

    /// The loop has woken up at `now`. Returns whether its heartbeat has to be set again.
    #[inline]
    pub(crate) fn woke_up(&mut self, now: u64) -> bool {
        let Some(wake_up) = self.pauses.woke_up(now, self.work.last_calls()) else {
            return false;
        };
        if let Some((begin, end)) = wake_up.pause {
            let paused = Duration::from_nanos(elapsed(begin.max(self.from), end.min(self.until)));
            self.outcome.client.add_pause(paused);
        }
        true
    }

    /// Time was spent at work, and waiting before it.
    pub(crate) fn spent(&mut self, waiting: Duration, busy: Duration, now: u64) {
        let Client { reads, writes, .. } = self.outcome.client;
        let events = self.work.end(reads + writes);
        if self.measures(now) {
            self.outcome.client.add_iteration(waiting, busy, events);
        }
    }

    /// The window ended at `ended`, which may be before `now`. Later system calls do not count. `queued`: how long the thread of
    /// the loop has waited for a processor so far.
    pub(crate) fn end_measuring(&mut self, ended: u64, queued: Option<Duration>, now: u64) {
        self.until = ended;
        if ended == self.progress.last() + 1 {
            let [sent, received] = self.after_reply.bytes();
            self.outcome.bytes_sent -= sent;
            self.outcome.bytes_received -= received;
            let servers = self.outcome.servers.iter_mut();
            for (server, sent) in servers.zip(self.after_reply.messages()) {
                server.messages.sent_in_window -= sent;
            }
        }
        self.outcome.measured = Duration::from_nanos(elapsed(self.from, ended));
        self.outcome.client.observed = Duration::from_nanos(elapsed(self.from, now));
        let Client {
            reads,
            writes,
            would_block,
            ..
        } = self.outcome.client;
        self.calls = Some([reads, writes, would_block]);
        let queued = self.queued_from.zip(queued);
        self.outcome.client.run_queue_wait = queued.map(|(from, now)| now.saturating_sub(from));
        let paused = self.pauses.overlap(self.progress.last(), now);
        self.progress.end(paused, now);
    }

    /// The result, at `now`.
    pub(crate) fn finish(mut self, now: u64) -> Outcome {
        if let Some([reads, writes, would_block]) = self.calls {
            let client = &mut self.outcome.client;
            (client.reads, client.writes, client.would_block) = (reads, writes, would_block);
        }
        let outcome = &mut self.outcome;
        outcome.length = Duration::from_nanos(now);
        let is_stream = outcome.udp.is_none();
        let silence = self.progress.silence(is_stream, self.timeout, now);
        let silence = silence.filter(|_| !outcome.aborted);
        outcome.silence = silence.map(Duration::from_nanos);
        outcome.internal_error = self.in_flight.check().err();
        for server in &outcome.servers {
            outcome.messages += &server.messages;
        }
        self.outcome
    }

    /// The interval at hand has ended: its figures, and how long each of its replies took.
    pub(crate) fn end_interval(&mut self, now: u64) -> (Interval, Histogram<u64>) {
        let in_flight = self.in_flight();
        let client = &self.outcome.client;
        let (figures, response) = self.interval.end(self.from, now, in_flight, client);
        self.outcome.add_interval(figures);
        (figures, response)
    }

    /// The window begins. Costs and figures of intervals are reset. `queued`: see [`end_measuring`](Self::end_measuring).
    pub(crate) fn begin_measuring(&mut self, queued: Option<Duration>, now: u64) {
        let Client { reads, writes, .. } = self.outcome.client;
        self.work.restart(reads + writes);
        self.outcome.client.restart();
        self.queued_from = queued;
        self.progress.begin(self.from);
        self.work.events = 0;
        self.interval.begin(now);
    }
}
