//! How messages end, and how many ended each way.

/// How a message ended. When several apply, the first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its reply was right and came within the time limit.
    Replied,
    /// Its reply was right and came after the time limit.
    RepliedLate,
    /// Its reply was wrong.
    Mismatched,
    /// It was written, and no reply is expected.
    Written,
    /// Its connection ended after at least one of its bytes was given to the kernel.
    ConnectionLost,
    /// No reply came within the time limit, nor later. TCP only.
    TimedOut,
    /// No reply to its datagram came until the end of the run. UDP only.
    Lost,
    /// The kernel dropped the reply to its datagram because our receive buffer was full.
    LocalOverflow,
    /// The run ended before its time limit, and no reply had come.
    UnansweredAtEnd,
    /// It was dropped because it would have been sent later than `--deadline` allows.
    Shed,
    /// None of its bytes was given to the kernel; or, if no reply is expected, not all were.
    NeverSent,
}

impl State {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::Replied,
        Self::RepliedLate,
        Self::Mismatched,
        Self::Written,
        Self::ConnectionLost,
        Self::TimedOut,
        Self::Lost,
        Self::LocalOverflow,
        Self::UnansweredAtEnd,
        Self::Shed,
        Self::NeverSent,
    ];

    /// Whether a message that ended like this has failed. Lost datagrams are counted apart: UDP may lose them.
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Mismatched | Self::ConnectionLost | Self::TimedOut | Self::UnansweredAtEnd
        )
    }

    /// As the report words it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replied => "replied",
            Self::RepliedLate => "replied late",
            Self::Mismatched => "mismatched",
            Self::Written => "written",
            Self::ConnectionLost => "connection lost",
            Self::TimedOut => "timed out",
            Self::Lost => "lost",
            Self::LocalOverflow => "local overflow",
            Self::UnansweredAtEnd => "unanswered at end",
            Self::Shed => "shed",
            Self::NeverSent => "never sent",
        }
    }
}

/// How many messages ended in each [`State`], of those offered in the measured window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Due in the measured window. In a closed loop: sent in it, or the number that was to be sent.
    pub offered: u64,
    /// In [`State::Replied`].
    pub replied: u64,
    /// In [`State::RepliedLate`].
    pub replied_late: u64,
    /// In [`State::Mismatched`].
    pub mismatched: u64,
    /// In [`State::Written`].
    pub written: u64,
    /// In [`State::ConnectionLost`].
    pub connection_lost: u64,
    /// In [`State::TimedOut`].
    pub timed_out: u64,
    /// In [`State::Lost`].
    pub lost: u64,
    /// In [`State::LocalOverflow`].
    pub local_overflow: u64,
    /// In [`State::UnansweredAtEnd`].
    pub unanswered_at_end: u64,
    /// In [`State::Shed`].
    pub shed: u64,
    /// In [`State::NeverSent`].
    pub never_sent: u64,
    /// Sent before the window ended.
    pub sent_in_window: u64,
    /// Replied to, or written if no reply is expected, before the window ended.
    pub completed_in_window: u64,
    /// Of those that timed out or were unanswered at the end: the ones that this client caused, because it was
    /// paused for more than a tenth of the time that they waited, was aborted, sent them only while
    /// draining, or waited for them no longer than others had taken.
    pub caused_by_client: u64,
}

impl Messages {
    /// How many ended in `state`.
    pub const fn count(&self, state: State) -> u64 {
        match state {
            State::Replied => self.replied,
            State::RepliedLate => self.replied_late,
            State::Mismatched => self.mismatched,
            State::Written => self.written,
            State::ConnectionLost => self.connection_lost,
            State::TimedOut => self.timed_out,
            State::Lost => self.lost,
            State::LocalOverflow => self.local_overflow,
            State::UnansweredAtEnd => self.unanswered_at_end,
            State::Shed => self.shed,
            State::NeverSent => self.never_sent,
        }
    }

