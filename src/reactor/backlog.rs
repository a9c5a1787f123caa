//! What a listener knows of the connections that wait in the kernel, without its socket.

use std::io;
use std::time::{Duration, Instant};

/// How long accepting pauses when the process or the system is out of something, at first. As long as
/// haproxy waits when it lacks resources; doubled each time it happens again without a success.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The longest such pause: how late a descriptor freed outside this loop may be noticed.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// After how many lost connections in a row accepting pauses: they are not what they seemed, and to try
/// again and again would keep the loop awake. The default budget of one call.
const FAILED_MAX: u32 = 64;

/// What a listener knows of the connections that wait in the kernel.
///
/// # Running out of descriptors
///
/// `accept` fails and the connections stay in the kernel. With an edge-triggered listener no event
/// will come when descriptors are free again, only when somebody new knocks; with a level-triggered
/// one events would come without end. So accepting pauses and is tried again by a deadline, and at
/// once when a client of ours has left ([`resume`](Self::resume)).
#[derive(Debug)]
pub struct Backlog {
    /// Connections may be waiting: latched by an event, cleared by `WouldBlock`.
    pending: bool,
    paused_until: Option<Instant>,
    pause: Duration,
    /// Connections lost since one was accepted, or none waited.
    failed_in_a_row: u32,
}

/// What one call of [`Backlog::accept`] did.
#[derive(Debug, Default)]
pub struct Accepted {
    /// Connections handed over.
    pub count: u64,
    /// Connections that were lost before they could be accepted.
    pub failed: u64,
    /// The budget is spent and more may be waiting.
    pub budget_spent: bool,
    /// Accepting pauses until then, because of that error.
    pub paused: Option<(Instant, io::Error)>,
}

impl Backlog {
    /// Nothing is known to wait.
    pub const fn new() -> Self {
        Self {
            pending: false,
            paused_until: None,
            pause: PAUSE_MIN,
            failed_in_a_row: 0,
        }
    }

    /// An event said that connections may be waiting.
    pub const fn mark(&mut self) {
        self.pending = true;
    }

    /// Whether accepting is worth trying now.
    pub const fn is_runnable(&self) -> bool {
        self.pending && self.paused_until.is_none()
    }

    /// A descriptor has been freed: a pause is over.
    pub const fn resume(&mut self) {
        self.paused_until = None;
    }

    /// The deadline of a pause has come. A deadline of an earlier pause changes nothing.
    pub fn resume_at(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| until <= now) {
            self.resume();
        }
    }

    /// Calls `accept` until it would block, but at most `budget` times, and hands what it returns to
    /// `admit`.
    ///
    /// An error that concerns the connection being accepted is counted and the next one is tried
    /// (accept(2) lists them). Any other pauses accepting: for want of descriptors or memory, that
    /// is what helps; for an error unknown here, it is what harms least.
    pub fn accept<C>(
        &mut self,
        now: Instant,
        budget: usize,
        mut accept: impl FnMut() -> io::Result<C>,
        mut admit: impl FnMut(C),
    ) -> Accepted {
        let mut accepted = Accepted::default();
        for _ in 0..budget {
            match accept() {
                Ok(connection) => {
                    accepted.count += 1;
                    self.pause = PAUSE_MIN;
                    self.failed_in_a_row = 0;
                    admit(connection);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending = false;
                    self.failed_in_a_row = 0;
                    return accepted;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if concerns_one_connection(&error) => {
                    accepted.failed += 1;
                    self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
                    if self.failed_in_a_row >= FAILED_MAX {
                        // After the pause, as many are tried again.
                        self.failed_in_a_row = 0;
                        accepted.paused = Some((self.pause_from(now), error));
                        return accepted;
                    }
                }
                Err(error) => {
                    accepted.paused = Some((self.pause_from(now), error));
                    return accepted;
                }
            }
        }
        accepted.budget_spent = true;
        accepted
    }

    /// Pauses, for twice as long as the last time, and returns until when.
    fn pause_from(&mut self, now: Instant) -> Instant {
        let until = now + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.paused_until = Some(until);
        until
    }
}

impl Default for Backlog {
    fn default() -> Self {
        Self::new()
    }
}

