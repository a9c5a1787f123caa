//! Counts of attempts to connect, and of how connections end.

use std::io;

use crate::load::connections::connect_state::CloseCause;
use crate::load::connections::connection::Connection;
use crate::load::connections::pending::{PAUSE_MAX, PendingConnection};
use crate::load::host::Host;
use crate::load::plan::Reply;
use crate::load::result::messages::State;
use crate::load::result::outcome::Step;
use crate::load::schedule::message::SentMessage;
use crate::load::shared::Shared;
use crate::load::time::{elapsed, nanoseconds};
use crate::load::verify::mismatch::{Place, describe};
use crate::load::verify::reply_verifier::Discrepancy;
use crate::reactor::Attempt;

/// The remains of a closed connection.
#[derive(Debug)]
pub(crate) struct Closed {
    /// To be opened again.
    pub(crate) pending: PendingConnection,
    /// Why it was of no use, if it was not.
    pub(crate) error: Option<io::Error>,
    /// Messages of it are to be sent on another connection.
    pub(crate) has_withdrawn: bool,
}

/// `connection` is over, for this `cause`, and could not be opened or was of no use `failures` times before: its messages end.
/// `places` are where all connections are, if the cause is a wrong reply.
pub(crate) fn close<A: Attempt>(
    mut connection: Connection<A>,
    cause: CloseCause,
    failures: u32,
    places: &[Place],
    shared: &mut Shared<impl Host>,
    now: u64,
) -> Closed {
    let is_mismatched = matches!(cause, CloseCause::Mismatched(..)) && connection.has_sent();
    let was_useful = matches!(cause, CloseCause::Churned) || was_useful(&connection, now);
    // Without replies it is not known whether the server took what was written.
    let was_written = shared.plan.reply == Reply::None && connection.has_sent();
    let error = count_end(&connection, &cause, shared);
    if let CloseCause::Mismatched(at, wrong, got) = cause {
        end_mismatched(&mut connection, wrong, &got, places, shared, at);
    }
    let lost = |_: &SentMessage| State::ConnectionLost;
    let withdrawn = connection.end_messages(&mut shared.recorder, now, lost);
    shared.schedule.put_back(withdrawn);
    if was_useful && shared.recorder.in_flight() == 0 {
        shared.recorder.progress.gave_up_on_all(now);
    }
    connection.pacer.hold(now);
    Closed {
        pending: PendingConnection {
            number: connection.number,
            pacer: connection.pacer,
            failures: match (was_useful, was_written || is_mismatched) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => failures + 1,
            },
        },
        error,
        has_withdrawn: withdrawn > 0 && shared.schedule.left.is_some(),
    }
}

/// Whether the server has served `connection`: it has replied, or held it open for a while.
fn was_useful<A: Attempt>(connection: &Connection<A>, now: u64) -> bool {
    let lasted = elapsed(connection.since, now);
    connection.socket.is_connected()
        && (connection.replies > 0 || lasted >= PAUSE_MAX.as_nanos() as u64)
}

/// Counts how a connection ended. If it was of no use, returns why, as an error.
fn count_end(
    connection: &Connection<impl Attempt>,
    end: &CloseCause,
    shared: &mut Shared<impl Host>,
) -> Option<io::Error> {
    let now = shared.now();
    let in_flight = connection.verifier.len();
    let replies = shared.plan.reply != Reply::None || connection.socket.awaits_greeting();
    let server = connection.pacer.server();
    let recorder = &mut shared.recorder;
    let connections = &mut recorder.outcome.connections;
    match end {
        CloseCause::Churned => connections.churned += 1,
        CloseCause::Eof | CloseCause::Failed(Step::Read | Step::Write, _)
            if connection.is_silent() =>
        {
            connections.idle_closed += 1;
            return None;
        }
        CloseCause::Eof if in_flight == 0 && (connection.replies > 0 || !replies) => {
            connections.closed_by_server += 1;
        }
        CloseCause::Eof if in_flight == 0 => {
            recorder.error_named(Step::Read, "end of file before any reply");
        }
        CloseCause::Eof => recorder.error_named(Step::Read, "end of file before the reply"),
        CloseCause::Failed(Step::Connect, error) => {
            count_failed_attempt(server, error, shared);
            let code = error.raw_os_error();
            let again = || error.kind().into();
            return Some(code.map_or_else(again, io::Error::from_raw_os_error));
        }
        CloseCause::Failed(step, error) => recorder.error(*step, error),
        CloseCause::NoGreeting => recorder.error_named(Step::Read, "no greeting"),
        CloseCause::Mismatched(..) => {}
    }
    let connections = &mut recorder.outcome.connections;
    match end {
        CloseCause::Eof | CloseCause::Failed(..) => connections.closes.add(connection.replies),
        // It is this client that closes it.
        CloseCause::NoGreeting => {}
        CloseCause::Churned | CloseCause::Mismatched(..) => return None,
    }
    if connection.replies > 0 || !replies {
        return None;
    }
    connections.closed_without_reply += 1;
    recorder.outcome.servers[server as usize].failed += 1;
    recorder.progress.failed(now);
    Some(io::ErrorKind::ConnectionReset.into())
}

