//! What a parent decided about signals before the program started.

use std::process::{Command, Stdio};

use super::process::{Process, program};
use super::support::serving::round_trip;
use super::{Running, mask};

const HUP: u64 = 1;
const INT: u64 = 1 << 1;
const TERM: u64 = 1 << 14;

const SERVE: [&str; 5] = ["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];

/// A server whose parent ignores `signal`, as nohup(1) or a shell without job control does.
fn serve_ignoring(signal: &str, options: &[&str]) -> Process {
    let mut command = Command::new("sh");
    let script = format!("trap '' {signal}; exec \"$0\" -q \"$@\"");
    command.args(["-c", &script, program()]).args(SERVE);
    // A console reads this until it is closed.
    Process::start(command.args(options).stdin(Stdio::piped()))
}

#[test]
fn signal_that_was_ignored_at_the_start_stays_ignored() {
    for (signal, bit) in [("HUP", HUP), ("INT", INT)] {
        for mode in [&[][..], &["--watch"], &["--console"]] {
            let server = serve_ignoring(signal, mode);
            let ignored = mask(server.child.id(), "SigIgn:");
            assert!(ignored & bit != 0, "{signal} {mode:?}: {ignored:x}");
            server.signal(signal);
            // The kernel drops it before this one comes. A SIGHUP that stops would have the code 129.
            server.signal("TERM");
            let (code, _, err) = server.end();
            assert_eq!(code, 0, "{signal} {mode:?}: {err}");
        }
    }
}

#[test]
fn blocked_signals_of_the_parent_are_unblocked() {
    let mut command = Command::new("env");
    command
        .arg("--block-signal=INT,TERM,HUP,USR1")
        .arg(program())
        .arg("-q")
        .args(SERVE);
    let server = Process::start(&mut command);
    round_trip(&server.connect(), b"hello");
    assert_eq!(mask(server.child.id(), "SigBlk:") & (HUP | INT | TERM), 0);
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
}

/// It was sent before the program started.
#[test]
fn blocked_signal_that_is_pending_arrives() {
    let mut command = Command::new("env");
    let script = "kill -s TERM $$; exec \"$0\" \"$@\"";
    command.args(["--block-signal=TERM", "sh", "-c", script, program()]);
    let mut server = Running::start(command.args(SERVE).stdout(Stdio::null()));
    assert_eq!(server.end(), Some(143));
}
