//! How far a connection has got, and why it is over.

use std::io;
use std::net::SocketAddr;

use crate::load::next_step::NextStep;
use crate::load::result::outcome::Step;
use crate::load::verify::reply_verifier::Discrepancy;
use crate::probe::Served;
use crate::reactor::{Attempt, Dialled, OutgoingStream};

/// The socket of a connection.
#[derive(Debug)]
pub(crate) enum ConnectState<A: Attempt> {
    Connecting(A),
    /// Connected: the greeting is awaited, and this number of bytes at its end match.
    Greeting(A::Stream, usize),
    /// Messages may be sent.
    Connected(A::Stream),
    /// Taken, to be put back.
    Gone,
}

impl<A: Attempt> ConnectState<A> {
    pub(crate) const fn is_connected(&self) -> bool {
        matches!(self, Self::Connected(_))
    }

    pub(crate) const fn is_connecting(&self) -> bool {
        matches!(self, Self::Connecting(_))
    }

    pub(crate) const fn awaits_greeting(&self) -> bool {
        matches!(self, Self::Greeting(..))
    }

    /// The server is to send a greeting before the first message.
    pub(crate) fn await_greeting(&mut self) {
        *self = match std::mem::replace(self, Self::Gone) {
            Self::Connected(stream) => Self::Greeting(stream, 0),
            other => other,
        };
    }

    /// The stream, once it is connected.
    pub(crate) const fn stream(&self) -> Option<&A::Stream> {
        match self {
            Self::Connected(stream) | Self::Greeting(stream, _) => Some(stream),
            Self::Connecting(_) | Self::Gone => None,
        }
    }

    /// Whether it has become connected since the last call.
    ///
    /// # Errors
    ///
    /// Why it never will be.
    pub(crate) fn connects(&mut self) -> io::Result<bool> {
        let attempt = match std::mem::replace(self, Self::Gone) {
            Self::Connecting(attempt) => attempt,
            other => {
                *self = other;
                return Ok(false);
            }
        };
        match attempt.check() {
            Dialled::Connected(stream) => {
                *self = Self::Connected(stream);
                Ok(true)
            }
            Dialled::Failed(error) => Err(error),
            Dialled::Pending(attempt) => {
                *self = Self::Connecting(attempt);
                Ok(false)
            }
        }
    }

    /// Our own address, once it is connected.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.stream()?.local_addr().ok()
    }
}

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum CloseCause {
    /// The server has closed or half-closed it.
    Eof,
    /// It was used for as long as `--churn` allows.
    Churned,
    Failed(Step, io::Error),
    /// The greeting did not come in time.
    NoGreeting,
    /// A reply was wrong: when it came, and from the first wrong byte on, the rest of what was read.
    Mismatched(u64, Discrepancy, Vec<u8>),
}

impl CloseCause {
    /// How serving a connection has ended, as a probe reports it. `is_blocked`: something is still to be written.
    pub(crate) const fn served(next: &Result<NextStep, Self>, is_blocked: bool) -> Served {
        match next {
            Err(_) => Served::Over,
            Ok(NextStep::Again) => Served::Yielded,
            Ok(NextStep::Wait | NextStep::At(_)) if is_blocked => Served::Blocked,
            Ok(NextStep::Wait | NextStep::At(_)) => Served::Done,
        }
    }

    /// As it is written in short.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Eof => "peer closed",
            Self::Churned => "churned",
            Self::Failed(..) => "failed",
            Self::NoGreeting => "no greeting",
            Self::Mismatched(..) => "mismatch",
        }
    }
}