/// The errors that Linux passes on from the connection at the head of the queue, and `EPERM`, by which
/// a firewall rejects one.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    const EPROTO: i32 = 71;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::PermissionDenied
            | Kind::TimedOut
            | Kind::Unsupported
    ) || (cfg!(target_os = "linux") && error.raw_os_error() == Some(EPROTO))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const EMFILE: i32 = 24;

    /// Outcomes of `accept` in order: `Ok`, or the number of an error. Then it would block.
    struct Script(VecDeque<Result<(), i32>>);

    impl Script {
        fn new(steps: &[Result<(), i32>]) -> Self {
            Self(steps.iter().copied().collect())
        }

        fn run(&mut self, backlog: &mut Backlog, now: Instant, budget: usize) -> Accepted {
            let accept = || match self.0.pop_front() {
                Some(step) => step.map_err(io::Error::from_raw_os_error),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
            backlog.accept(now, budget, accept, drop)
        }
    }

    fn marked() -> Backlog {
        let mut backlog = Backlog::new();
        backlog.mark();
        backlog
    }

    /// Pitfall 29: one event can stand for many connections.
    #[test]
    fn pitfall_29_accepts_until_it_would_block_within_the_budget() {
        let (mut backlog, mut script) = (marked(), Script::new(&[Ok(()); 5]));
        let accepted = script.run(&mut backlog, Instant::now(), 3);
        assert_eq!((accepted.count, accepted.budget_spent), (3, true));
        assert!(
            backlog.is_runnable(),
            "what the budget left over needs no event"
        );
        let accepted = script.run(&mut backlog, Instant::now(), 3);
        assert_eq!((accepted.count, accepted.budget_spent), (2, false));
        assert!(!backlog.is_runnable());
    }

    /// Pitfalls 30 and 32: neither a spin nor a stall when a resource has run out.
    #[test]
    fn pitfall_30_and_32_running_out_pauses_longer_each_time_and_ends_by_deadline_or_by_a_close() {
        const ENFILE: i32 = 23;
        const ENOBUFS: i32 = 105;
        const ENOMEM: i32 = 12;
        let now = Instant::now();
        for errno in [EMFILE, ENFILE, ENOBUFS, ENOMEM] {
            let mut backlog = marked();
            for pause_ms in [100, 200, 400, 800, 1000, 1000] {
                let accepted = Script::new(&[Err(errno)]).run(&mut backlog, now, 9);
                let until = now + Duration::from_millis(pause_ms);
                assert_eq!(accepted.paused.expect("a pause").0, until, "errno {errno}");
                assert!(!backlog.is_runnable(), "no spin");
                backlog.mark();
                assert!(!backlog.is_runnable(), "an event does not end the pause");
                backlog.resume_at(until - Duration::from_millis(1));
                assert!(!backlog.is_runnable());
                backlog.resume_at(until);
                assert!(backlog.is_runnable(), "no stall, and no event needed");
            }
            Script::new(&[Ok(()), Err(errno)]).run(&mut backlog, now, 9);
            backlog.resume();
            assert!(
                backlog.is_runnable(),
                "a client that left makes room at once"
            );
            let accepted = Script::new(&[Ok(()), Err(errno)]).run(&mut backlog, now, 9);
            assert_eq!(
                accepted.paused.unwrap().0,
                now + PAUSE_MIN,
                "a success starts afresh"
            );
        }
    }

    /// Pitfall 31: accept(2) reports errors of connections that are already gone.
    #[test]
    fn pitfall_31_an_error_of_one_connection_is_counted_and_the_next_is_accepted() {
        let (econnaborted, eproto, enetdown, ehostunreach, eperm, eopnotsupp, enetunreach) =
            (103, 71, 100, 113, 1, 95, 101);
        for errno in [
            econnaborted,
            eproto,
            enetdown,
            ehostunreach,
            eperm,
            eopnotsupp,
            enetunreach,
        ] {
            let mut backlog = marked();
            let accepted = Script::new(&[Err(errno), Ok(())]).run(&mut backlog, Instant::now(), 9);
            assert_eq!((accepted.count, accepted.failed), (1, 1), "errno {errno}");
            assert!(
                accepted.paused.is_none() && !backlog.is_runnable(),
                "errno {errno}"
            );
        }
    }

    /// Pitfall 33: errors without end must not keep the loop from its clients, nor awake.
    #[test]
    fn pitfall_33_errors_are_charged_to_the_budget_and_nothing_else_pauses() {
        const EINTR: i32 = 4;
        const EPERM: i32 = 1;
        let now = Instant::now();
        for (errno, pauses) in [(103, true), (EPERM, true), (EINTR, false)] {
            let (mut backlog, mut script) = (marked(), Script::new(&[Err(errno); 200]));
            for tried in (10..=60).step_by(10) {
                let accepted = script.run(&mut backlog, now, 10);
                assert_eq!(script.0.len(), 200 - tried, "errno {errno}");
                assert!(accepted.paused.is_none() && backlog.is_runnable());
            }
            let accepted = script.run(&mut backlog, now, 10);
            let tried = if pauses { 64 } else { 70 };
            assert_eq!(script.0.len(), 200 - tried, "errno {errno}");
            assert_eq!(accepted.paused.is_some(), pauses, "errno {errno}");
            assert_eq!(backlog.is_runnable(), !pauses, "errno {errno}");
            backlog.resume();
            let accepted = script.run(&mut backlog, now, 50);
            assert_eq!(script.0.len(), 200 - tried - 50, "errno {errno}");
            assert!(accepted.paused.is_none());
        }
    }

    /// With several listeners, a budget can be the one attempt that the others have left over.
    #[test]
    fn pitfall_31_one_lost_connection_is_no_shortage_however_small_the_budget() {
        let (mut backlog, mut script) = (marked(), Script::new(&[Err(103), Ok(()), Err(103)]));
        let mut lost = 0;
        while backlog.is_runnable() {
            let accepted = script.run(&mut backlog, Instant::now(), 1);
            assert!(accepted.paused.is_none());
            lost += accepted.failed;
        }
        assert_eq!((lost, script.0.len()), (2, 0));
    }
}