    /// Counts one more that ended in `state`.
    #[inline]
    pub(crate) const fn add(&mut self, state: State) {
        let count = match state {
            State::Replied => &mut self.replied,
            State::RepliedLate => &mut self.replied_late,
            State::Mismatched => &mut self.mismatched,
            State::Written => &mut self.written,
            State::ConnectionLost => &mut self.connection_lost,
            State::TimedOut => &mut self.timed_out,
            State::Lost => &mut self.lost,
            State::LocalOverflow => &mut self.local_overflow,
            State::UnansweredAtEnd => &mut self.unanswered_at_end,
            State::Shed => &mut self.shed,
            State::NeverSent => &mut self.never_sent,
        };
        *count += 1;
    }

    /// How many ended in any state. Equal to `offered` once the run is over.
    pub fn ended(&self) -> u64 {
        State::ALL.iter().map(|&state| self.count(state)).sum()
    }

    /// How many were sent, all or in part.
    pub const fn sent(&self) -> u64 {
        self.offered - self.shed - self.never_sent
    }

    /// How many got their reply, in time or late. Each has a latency.
    pub const fn timed(&self) -> u64 {
        self.replied + self.replied_late
    }

    /// How many did what the load is for: they were replied to, or written if no reply is expected.
    pub const fn completed(&self) -> u64 {
        self.replied + self.replied_late + self.written
    }

    /// How many failed. See [`State::is_failure`].
    pub fn failed(&self) -> u64 {
        let failures = State::ALL.into_iter().filter(|state| state.is_failure());
        failures.map(|state| self.count(state)).sum()
    }

    /// `count` as a part of the messages offered, from 0 to 1; 0 if none was.
    pub fn share(&self, count: u64) -> f64 {
        if self.offered == 0 {
            return 0.0;
        }
        count as f64 / self.offered as f64
    }
}

impl std::ops::AddAssign<&Self> for Messages {
    fn add_assign(&mut self, other: &Self) {
        let Self {
            offered,
            replied,
            replied_late,
            mismatched,
            written,
            connection_lost,
            timed_out,
            lost,
            local_overflow,
            unanswered_at_end,
            shed,
            never_sent,
            sent_in_window,
            completed_in_window,
            caused_by_client,
        } = other;
        self.offered += offered;
        self.replied += replied;
        self.replied_late += replied_late;
        self.mismatched += mismatched;
        self.written += written;
        self.connection_lost += connection_lost;
        self.timed_out += timed_out;
        self.lost += lost;
        self.local_overflow += local_overflow;
        self.unanswered_at_end += unanswered_at_end;
        self.shed += shed;
        self.never_sent += never_sent;
        self.sent_in_window += sent_in_window;
        self.completed_in_window += completed_in_window;
        self.caused_by_client += caused_by_client;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_counter_of_its_own_and_their_sum_is_what_ended() {
        let mut messages = Messages::default();
        for (index, state) in State::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| messages.add(state));
        }
        for (index, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(messages.count(state), index as u64 + 1, "{state:?}");
        }
        assert_eq!(messages.ended(), 66);
        // Mismatched, connection lost, timed out, unanswered at the end.
        assert_eq!(messages.failed(), 3 + 5 + 6 + 9);
    }

    #[test]
    fn sums_keep_every_counter() {
        let mut one = Messages {
            offered: 66,
            sent_in_window: 7,
            completed_in_window: 5,
            caused_by_client: 2,
            ..Messages::default()
        };
        for (index, state) in State::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| one.add(state));
        }
        let mut sum = one.clone();
        sum += &one;
        let counts = |messages: &Messages| {
            let states = State::ALL.map(|state| messages.count(state));
            let rest = [
                messages.offered,
                messages.sent_in_window,
                messages.completed_in_window,
                messages.caused_by_client,
            ];
            [&states[..], &rest].concat()
        };
        let doubled: Vec<u64> = counts(&one).iter().map(|count| 2 * count).collect();
        assert_eq!(counts(&sum), doubled);
    }
}
