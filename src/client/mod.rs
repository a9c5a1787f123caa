//! The client: one conversation with a server, over TCP or UDP, between a source of bytes and a sink.
//!
//! The roles run on the same [`Reactor`](crate::reactor::Reactor) as the server does. What is said and
//! what is shown may block for as long as they like, a person or a full pipe behind them: they are read
//! and written on threads of their own ([`Input`], [`Output`]), and the loop never waits for either.

mod datagrams;
mod pipes;
mod stream;

use std::time::Duration;
use std::{fmt, io};

pub use datagrams::{DatagramClient, DatagramOptions, TooLong};
pub use pipes::{Cut, Heard, Input, Output, PIECE_MAX, Said};
pub use stream::{Ending, StreamClient, StreamOptions};

use crate::reactor::ConnectError;
use crate::service::{Language, Phrase};

/// How long the end waits for what came to be shown, if the loop was left before it was.
const END_WAIT: Duration = Duration::from_secs(1);

/// Whether a sink failed because its reader has had enough, or somebody did not want to wait for it.
fn is_enough(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::TimedOut
    )
}

/// Why a conversation failed.
#[derive(Debug)]
pub enum Failure {
    /// No address accepted a connection: the error of each, and the time limit of an attempt.
    Connect(Vec<ConnectError>, Duration),
    /// The conversation was cut off.
    Lost(io::Error),
    /// What was said could not be read.
    Input(io::Error),
    /// What came could not be written.
    Output(io::Error),
}

impl Failure {
    /// What happened, and what to do about it where that is known, in a person's language.
    pub fn in_language(&self, language: Language) -> String {
        use io::ErrorKind as Kind;
        let text;
        let phrase = match self {
            Self::Connect(errors, timeout) => {
                let errors = errors.iter();
                let lines = errors.map(|error| describe(error, *timeout, language));
                return lines.collect::<Vec<_>>().join("; ");
            }
            Self::Lost(error) if error.kind() == Kind::ConnectionReset => Phrase::Reset,
            Self::Lost(error) => {
                text = language.reason(error);
                Phrase::Lost(&text)
            }
            Self::Input(error) => {
                text = language.reason(error);
                Phrase::InputFailed(&text)
            }
            Self::Output(error) => {
                text = language.reason(error);
                Phrase::OutputFailed(&text)
            }
        };
        language.say(phrase).to_string()
    }
}

/// Why one address did not accept a connection.
fn describe(failure: &ConnectError, timeout: Duration, language: Language) -> String {
    use io::ErrorKind as Kind;
    let address = failure.address;
    let Some(error) = &failure.error else {
        let phrase = Phrase::ConnectTimeout(address, timeout);
        return language.say(phrase).to_string();
    };
    let text = language.reason(error);
    let phrase = match error.kind() {
        Kind::ConnectionRefused => Phrase::Refused(address),
        Kind::HostUnreachable | Kind::NetworkUnreachable => Phrase::Unreachable(address),
        Kind::AddrNotAvailable => Phrase::NotFromHere(address, &text),
        _ => Phrase::NotConnected(address, &text),
    };
    language.say(phrase).to_string()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_language(Language::English))
    }
}
