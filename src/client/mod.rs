//! The client: one conversation with a server, over TCP or UDP, between a source of bytes and a sink.
//!
//! The roles run on the same [`Reactor`](crate::reactor::Reactor) as the server does. What is said and
//! what is shown may block for as long as they like, a person or a full pipe behind them: they are read
//! and written on threads of their own ([`Input`], [`Output`]), and the loop never waits for either.

mod datagrams;
mod pipes;
mod stream;

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

pub use datagrams::{DatagramClient, DatagramOptions};
pub use pipes::{Cut, Input, Output};
pub use stream::{StreamClient, StreamOptions};

/// Why a conversation failed.
#[derive(Debug)]
pub enum Failure {
    /// No address could be connected to. This is what became of the last.
    Connect(SocketAddr, io::Error),
    /// The last address did not answer in this time.
    ConnectTimeout(SocketAddr, Duration),
    /// The conversation was cut off.
    Lost(io::Error),
    /// What was said could not be read.
    Input(io::Error),
    /// What came could not be written.
    Output(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use io::ErrorKind as Kind;
        match self {
            Self::Connect(address, error) => {
                write!(f, "cannot connect to {address}: ")?;
                match error.kind() {
                    Kind::ConnectionRefused => f.write_str("refused: nobody listens there"),
                    Kind::HostUnreachable | Kind::NetworkUnreachable => {
                        f.write_str("unreachable: there is no way to that address")
                    }
                    Kind::AddrNotAvailable => {
                        write!(f, "{error}; is the source an address of this machine?")
                    }
                    _ => error.fmt(f),
                }
            }
            Self::ConnectTimeout(address, time) => {
                write!(f, "cannot connect to {address}: no answer within {time:?}")
            }
            Self::Lost(error) if error.kind() == Kind::ConnectionReset => {
                f.write_str("the server reset the connection")
            }
            Self::Lost(error) => write!(f, "the connection was lost: {error}"),
            Self::Input(error) => write!(f, "cannot read what is to be sent: {error}"),
            Self::Output(error) => write!(f, "cannot write what came: {error}"),
        }
    }
}