/// The run is over at `now`: every message in flight on `connection` ends in the state that applies.
pub(crate) fn end_of_run(
    connection: &mut Connection<impl Attempt>,
    shared: &mut Shared<impl Host>,
    now: u64,
) {
    let timeout = nanoseconds(shared.plan.timeout);
    let replies = shared.plan.reply != Reply::None;
    let is_overdue = |message: &SentMessage| elapsed(message.sent, now) >= timeout;
    if replies && connection.verifier.first().is_some_and(is_overdue) {
        shared.recorder.outcome.connections.hung_at_end += 1;
    }
    let state = |message: &SentMessage| match replies {
        false => State::NeverSent,
        true if is_overdue(message) => State::TimedOut,
        true => State::UnansweredAtEnd,
    };
    let withdrawn = connection.end_messages(&mut shared.recorder, now, state);
    shared.schedule.put_back(withdrawn);
}

/// An attempt to connect to `server` has failed.
pub(crate) fn count_failed_attempt(server: u32, error: &io::Error, shared: &mut Shared<impl Host>) {
    let now = shared.now();
    let recorder = &mut shared.recorder;
    recorder.error(Step::Connect, error);
    recorder.progress.failed(now);
    if is_local(error) {
        recorder.outcome.connections.failed_locally += 1;
    } else {
        recorder.outcome.connections.failed += 1;
        recorder.outcome.servers[server as usize].failed += 1;
    }
}

/// A reply on `connection` was wrong: `got`, from the first wrong byte on. `others` are where all connections are.
fn end_mismatched(
    connection: &mut Connection<impl Attempt>,
    wrong: Discrepancy,
    got: &[u8],
    others: &[Place],
    shared: &mut Shared<impl Host>,
    now: u64,
) {
    let Shared {
        recorder, expected, ..
    } = shared;
    let description = || {
        let received = connection.verifier.received();
        let origin = (connection.number, connection.local());
        describe(origin, wrong, received, got, &expected.pattern, others)
    };
    if !connection.has_sent() {
        // It is no reply: a run whose messages can't be sent must not wait for its end forever.
        recorder.outcome.add_mismatch(description);
        return recorder.progress.failed(now);
    }
    recorder.mismatch(now, description);
    // Without a reply to come, it replied to nothing.
    if expected.reply != Reply::None {
        connection.end_mismatched(recorder, now);
    }
}

/// An attempt to connect to `server` begins.
pub(crate) fn count_attempt(server: u32, shared: &mut Shared<impl Host>) {
    shared.recorder.work.attempts += 1;
    let outcome = &mut shared.recorder.outcome;
    outcome.connections.attempted += 1;
    outcome.servers[server as usize].attempted += 1;
}

/// A connection to `server` is established: one of `connected` now.
pub(crate) fn count_established(server: u32, connected: usize, shared: &mut Shared<impl Host>) {
    let outcome = &mut shared.recorder.outcome;
    outcome.connections.established += 1;
    outcome.connections.most = outcome.connections.most.max(connected as u64);
    outcome.servers[server as usize].established += 1;
}

/// Whether this machine had no descriptor, port or memory for a connection. No server can help it.
pub(crate) fn is_local(error: &io::Error) -> bool {
    // ENFILE, EMFILE and ENOBUFS have no kind of their own; EAGAIN is the lack of a UDP port (connect(2)).
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::WouldBlock
    ) || matches!(error.raw_os_error(), Some(23 | 24 | 105))
}
