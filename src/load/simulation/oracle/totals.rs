//! The counts, times and rates of a window, from the account of a whole load.

use hdrhistogram::Histogram;

use super::account::{Account, Ended, Sent};
use super::flows;
use super::schedule::Schedule;
use crate::load::result::messages::{Messages, State};
use crate::load::result::outcome::{Datagrams, Outcome};
use crate::load::simulation::log::{Entry, What};
use crate::load::simulation::settings::{ReplyKind, RunLength, Settings};

/// A pause that the load has to notice, in nanoseconds.
const LONG: u64 = 100_000_000;

/// How far due times may be off by rounding, in nanoseconds.
const ROUNDING: u64 = 2;

/// What a server's messages have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    offered: u64,
    replied: u64,
    replied_late: u64,
    mismatched: u64,
    written: u64,
    connection_lost: u64,
    timed_out: u64,
    /// Datagrams without a reply, whatever has become of them.
    unanswered: u64,
    unanswered_at_end: u64,
    sent_in_window: u64,
    completed_in_window: u64,
    /// Due in the window, and never sent: dropped for being late, or not.
    unsent: u64,
    /// Those of them that were dropped before another was sent.
    shed: u64,
}

pub(super) struct Totals<'a> {
    account: Account,
    log: &'a [Entry],
    settings: &'a Settings,
    outcome: &'a Outcome,
    /// The window.
    from: u64,
    until: u64,
    /// When the run ended.
    end: u64,
    counts: Vec<Counts>,
    /// Times of messages in the window.
    service: Vec<u64>,
    response: Vec<u64>,
    /// The least and the most that the lag of each can be.
    lag: Vec<(u64, u64)>,
    /// A due time is so near to an end of the window that rounding decides.
    is_ambiguous: bool,
    /// Wrong replies of which the log does not show whether they count.
    uncertain: u64,
}

impl<'a> Totals<'a> {
    pub(super) fn new(
        account: Account,
        log: &'a [Entry],
        settings: &'a Settings,
        outcome: &'a Outcome,
    ) -> Self {
        let from = outcome.measured_from.as_nanos() as u64;
        let mut totals = Self {
            account,
            log,
            settings,
            outcome,
            from,
            until: from + outcome.measured.as_nanos() as u64,
            end: outcome.length.as_nanos() as u64,
            counts: vec![Counts::default(); settings.servers.len()],
            service: Vec::new(),
            response: Vec::new(),
            lag: Vec::new(),
            is_ambiguous: false,
            uncertain: 0,
        };
        totals.assign_due_times();
        totals.count();
        totals
    }

    pub(super) const fn with_uncertain(mut self, uncertain: u64) -> Self {
        self.uncertain = uncertain;
        self
    }

    fn stamp(&self, of: impl Fn(&What) -> bool) -> Option<u64> {
        let mut entries = self.log.iter().filter(|entry| of(&entry.what));
        entries.next().map(|entry| entry.at)
    }

    /// Whether anything was measured.
    fn was_measured(&self) -> bool {
        self.stamp(|what| matches!(what, What::Running)).is_some()
    }

    fn is_in_window(&self, time: u64) -> bool {
        self.was_measured() && time >= self.from && time < self.until
    }

    /// Whether a message that was due then counts. Of a number of messages all do, whenever the last reply came.
    fn counts(&self, due: u64) -> bool {
        let all = matches!(self.settings.end, RunLength::Messages(_)) && !self.outcome.interrupted;
        self.is_in_window(due) || (all && self.was_measured() && due >= self.from)
    }

    /// In an open loop, finds which message of the schedule each was, and which were never sent.
    fn assign_due_times(&mut self) {
        if !self.settings.is_open() || !self.was_measured() {
            return;
        }
        let origin = self.from - self.settings.warmup;
        for server in 0..self.settings.connections {
            let mut schedule = Schedule::of(self.settings, server).unwrap();
            let mut was_measuring = false;
            for index in 0..self.account.messages.len() {
                if self.account.messages[index].server != server {
                    continue;
                }
                let message = self.account.messages[index].clone();
                if !message.before_measuring && !was_measuring {
                    was_measuring = true;
                    self.skip_warmup(&mut schedule);
                }
                let due = loop {
                    let due = origin + schedule.due().expect("sent, and never due");
                    schedule.advance();
                    let late = message.at.saturating_sub(due);
                    match self.settings.deadline {
                        Some(deadline) if late > deadline => self.unsent(server, due, true),
                        _ => break due,
                    }
                };
                assert!(
                    due <= message.at + ROUNDING,
                    "sent before it was due: {message:?}"
                );
                self.account.messages[index].due = due;
            }
            if !was_measuring {
                self.skip_warmup(&mut schedule);
            }
            if matches!(self.settings.end, RunLength::Messages(_)) {
                continue;
            }
            while let Some(due) = schedule.due().map(|due| origin + due) {
                if due >= self.until.min(self.end) {
                    break;
                }
                schedule.advance();
                self.unsent(server, due, false);
            }
        }
    }

