//! Counts of attempts to connect, and of how connections end.

use std::io;

use super::answers::{InFlight, Wrong};
use super::connection::Connection;
use super::messages::State;
use super::mismatch::{Place, describe};
use super::outcome::Step;
use super::pacer::Pacer;
use super::plan::Reply;
use super::shared::Shared;
use super::socket::End;
use super::{elapsed, nanoseconds};
use crate::probe::Probe;

/// Counts how a connection ended. If it was of no use, returns why, as an error.
pub(super) fn count_end(
    connection: &Connection,
    end: &End,
    shared: &mut Shared<impl Probe>,
) -> Option<io::Error> {
    let now = shared.now();
    let in_flight = connection.answers.len();
    let replies = shared.plan.reply != Reply::None;
    let server = connection.pacer.server();
    let recorder = &mut shared.recorder;
    let connections = &mut recorder.outcome.connections;
    match end {
        End::Churned => connections.churned += 1,
        End::Eof | End::Failed(Step::Read | Step::Write, _) if connection.is_silent() => {
            connections.idle_closed += 1;
            return None;
        }
        End::Eof if in_flight == 0 && (connection.replies > 0 || !replies) => {
            connections.closed_by_server += 1;
        }
        End::Eof if in_flight == 0 => {
            recorder.error_named(Step::Read, "end of file before any reply");
        }
        End::Eof => recorder.error_named(Step::Read, "end of file before the reply"),
        End::Failed(Step::Connect, error) => {
            count_failed_attempt(server, error, shared);
            let code = error.raw_os_error();
            let again = || error.kind().into();
            return Some(code.map_or_else(again, io::Error::from_raw_os_error));
        }
        End::Failed(step, error) => recorder.error(*step, error),
        End::Mismatched(..) => {}
    }
    if !matches!(end, End::Eof | End::Failed(..)) {
        return None;
    }
    let connections = &mut recorder.outcome.connections;
    connections.closes.add(connection.replies);
    if connection.replies > 0 || !replies {
        return None;
    }
    connections.closed_without_reply += 1;
    recorder.outcome.servers[server as usize].failed += 1;
    recorder.progress.failed(now);
    Some(io::ErrorKind::ConnectionReset.into())
}

/// The run is over at `now`: every message in flight on `connection` ends in the state that applies.
pub(super) fn end_of_run(connection: &mut Connection, shared: &mut Shared<impl Probe>, now: u64) {
    let timeout = nanoseconds(shared.plan.timeout);
    let replies = shared.plan.reply != Reply::None;
    let is_overdue = |message: &InFlight| elapsed(message.sent, now) >= timeout;
    if replies && connection.answers.first().is_some_and(is_overdue) {
        shared.recorder.outcome.connections.hung_at_end += 1;
    }
    let state = |message: &InFlight| match replies {
        false => State::NeverSent,
        true if is_overdue(message) => State::TimedOut,
        true => State::UnansweredAtEnd,
    };
    let withdrawn = connection.end_messages(&mut shared.recorder, now, state);
    shared.send_again(withdrawn);
}

/// An attempt to connect to `server` has failed.
pub(super) fn count_failed_attempt(
    server: u32,
    error: &io::Error,
    shared: &mut Shared<impl Probe>,
) {
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

/// The reply to the first message in flight was wrong. Without any in flight, it replied to nothing.
pub(super) fn end_mismatched(
    connection: &mut Connection,
    wrong: Wrong,
    got: &[u8],
    others: &[Place],
    shared: &mut Shared<impl Probe>,
    now: u64,
) {
    let Shared {
        recorder, expected, ..
    } = shared;
    recorder.mismatch(now, || {
        describe(connection, wrong, got, &expected.pattern, others)
    });
    if expected.reply == Reply::None {
        return;
    }
    if let Some(&message) = connection.answers.first() {
        connection.answers.complete_first();
        recorder.leave(&message, now);
        recorder.settle(connection.pacer.server(), &message, State::Mismatched);
    }
}

pub(super) fn count_attempt(pacer: &Pacer, shared: &mut Shared<impl Probe>) {
    shared.recorder.attempts += 1;
    let outcome = &mut shared.recorder.outcome;
    outcome.connections.attempted += 1;
    outcome.servers[pacer.server() as usize].attempted += 1;
}

/// Whether this machine had no descriptor, port or memory for a connection. No server can help it.
fn is_local(error: &io::Error) -> bool {
    // ENFILE, EMFILE and ENOBUFS have no kind of their own; EAGAIN is the lack of a UDP port (connect(2)).
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::WouldBlock
    ) || matches!(error.raw_os_error(), Some(23 | 24 | 105))
}
