//! The counts, times and rates of a window, from the account of a whole load.

use super::account::{Account, Ended, Sent};
use super::flows::Datagrams;
use super::schedule::Schedule;
use crate::load::result::outcome::Outcome;
use crate::load::simulation::log::{Entry, What};
use crate::load::simulation::settings::{ReplyKind, RunLength, Settings};

/// How far due times may be off by rounding, in nanoseconds.
pub(super) const ROUNDING: u64 = 2;

/// What a server's messages have come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) offered: u64,
    pub(super) replied: u64,
    pub(super) replied_late: u64,
    pub(super) mismatched: u64,
    pub(super) written: u64,
    pub(super) connection_lost: u64,
    pub(super) timed_out: u64,
    /// Datagrams without a reply, whatever has become of them.
    pub(super) unanswered: u64,
    pub(super) unanswered_at_end: u64,
    pub(super) sent_in_window: u64,
    pub(super) completed_in_window: u64,
    /// Due in the window, and never sent: dropped for being late, or not.
    pub(super) unsent: u64,
    /// Those of them that were dropped before another was sent.
    pub(super) shed: u64,
}

pub(super) struct Totals<'a> {
    pub(super) account: Account,
    pub(super) log: &'a [Entry],
    pub(super) settings: &'a Settings,
    pub(super) outcome: &'a Outcome,
    /// The window.
    pub(super) from: u64,
    pub(super) until: u64,
    /// When the run ended.
    pub(super) end: u64,
    pub(super) counts: Vec<Counts>,
    /// Times of messages in the window.
    pub(super) service: Vec<u64>,
    pub(super) response: Vec<u64>,
    /// The least and the most that the lag of each can be.
    pub(super) lag: Vec<(u64, u64)>,
    /// A due time is so near to an end of the window that rounding decides.
    pub(super) is_ambiguous: bool,
    pub(super) datagrams: Option<Datagrams>,
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
            datagrams: None,
        };
        totals.assign_due_times();
        totals.count();
        totals
    }

    pub(super) fn with_datagrams(mut self, datagrams: Datagrams) -> Self {
        self.datagrams = Some(datagrams);
        self
    }

    /// Wrong replies of which the log does not show whether they count.
    pub(super) fn uncertain(&self) -> u64 {
        let datagrams = self.datagrams.as_ref();
        datagrams.map_or(0, |datagrams| datagrams.uncertain)
    }

    /// Whether the log does not show how every message ended.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous || self.account.is_ambiguous || self.uncertain() > 0
    }

    pub(super) fn stamp(&self, of: impl Fn(&What) -> bool) -> Option<u64> {
        let mut entries = self.log.iter().filter(|entry| of(&entry.what));
        entries.next().map(|entry| entry.at)
    }

    /// Whether anything was measured.
    pub(super) fn was_measured(&self) -> bool {
        self.stamp(|what| matches!(what, What::Running)).is_some()
    }

    pub(super) fn is_in_window(&self, time: u64) -> bool {
        self.was_measured() && time >= self.from && time < self.until
    }

    /// Whether a message that was due then counts. Of a number of messages all do, whenever the last reply came.
    pub(super) fn counts(&self, due: u64) -> bool {
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

    /// Messages that were due in the warm-up and could not be sent are dropped.
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

    /// Whether rounding decides on which side of an end of the window `due` is. The first message of all is due exactly when
    /// the schedule begins.
    fn is_near_an_end(&self, due: u64) -> bool {
        let is_first = self.settings.warmup == 0 && due == self.from;
        let is_near = |end: u64| due.abs_diff(end) <= ROUNDING;
        self.settings.is_open() && !is_first && (is_near(self.from) || is_near(self.until))
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
}