    /// What was due in the warm-up and could not be sent is not sent any more.
    fn skip_warmup(&self, schedule: &mut Schedule) {
        let has_begun =
            |what: &What| matches!(what, What::Measuring | What::Stopped | What::Aborted);
        if self.stamp(has_begun).is_none_or(|at| at < self.from) {
            return;
        }
        while schedule.due().is_some_and(|due| due < self.settings.warmup) {
            schedule.advance();
        }
    }

    fn unsent(&mut self, server: usize, due: u64, shed: bool) {
        self.is_ambiguous |= self.is_near_an_end(due);
        if self.counts(due) {
            self.counts[server].offered += 1;
            self.counts[server].unsent += 1;
            self.counts[server].shed += u64::from(shed);
        }
    }

    fn is_near_an_end(&self, due: u64) -> bool {
        self.settings.is_open()
            && (due.abs_diff(self.from) <= ROUNDING || due.abs_diff(self.until) <= ROUNDING)
    }

    fn count(&mut self) {
        for index in 0..self.account.messages.len() {
            let message = self.account.messages[index].clone();
            self.is_ambiguous |= self.is_near_an_end(message.due);
            if self.counts(message.due) {
                self.count_message(&message);
            }
        }
    }

    fn count_message(&mut self, message: &Sent) {
        let settings = self.settings;
        let counts = &mut self.counts[message.server];
        if message.ended == Ended::Withdrawn {
            // In a closed loop, it is sent on another connection.
            if settings.is_open() {
                counts.offered += 1;
                counts.unsent += 1;
            }
            return;
        }
        counts.offered += 1;
        let sent_in_window = message.at < self.until;
        counts.sent_in_window += u64::from(sent_in_window);
        self.lag.push((
            message.at - message.due.max(message.free).min(message.at),
            message.at.saturating_sub(message.due),
        ));
        match message.ended {
            Ended::Replied(at) => {
                let service = at - message.at;
                if service > settings.timeout {
                    counts.replied_late += 1;
                } else {
                    counts.replied += 1;
                }
                counts.completed_in_window += u64::from(at < self.until);
                self.service.push(service.max(1));
                self.response.push(at.saturating_sub(message.due).max(1));
            }
            Ended::Written(at) => {
                counts.written += 1;
                counts.completed_in_window += u64::from(at < self.until);
            }
            Ended::Mismatched => counts.mismatched += 1,
            Ended::ConnectionLost => counts.connection_lost += 1,
            Ended::Waiting if settings.answer == ReplyKind::Nothing => {
                // It was not written to its end.
                counts.unsent += 1;
                counts.sent_in_window -= u64::from(sent_in_window);
            }
            Ended::Waiting if settings.udp => counts.unanswered += 1,
            Ended::Waiting if self.end - message.at >= settings.timeout => counts.timed_out += 1,
            Ended::Waiting => counts.unanswered_at_end += 1,
            Ended::Withdrawn => {}
        }
    }

    /// Compares everything with the result. Returns how many messages there were.
    pub(super) fn check(&self) -> u64 {
        if self.is_ambiguous || self.account.is_ambiguous {
            return 0;
        }
        self.check_window();
        let all = self.outcome.servers.iter().zip(&self.counts);
        for (number, (server, counts)) in all.enumerate() {
            self.check_messages(number, &server.messages, counts);
            let [attempted, established, failed] = self.account.servers[number];
            assert_eq!(
                [server.attempted, server.established, server.failed],
                [attempted, established, failed],
                "server {number}"
            );
            if let Some(service) = &server.service {
                assert_eq!(service.len(), counts.replied + counts.replied_late);
            }
        }
        self.check_sum();
        self.check_connections();
        self.check_bytes();
        self.check_times();
        self.check_intervals();
        self.check_pauses();
        self.account.messages.len() as u64
    }

    /// The window is where the plan says.
    fn check_window(&self) {
        let outcome = self.outcome;
        let over = self.stamp(|what| matches!(what, What::Over)).unwrap();
        assert_eq!(self.end, over, "the end of the run");
        let stopped = |what: &What| matches!(what, What::Stopped | What::Aborted);
        let stopped = self.stamp(stopped);
        assert_eq!(outcome.interrupted, stopped.is_some());
        let aborted = self.stamp(|what| matches!(what, What::Aborted));
        assert_eq!(outcome.aborted, aborted.is_some());
        if !self.was_measured() || outcome.measured.is_zero() {
            return;
        }
        match self.settings.end {
            RunLength::After(time) => {
                let until = stopped.map_or(self.from + time, |at| (at + 1).min(self.from + time));
                assert_eq!(self.until, until, "the end of the window");
            }
            RunLength::Messages(_) if outcome.gave_up.is_some() || stopped.is_some() => {}
            RunLength::Messages(_) => {
                let last = self.account.last_reply_in_window.unwrap();
                if last > self.from {
                    assert_eq!(self.until, last + 1, "the window ends with the last reply");
                }
            }
        }
    }

