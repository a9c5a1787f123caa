//! The `echoloop` executable under test.

#![allow(dead_code, unreachable_pub)]

use std::sync::LazyLock;

use signal_hook::consts::{SIGHUP, SIGINT};

/// The executable that `ECHOLOOP_PROGRAM` names, such as the release build. Without it, the one
/// that cargo built along with the test.
pub fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        reset_ignored_signals();
        let built = || env!("CARGO_BIN_EXE_echoloop").to_owned();
        std::env::var("ECHOLOOP_PROGRAM").unwrap_or_else(|_| built())
    });
    &PROGRAM
}

/// Tests that run after nohup(1) or in the background of a script ignore signals, and the program would
/// inherit that. A signal that is caught here has its default action in the program.
fn reset_ignored_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap_or(0));
    for signal in [SIGHUP, SIGINT] {
        if ignored & (1 << (signal - 1)) != 0 {
            let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
        }
    }
}

/// Accepts the verdicts that a busy machine may give a good run of `bench`, so that they do not change its exit code.
pub const NOISE: [&str; 2] = [
    "--accept",
    "client-limited,rate-not-reached,unstable,too-few-samples",
];
