//! The end of the process by a signal, while other threads may be blocked.
//!
//! Nothing here takes a lock that a thread holds while it writes to a file, a pipe or a terminal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use signal_hook::low_level;

use crate::terminal::Screen;
use crate::{SIGNALLED, bounded, output};

/// How long cleaning up may take: a disk or a terminal may not respond.
const CLEAN_UP_WAIT: Duration = Duration::from_millis(200);

/// Makes the signal handlers end the process at once.
pub(crate) static AT_ONCE: LazyLock<Arc<AtomicBool>> =
    LazyLock::new(|| Arc::new(AtomicBool::new(true)));

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

/// Ends the process later, unless it has ended by then, with the exit code of the signal that
/// `signal` names at that time. Returns whether there is a thread that waits.
pub(crate) fn exit_after(time: Duration, signal: fn() -> i32) -> bool {
    let wait = move || {
        thread::sleep(time);
        exit(signal())
    };
    let thread = thread::Builder::new().name("ending".to_owned());
    thread.spawn(wait).is_ok()
}

/// Gives the terminal back, and removes unfinished files.
fn clean_up() {
    let work = || {
        let abandoned = Screen::shown().filter(|screen| screen.abandon());
        output::remove_temporary_files();
        if let Some(screen) = abandoned {
            screen.reset_at_exit();
        }
        Ok(())
    };
    // A disk or terminal that does not respond in time must not keep the process.
    let _ = bounded::within_or(CLEAN_UP_WAIT, work, |work| {
        // Nothing bounds the work here, so the next signal ends the process.
        AT_ONCE.store(true, Ordering::Release);
        work()
    });
}
