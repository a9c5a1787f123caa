//! Which cores the processes of a benchmark run on.

use std::process::Command;

/// Moves this process to the second core, which all but the server share. It stays as it is where
/// that can't be had.
pub(crate) fn use_second_core() {
    let _ = Command::new("taskset")
        .args(["-cp", "1", &std::process::id().to_string()])
        .output();
}
