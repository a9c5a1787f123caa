//! The probe that is none.

use std::net::SocketAddr;

use super::{Probe, Served, What};
use crate::connection::Stream;
use crate::service::ClientId;

/// Records nothing, and costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Off;

impl Probe for Off {
    const ON: bool = false;

    type Stream<S: Stream> = S;

    #[inline(always)]
    fn stream<S: Stream>(&mut self, stream: S) -> S {
        stream
    }

    #[inline(always)]
    fn inner<S: Stream>(stream: &mut S) -> &mut S {
        stream
    }

    #[inline(always)]
    fn into_inner<S: Stream>(stream: S) -> S {
        stream
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn turn_began(&mut self) {}

    #[inline(always)]
    fn turn_ended(&mut self) {}

    #[inline(always)]
    fn marked(&mut self, _: Option<ClientId>) {}

    #[inline(always)]
    fn opened(&mut self, _: ClientId, _: SocketAddr) {}

    #[inline(always)]
    fn closed(&mut self, _: ClientId, _: &'static str) {}

    #[inline(always)]
    fn serve_began(&mut self, _: ClientId) {}

    #[inline(always)]
    fn serve_ended(&mut self, _: ClientId, _: Served) {}

    #[inline(always)]
    fn did(&mut self, _: Option<ClientId>, _: What, _: u64) {}
}
