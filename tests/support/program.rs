//! The `echoloop` executable under test.

#![allow(dead_code, unreachable_pub)]

use std::sync::LazyLock;

/// The executable that `ECHOLOOP_PROGRAM` names, such as the release build. Without it, the one
/// that cargo built along with the test.
pub fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let built = || env!("CARGO_BIN_EXE_echoloop").to_owned();
        std::env::var("ECHOLOOP_PROGRAM").unwrap_or_else(|_| built())
    });
    &PROGRAM
}

/// Accepts the verdicts that a busy machine may give a good run of `bench`, so that they do not change its exit code.
pub const NOISE: [&str; 2] = [
    "--accept",
    "client-limited,rate-not-reached,unstable,too-few-samples",
];
