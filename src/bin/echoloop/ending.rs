//! The end of the process by a signal, while other threads may be blocked.
//!
//! Nothing here takes a lock that a thread holds while it writes to a file, a pipe or a terminal.

use std::thread;
use std::time::Duration;

use signal_hook::low_level;

use crate::terminal::Screen;
use crate::{SIGNALLED, bounded, output};

/// How long cleaning up may take: a disk or a terminal may not respond.
const CLEAN_UP_WAIT: Duration = Duration::from_millis(200);

/// Ends the process with the exit code of `signal`. Buffered output is lost.
pub(crate) fn exit(signal: i32) -> ! {
    clean_up();
    if let Some(screen) = Screen::shown() {
        screen.give_back_at_exit();
    }
    low_level::exit(SIGNALLED + signal)
}

/// Ends the process by `signal` as the system does by default, such as with a core dump.
pub(crate) fn end_by_default(signal: i32) -> ! {
    clean_up();
    let _ = low_level::emulate_default_handler(signal);
    low_level::exit(SIGNALLED + signal)
}

/// Ends the process later, unless it has ended by then, with the exit code of the signal that `signal`
/// names at that time.
pub(crate) fn exit_after(time: Duration, signal: fn() -> i32) {
    let wait = move || {
        thread::sleep(time);
        exit(signal())
    };
    let thread = thread::Builder::new().name("ending".to_owned());
    if thread.spawn(wait).is_err() {
        // Without a thread that waits, the next signal has to end it.
        log::debug!("the time limit of the end is not enforced: no thread can be started");
    }
}

/// Gives the terminal back, and removes unfinished files.
fn clean_up() {
    let work = || {
        if let Some(screen) = Screen::shown() {
            screen.abandon();
        }
        output::remove_temporary_files();
        Ok(())
    };
    // A disk or terminal that does not respond in time must not keep the process.
    let _ = bounded::within(CLEAN_UP_WAIT, work);
}