    fn check_messages(&self, number: usize, got: &Messages, counts: &Counts) {
        let unsent = got.shed + got.never_sent;
        let by_messages = matches!(self.settings.end, RunLength::Messages(_));
        let found = Counts {
            offered: got.offered,
            replied: got.replied,
            replied_late: got.replied_late,
            mismatched: got.mismatched,
            written: got.written,
            connection_lost: got.connection_lost,
            timed_out: got.timed_out,
            unanswered: got.lost + got.local_overflow,
            unanswered_at_end: got.unanswered_at_end,
            sent_in_window: got.sent_in_window,
            completed_in_window: got.completed_in_window,
            unsent,
            shed: counts.shed,
        };
        let mut expected = counts.clone();
        if by_messages && self.settings.is_open() {
            // Which of those that were never sent belong to the number is the last connections' to say.
            expected.offered = expected.offered - expected.unsent + unsent;
            expected.unsent = unsent;
        }
        if self.settings.udp {
            // A wrong reply that does not show what it replies to is taken for one to a message without another.
            let without = got.lost + got.local_overflow + got.mismatched + got.unanswered_at_end;
            assert_eq!(
                without,
                counts.unanswered + counts.mismatched,
                "server {number}"
            );
            assert!(got.mismatched >= counts.mismatched);
            let may = self.outcome.aborted || got.unanswered_at_end == 0;
            assert!(may, "datagrams are waited for");
            expected.mismatched = found.mismatched;
            expected.unanswered = found.unanswered;
            expected.unanswered_at_end = found.unanswered_at_end;
        }
        assert_eq!(found, expected, "server {number}: {got:?}");
        assert!(
            got.shed >= counts.shed,
            "{} shed, of {}",
            got.shed,
            counts.shed
        );
        assert!(got.shed == 0 || self.settings.deadline.is_some());
    }

    /// The whole is the sum of the servers, and of what a run that gave up never sent.
    fn check_sum(&self) {
        let mut sum = Messages::default();
        for server in &self.outcome.servers {
            sum += &server.messages;
        }
        let (all, parts) = (&self.outcome.messages, &sum);
        for state in State::ALL {
            if state != State::NeverSent {
                assert_eq!(all.count(state), parts.count(state), "{}", state.name());
            }
        }
        let rest = all.never_sent - parts.never_sent;
        assert_eq!(all.offered, parts.offered + rest);
        assert!(rest == 0 || self.outcome.gave_up.is_some());
        if let RunLength::Messages(count) = self.settings.end {
            let whole = !self.outcome.interrupted;
            assert!(all.offered <= count, "{} of {count}", all.offered);
            assert!(!whole || all.offered == count, "{} of {count}", all.offered);
        }
        assert!(all.caused_by_client <= all.timed_out + all.unanswered_at_end);
        let wrong = self.account.wrong_replies;
        let wrong = wrong..=wrong + self.uncertain;
        assert!(wrong.contains(&self.outcome.wrong_replies), "{wrong:?}");
    }

    fn check_connections(&self) {
        let (got, expected) = (&self.outcome.connections, &self.account.connections);
        assert_eq!(got.attempted, expected.attempted);
        assert_eq!(got.established, expected.established);
        assert_eq!(got.failed, expected.failed);
        assert_eq!(got.failed_locally, expected.failed_locally);
        assert_eq!(got.closed_without_reply, expected.closed_without_reply);
        assert_eq!(got.closed_by_server, expected.closed_by_server);
        assert_eq!(got.idle_closed, expected.idle_closed);
        assert_eq!(got.churned, expected.churned);
        assert_eq!(got.most, expected.most);
        assert_eq!(got.hung_at_end, expected.hung_at_end);
        if self.stamp(|what| matches!(what, What::Draining)).is_some() {
            assert_eq!(got.at_end, expected.at_end);
        }
        assert_eq!(got.closes.count, expected.closes.len() as u64);
        assert_eq!(
            got.closes.most,
            expected.closes.iter().copied().max().unwrap_or(0)
        );
        assert_eq!(
            got.closes.fewest,
            expected.closes.iter().copied().min().unwrap_or(0)
        );
        assert_eq!(self.outcome.errors, self.account.errors);
    }

