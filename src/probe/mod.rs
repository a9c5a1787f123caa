//! What happened, as plain numbers; and what a loop does as it does it.
//!
//! Counters only ever grow, and each limit has one that says when it bit. They are always there. A [`Probe`] sees more:
//! every turn, every event, every call. It is a type parameter of a role, and with [`Off`] nothing of it is left in the
//! program.

mod counters;
#[cfg(feature = "bench")]
mod figures;
#[cfg(feature = "bench")]
mod lints;
#[cfg(feature = "bench")]
mod meter;
mod off;
mod record;
#[cfg(feature = "bench")]
mod recorder;
mod throttle;
#[cfg(feature = "bench")]
mod traced;

pub use counters::{ClientCounters, Closed, Counters, DatagramCounters, Refused, Turns};
#[cfg(feature = "bench")]
pub use figures::{Figures, Hot, Span};
#[cfg(feature = "bench")]
pub use lints::{Lint, Role, lints};
#[cfg(feature = "bench")]
pub use meter::Meter;
pub use off::Off;
pub use record::{Call, Moved, Record, Served, What};
#[cfg(feature = "bench")]
pub use recorder::Recorder;
pub use throttle::Throttle;
#[cfg(feature = "bench")]
pub use traced::Traced;

use std::net::SocketAddr;

use crate::connection::Stream;
use crate::service::ClientId;

/// Told by a loop what it does. A type parameter of the [`Server`](crate::Server) and of the load generator: with
/// [`Off`], nothing is left of it in the program.
///
/// Times are in nanoseconds of a clock that the probe has; [`now`](Self::now) reads it.
pub trait Probe {
    /// Whether anything is recorded. What would be worked out for a probe alone is not, otherwise.
    const ON: bool;

    /// A stream that tells what is called on it.
    type Stream<S: Stream>: Stream;

    /// Talks through `stream`, and is told what comes of it.
    fn stream<S: Stream>(&mut self, stream: S) -> Self::Stream<S>;

    /// The stream itself.
    fn inner<S: Stream>(stream: &mut Self::Stream<S>) -> &mut S;

    /// The stream itself, which nobody is told of any more.
    fn into_inner<S: Stream>(stream: Self::Stream<S>) -> S;

    /// The time.
    fn now(&self) -> u64;

    /// The sleep is over, and events have been marked: a turn begins.
    fn turn_began(&mut self);

    /// Everything that is ready has been done: what comes is sleep.
    fn turn_ended(&mut self);

    /// An event says that something is ready. `who` is none of a listener or a datagram socket.
    fn marked(&mut self, who: Option<ClientId>);

    /// A connection has come to be, with the client at `address`.
    fn opened(&mut self, who: ClientId, address: SocketAddr);

    /// It is over, for this reason.
    fn closed(&mut self, who: ClientId, reason: &'static str);

    /// It is being served from now on.
    fn serve_began(&mut self, who: ClientId);

    /// It has been served, as far as that can be done now.
    fn serve_ended(&mut self, who: ClientId, served: Served);

    /// Something else was done, from `began` until now.
    fn did(&mut self, who: Option<ClientId>, what: What, began: u64);
}
