//! Where a connection is on its way, and how it ends.

use std::io;
use std::net::SocketAddr;

use super::answers::Wrong;
use super::outcome::Step;
use crate::probe::Served;
use crate::reactor::{Dial, Dialled, TcpStream};

/// Where a connection is.
#[derive(Debug)]
pub(super) enum Socket {
    Dialling(Dial),
    Connected(TcpStream),
    Gone,
}

impl Socket {
    /// Whether it has been connected since the last call.
    pub(super) fn connects(&mut self) -> io::Result<bool> {
        let Self::Dialling(_) = self else {
            return Ok(false);
        };
        let Self::Dialling(dial) = std::mem::replace(self, Self::Gone) else {
            return Ok(false);
        };
        match dial.check() {
            Dialled::Connected(stream) => {
                *self = Self::Connected(stream);
                Ok(true)
            }
            Dialled::Failed(error) => Err(error),
            Dialled::Pending(dial) => {
                *self = Self::Dialling(dial);
                Ok(false)
            }
        }
    }

    /// Our own address, once it is connected.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Connected(stream) => stream.local_addr().ok(),
            _ => None,
        }
    }
}

/// What a connection needs after its turn.
#[derive(Debug)]
pub(super) enum After {
    /// An event, or its deadlines.
    Nothing,
    /// Another turn, although no event will come.
    Turn,
    /// A turn at this time, when its next message is due.
    TurnAt(u64),
    /// To be closed, and opened again.
    End(End),
}

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum End {
    /// The server has ended it.
    Eof,
    /// It was not to be used for longer.
    Churned,
    Failed(Step, io::Error),
    /// An answer was not what it should be: the first of these bytes, which came at the end of what was read.
    Mismatched(Wrong, Vec<u8>),
}

impl After {
    /// How serving a connection has ended, as a probe reports it. `is_blocked`: something is still to be written.
    pub(super) const fn served(&self, is_blocked: bool) -> Served {
        match self {
            Self::End(_) => Served::Over,
            Self::Turn => Served::Yielded,
            Self::Nothing | Self::TurnAt(_) if is_blocked => Served::Blocked,
            Self::Nothing | Self::TurnAt(_) => Served::Done,
        }
    }
}

impl End {
    /// As it is written in short.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Eof => "peer closed",
            Self::Churned => "churned",
            Self::Failed(..) => "failed",
            Self::Mismatched(..) => "mismatch",
        }
    }
}
