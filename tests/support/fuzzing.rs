//! What the fuzz targets need of what tests share.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[path = "fuzzed.rs"]
pub mod fuzzed;
#[path = "kernel.rs"]
pub mod kernel;
#[path = "script.rs"]
pub mod script;
#[path = "world.rs"]
pub mod world;