    fn check_bytes(&self) {
        let in_window = |bytes: &[(u64, u64)]| {
            let counted = bytes.iter().filter(|(at, _)| self.is_in_window(*at));
            counted.map(|(_, count)| count).sum::<u64>()
        };
        assert_eq!(self.outcome.bytes_sent, in_window(&self.account.written));
        assert_eq!(self.outcome.bytes_received, in_window(&self.account.read));
    }

    fn check_times(&self) {
        let latency = &self.outcome.latency;
        same("service", &latency.service, self.service.clone());
        same("connect", &latency.connect, self.account.connects.clone());
        if !self.settings.is_open() {
            assert!(latency.response.is_empty() && latency.lag.is_empty());
            return;
        }
        same("response", &latency.response, self.response.clone());
        // A message that was withdrawn had a lag.
        assert!(latency.lag.len() >= self.lag.len() as u64);
        if latency.lag.len() > self.lag.len() as u64 {
            return;
        }
        let mut least: Vec<u64> = self.lag.iter().map(|lag| lag.0.max(1)).collect();
        let mut most: Vec<u64> = self.lag.iter().map(|lag| lag.1.max(1)).collect();
        least.sort_unstable();
        most.sort_unstable();
        for (index, (least, most)) in least.iter().zip(&most).enumerate() {
            let lag = at_rank(&latency.lag, index, self.lag.len());
            let slack = |value: u64| value / 250 + 2 * ROUNDING;
            assert!(lag + slack(*least) >= *least, "lag {lag}, at least {least}");
            assert!(lag <= *most + slack(*most), "lag {lag}, at most {most}");
        }
    }

    /// Every interval that was reported is kept.
    fn check_intervals(&self) {
        let mut kept = self.outcome.intervals.iter();
        for entry in self.log {
            if let What::Interval(reported) = &entry.what {
                assert_eq!(kept.next(), Some(reported));
            }
        }
        assert!(kept.next().is_none());
    }

    /// The pauses of the client are those that the world has made.
    fn check_pauses(&self) {
        let (mut least, mut most) = (0, 0);
        for entry in self.log {
            if let What::Paused { from } = entry.what {
                let paused = entry.at - from;
                most += paused;
                if paused >= LONG && from >= self.from && entry.at <= self.until {
                    least += paused - LONG / 2;
                }
            }
        }
        let paused = self.outcome.client.paused.as_nanos() as u64;
        assert!(paused >= least, "paused for {paused} ns, at least {least}");
        // A pause within an iteration that makes calls is not told apart from them.
        let calls = 2 * self.log.len() as u64 * self.settings.machine.call;
        assert!(paused <= most + calls, "paused for {paused} ns of {most}");
        if self.settings.udp || self.settings.has_pauses() {
            return;
        }
        let longest = self.service.iter().copied().max().unwrap_or(0);
        let caused = self.account.messages.iter().filter(|message| {
            let waited = self.end - message.at;
            let is_waiting = message.ended == Ended::Waiting && self.counts(message.due);
            let expects = self.settings.answer != ReplyKind::Nothing;
            let cut_short = self.outcome.aborted
                || message.at >= self.until
                || waited <= 3 * latest_bucket(longest);
            is_waiting && expects && waited < self.settings.timeout && cut_short
        });
        let caused = caused.count() as u64;
        assert_eq!(self.outcome.messages.caused_by_client, caused);
    }
}

/// The highest value that a histogram does not tell from `value`.
fn latest_bucket(value: u64) -> u64 {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    histogram.auto(true);
    histogram.record(value.max(1)).unwrap();
    histogram.max()
}

/// What the value of this rank, counted from 0, of `count` is by `histogram`.
fn at_rank(histogram: &Histogram<u64>, rank: usize, count: usize) -> u64 {
    histogram.value_at_quantile((rank as f64 + 0.5) / count as f64)
}

/// The histogram has these values, within its resolution.
fn same(what: &str, histogram: &Histogram<u64>, mut values: Vec<u64>) {
    values.sort_unstable();
    assert_eq!(histogram.len(), values.len() as u64, "{what}: how many");
    for (rank, value) in values.iter().enumerate() {
        let found = at_rank(histogram, rank, values.len());
        let slack = value / 500 + ROUNDING;
        assert!(
            found.abs_diff(*value) <= slack,
            "{what}: {found} for {value}"
        );
    }
}

/// Compares the counts of datagrams.
pub(super) fn check_datagrams(expected: &flows::Datagrams, got: &Datagrams, settings: &Settings) {
    assert_eq!(got.sent, expected.sent);
    assert_eq!(got.received, expected.received);
    if settings.is_numbered() {
        assert_eq!(got.duplicate, expected.duplicate, "duplicates");
        assert_eq!(got.reordered, expected.reordered, "reordered");
        assert_eq!(got.reorder_extent, expected.reorder_extent, "how far");
        assert_eq!(got.corrupt, expected.corrupt, "corrupt");
    }
}
