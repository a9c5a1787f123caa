//! Signals at unlucky moments.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::terminals::start_at_terminal;

/// Not even one that comes just before the loop can receive it.
#[test]
fn signal_at_any_moment_of_the_start_ends_the_program() {
    const STARTS: u32 = 100;
    /// Longer than the start takes after signals are caught.
    const LONGEST: Duration = Duration::from_millis(5);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().to_string();
    for start in 0..STARTS {
        let (mut client, _terminal) = start_at_terminal("true", &["connect", &server]);
        client.handles_signals();
        thread::sleep(LONGEST * start / STARTS);
        let pid = Pid::from_raw(client.id() as i32).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        client.end();
    }
}
