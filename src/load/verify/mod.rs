//! What a reply has to be, and whether it is.

pub(crate) mod mismatch;
pub(crate) mod pattern;
pub(crate) mod reply_verifier;
pub(crate) mod terminator;
pub(crate) mod verifying;
