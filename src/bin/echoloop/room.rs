//! How many clients there is room for, and why not for more.

use std::io::{self, IsTerminal};

use echoloop::service::Phrase;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::ServeArgs;

/// Descriptors that are not clients: standard streams, poll, waker, signals, listeners, and what
/// name resolution or logging may open. redis keeps as many back.
const DESCRIPTORS_RESERVED: u64 = 32;

/// How many descriptors select(2) knows: `FD_SETSIZE`.
const SELECT_MAX: u64 = 1024;

/// The most clients served unless told otherwise, as redis and sozu.
const MAX_CONNS_DEFAULT: usize = 10_000;

/// A notice to the operator that there is no room for more clients.
#[derive(Clone, Copy)]
pub(crate) struct Full {
    /// How many clients there are then.
    pub(crate) clients: usize,
    pub(crate) why: Phrase<'static>,
}

/// Whether lines are typed at a terminal.
fn has_line_editor(args: &ServeArgs) -> bool {
    args.console && io::stdin().is_terminal()
}

/// How many connections there is room for.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) connections: usize,
    /// The line editor allows fewer than the limit of open files.
    is_of_editor: bool,
}

/// Raises the limit of open files as far as the system lets us, and returns how many connections it
/// has room for.
///
/// A console at a terminal has fewer: its line editor waits for keys with select(2), which knows no
/// descriptor from 1024 up, of any kind.
pub(crate) fn connection_room(args: &ServeArgs) -> Room {
    let limit = getrlimit(Resource::Nofile);
    let most = has_line_editor(args).then_some(SELECT_MAX);
    let raised = Rlimit {
        current: limit.maximum.into_iter().chain(most).min(),
        maximum: limit.maximum,
    };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() {
        raised
    } else {
        limit
    };
    let descriptors = limit.current.unwrap_or(u64::MAX);
    let connections = usize::try_from(descriptors.saturating_sub(DESCRIPTORS_RESERVED));
    Room {
        connections: connections.unwrap_or(usize::MAX).max(1),
        is_of_editor: most.is_some_and(|most| limit.maximum.is_none_or(|limit| limit > most)),
    }
}

/// The notice to the operator of a console that serves `clients` clients, which is the limit.
/// `None` if there is room for more, or if the operator has set this limit.
pub(crate) fn full_notice(args: &ServeArgs, room: Room, clients: usize) -> Option<Full> {
    if clients < room.connections || args.max_conns == Some(clients) {
        return None;
    }
    let why = if room.is_of_editor {
        Phrase::EditorLimit(clients)
    } else {
        Phrase::FileLimit(clients)
    };
    Some(Full { clients, why })
}

/// How many clients are served at once, where there is `room` for that number of connections.
pub(crate) fn max_conns(args: &ServeArgs, room: Room) -> usize {
    let is_of_editor = room.is_of_editor;
    let room = room.connections;
    let Some(asked) = args.max_conns else {
        return MAX_CONNS_DEFAULT.min(room);
    };
    if asked > room && is_of_editor {
        log::warn!(
            "--max-conns {asked} is more than the line editor of the console allows: it waits for keys with \
             select(2), which handles no descriptor from {SELECT_MAX} up. At most {room} clients; to serve \
             more, redirect standard input (< /dev/null)"
        );
        return room;
    }
    if asked > room {
        log::warn!(
            "--max-conns {asked} is more than the {room} that the limit of open files allows: \
             who can't be accepted waits until a client leaves"
        );
    }
    asked
}
