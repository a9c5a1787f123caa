//! What several tests share. Each of them uses a part.

#![allow(dead_code, unreachable_pub)]

pub mod fuzzed;
pub mod kernel;
pub mod machine;
pub mod namespace;
pub mod post;
pub mod script;
pub mod seeds;
pub mod serving;
pub mod world;
