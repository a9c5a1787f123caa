//! There is no alarm here.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

/// There is none.
#[derive(Debug)]
pub(super) enum Alarm {}

impl Alarm {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        let why = "a precise timer needs Linux and the feature 'bench'";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    pub(super) const fn is_set_for(&self, _: Instant, _: Duration) -> bool {
        match *self {}
    }

    // As the other has it.
    #[allow(clippy::needless_pass_by_ref_mut)]
    pub(super) const fn set(&mut self, _: Instant, _: Duration) -> io::Result<()> {
        match *self {}
    }
}

/// Not available here.
#[cfg(feature = "bench")]
#[derive(Debug)]
pub enum Heartbeat {}

#[cfg(feature = "bench")]
impl Heartbeat {
    /// Always fails.
    ///
    /// # Errors
    ///
    /// `Unsupported`.
    pub fn new(_: &Registry) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Can't be called.
    ///
    /// # Errors
    ///
    /// None.
    pub const fn set(&self, _: Duration) -> io::Result<()> {
        match *self {}
    }
}
