//! Signals, from the start of `main` until the process ends.
//!
//! * SIGINT, SIGTERM and SIGHUP stop the program. While a loop is attached, the first of them goes to
//!   the loop, which finishes its work. The second goes to the loop too, which aborts; [`ABORT_WAIT`]
//!   later, or at the third, a thread ends the process, whatever blocks it. If the loop has not taken the
//!   first one, a second SIGINT or SIGHUP ends the process at once. (A second SIGTERM does not: see
//!   [`last_term`](crate::last_term).) While no loop is attached (start, look-ups, results), the first
//!   does.
//! * SIGUSR1 goes to the loop. Without one it does nothing. So does SIGCONT at a terminal.
//! * SIGXFSZ is caught, so that a write beyond the file size limit returns an error.
//! * Other signals that end a process by default do so after [`ending`] has cleaned up, once the thread
//!   runs.
//!
//! A loop of a server or a load starts without the thread: the C library takes longer for each system
//! call of a process that has threads (94 of 149 instructions per message more, glibc 2.36). Until the
//! loop is attached, the signal handlers end the process. The thread is started by the first signal, at
//! the end of the loop, and before there is anything to clean up: a trace or a terminal. (Whether an
//! output file can be created is tried before, by a file without a name where there are such.)
//!
//! A signal that was ignored when the program started stays ignored (nohup(1), background jobs of a
//! shell without job control), except SIGTERM, SIGUSR1 and SIGXFSZ. The ignored signals are read
//! from `/proc`. Without `/proc`, SIGHUP keeps its action, and the others are caught.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use echoloop::reactor::{EXTERNAL, Event, Interest, Reactor, Registry};
#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGPROF, SIGQUIT, SIGTERM, SIGTRAP, SIGUSR1,
    SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
};
use signal_hook::iterator;
use signal_hook::{SigId, flag, low_level};
use signal_hook_mio::v1_0 as hook;

use crate::SIGNALLED;
use crate::ending::{self, AT_ONCE};
use crate::last_term::{AGAIN, AGAIN_LATE, LastTerm};

/// How long the loop may take to abort after the second signal.
const ABORT_WAIT: Duration = Duration::from_millis(500);

/// How long the rest of the program may take, once a signal has stopped the loop. Longer than the
/// waits for traces, logs and totals together.
const END_WAIT: Duration = Duration::from_secs(20);

/// The signals that stop the program.
const STOPPING: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// Other signals that end it. SIGBUS and SIGSYS are missing, and SIGSEGV, SIGILL and SIGFPE can't be
/// caught: a faulty instruction is repeated when the handler returns.
const FATAL: [i32; 8] = [
    SIGABRT, SIGALRM, SIGPROF, SIGQUIT, SIGTRAP, SIGUSR2, SIGVTALRM, SIGXCPU,
];

/// Signals that end a process on Linux only (signal(7)); elsewhere they are ignored or unknown.
/// After them the exit code is that of a shell, 128 and the number: signal-hook does not set their
/// default action.
#[cfg(target_os = "linux")]
const FATAL_ON_LINUX: [i32; 2] = [Signal::SIGIO as i32, Signal::SIGPWR as i32];

#[cfg(not(target_os = "linux"))]
const FATAL_ON_LINUX: [i32; 0] = [];

/// The handlers that set [`AT_ONCE`], until the thread runs.
static MARKS: Mutex<Vec<SigId>> = Mutex::new(Vec::new());

fn marks() -> MutexGuard<'static, Vec<SigId>> {
    MARKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals that were ignored when the program started, as bits.
static IGNORED: LazyLock<Option<u64>> = LazyLock::new(ignored);

static HAS_THREAD: AtomicBool = AtomicBool::new(false);

static IS_ATTACHED: AtomicBool = AtomicBool::new(false);

/// The last signal to stop that the process has received.
static RECEIVED: LazyLock<Arc<AtomicUsize>> = LazyLock::new(Arc::default);

/// How many signals to stop the thread knows of.
static STOPS: AtomicU32 = AtomicU32::new(0);

/// The last signal to stop that the thread knows of.
static LAST_STOP: AtomicI32 = AtomicI32::new(0);

/// How many signals to stop the loop has taken.
static TAKEN: AtomicU32 = AtomicU32::new(0);

/// When the loop took a SIGTERM.
static TERM_TAKEN: Mutex<LastTerm> = Mutex::new(LastTerm::NONE);

/// The last signal to stop that the loop has taken.
static LAST_TAKEN: AtomicI32 = AtomicI32::new(0);

/// Catches signals. To be called before anything that may block, and before other threads start.
pub(crate) fn start() -> io::Result<()> {
    LazyLock::force(&IGNORED);
    for signal in [SIGUSR1, SIGXFSZ] {
        flag::register(signal, Arc::default())?;
    }
    for signal in not_ignored(&STOPPING) {
        flag::register_conditional_shutdown(signal, SIGNALLED + signal, AT_ONCE.clone())?;
        flag::register_usize(signal, RECEIVED.clone(), signal as usize)?;
        // In this order: the next signal finds what this one has set, unless the loop has taken this one.
        // A loop that is stuck in one iteration takes none. The thread needs no such help. A SIGTERM may be
        // sent twice at once.
        if signal != SIGTERM {
            marks().push(flag::register(signal, AT_ONCE.clone())?);
        }
    }
    // Only now: a blocked signal that is pending arrives at once.
    unblock_all();
    Ok(())
}

/// Starts the thread, unless it runs already. To be called before there is anything to clean up.
pub(crate) fn start_thread() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| match spawn() {
        Ok(()) => {
            HAS_THREAD.store(true, Ordering::Release);
            for mark in marks().drain(..) {
                low_level::unregister(mark);
            }
            AT_ONCE.store(false, Ordering::Release);
        }
        // The handlers and the loop do what they can.
        Err(error) => log::debug!("there is no thread for signals: {error}"),
    });
}

fn spawn() -> io::Result<()> {
    let fatal = not_ignored(&FATAL).chain(not_ignored(&FATAL_ON_LINUX));
    let caught = not_ignored(&STOPPING).chain(fatal);
    let mut source = iterator::Signals::new(caught)?;
    let mut last_term = *term_taken();
    let run = move || {
        let signals = source.forever();
        // A second SIGTERM that it misses is still the loop's.
        let signals =
            signals.filter(|&signal| !last_term.is_repeated_by(signal, Instant::now(), AGAIN_LATE));
        signals.for_each(receive);
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(run).map(|_| ())
}

/// Those of `signals` that were not ignored when the program started.
fn not_ignored(signals: &[i32]) -> impl Iterator<Item = i32> {
    let is_ignored = |signal: i32| match *IGNORED {
        _ if signal == SIGTERM => false,
        Some(mask) => mask & (1 << (signal - 1)) != 0,
        None => signal == SIGHUP,
    };
    signals
        .iter()
        .copied()
        .filter(move |&signal| !is_ignored(signal))
}

/// See proc(5).
fn ignored() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// A parent may have blocked signals, and the mask is inherited.
#[cfg(target_os = "linux")]
fn unblock_all() {
    // Fails for no mask.
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

#[cfg(not(target_os = "linux"))]
const fn unblock_all() {}

fn term_taken() -> MutexGuard<'static, LastTerm> {
    TERM_TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `signal`, which the loop takes, is one with another that it has taken.
fn is_repeated(signal: i32) -> bool {
    term_taken().is_repeated_by(signal, Instant::now(), AGAIN)
}

/// What the thread does.
fn receive(signal: i32) {
    if !STOPPING.contains(&signal) {
        ending::end_by_default(signal);
    }
    LAST_STOP.store(signal, Ordering::Release);
    // Sequentially consistent, as in `detach`: either this thread or `detach` sees what the other
    // stored.
    let count = STOPS.fetch_add(1, Ordering::SeqCst) + 1;
    // The loop may have taken this signal and ended before this thread has run.
    let is_for_loop = IS_ATTACHED.load(Ordering::SeqCst) || count <= TAKEN.load(Ordering::SeqCst);
    if count > 2 || !is_for_loop {
        ending::exit(signal);
    }
    // The loop receives it as well.
    if count == 2 && !ending::exit_after(ABORT_WAIT, second_stop) {
        thread::sleep(ABORT_WAIT);
        ending::exit(second_stop());
    }
}

/// The second signal to stop. Signals that arrive before the thread runs come to it in the order of
/// their numbers. The loop may know the order.
fn second_stop() -> i32 {
    if TAKEN.load(Ordering::Acquire) >= 2 {
        LAST_TAKEN.load(Ordering::Acquire)
    } else {
        LAST_STOP.load(Ordering::Acquire)
    }
}

/// Signals as events of a loop, while it is attached.
pub(crate) struct Signals {
    source: Option<hook::Signals>,
    /// Some have come.
    pending: bool,
}

impl Signals {
    /// Of a loop that is not attached yet.
    pub(crate) const fn detached() -> Self {
        Self {
            source: None,
            pending: false,
        }
    }

    /// Attaches the loop of `reactor`. With `terminal` it receives SIGCONT as well.
    pub(crate) fn attach(&mut self, reactor: &Reactor, terminal: bool) -> io::Result<()> {
        let mut signals: Vec<i32> = not_ignored(&STOPPING).collect();
        signals.push(SIGUSR1);
        if terminal {
            signals.push(SIGCONT);
        }
        let mut source = hook::Signals::new(signals)?;
        let registry = reactor.registry();
        registry.register(&mut source, EXTERNAL, Interest::READABLE)?;
        self.source = Some(source);
        IS_ATTACHED.store(true, Ordering::SeqCst);
        AT_ONCE.store(false, Ordering::Release);
        // The loop does not receive a signal that came before its source was there, and the thread may
        // leave it to the loop.
        let received = RECEIVED.load(Ordering::SeqCst);
        if received != 0 && TAKEN.load(Ordering::SeqCst) == 0 {
            ending::exit(received as i32);
        }
        Ok(())
    }

    /// The loop was left: from now on a signal ends the program at once. So does one that came
    /// after the loop last took signals.
    pub(crate) fn detach(&mut self) {
        if self.source.is_none() {
            return;
        }
        start_thread();
        IS_ATTACHED.store(false, Ordering::SeqCst);
        let has_thread = HAS_THREAD.load(Ordering::Acquire);
        AT_ONCE.store(!has_thread, Ordering::Release);
        if let Some(signal) = self.not_taken() {
            ending::exit(signal);
        }
        self.source = None;
        if TAKEN.load(Ordering::Acquire) > 0 && !ending::exit_after(END_WAIT, second_stop) {
            // The next signal has to end it.
            log::debug!("the time limit of the end is not enforced: no thread can be started");
        }
    }

    /// A signal to stop that has come and that the loop has not taken.
    fn not_taken(&mut self) -> Option<i32> {
        let mut left = self.source.as_mut()?.pending();
        let signal = left.find(|&signal| STOPPING.contains(&signal) && !is_repeated(signal));
        signal.or_else(|| {
            let is_known = STOPS.load(Ordering::SeqCst) > TAKEN.load(Ordering::SeqCst);
            is_known.then(|| LAST_STOP.load(Ordering::Acquire))
        })
    }

    /// Whether `event` says that signals have come. They are to be taken then.
    #[inline]
    pub(crate) fn ready(&mut self, event: &Event) -> bool {
        let ours = event.token() == EXTERNAL;
        // Not `self.pending |= ours`: at opt-level 2 and 3, rustc 1.95 removes a comparison with a
        // constant whose result is used besides the branch (rust-lang/rust#158206). `pending` was
        // then always set, which cost two system calls per loop iteration.
        if ours {
            self.pending = true;
        }
        ours
    }

    /// Whether signals have come that were not taken yet.
    #[inline]
    pub(crate) const fn are_pending(&self) -> bool {
        self.pending
    }

    /// The signals that have come since this was last called, each once. Never blocks.
    #[cold]
    #[inline(never)]
    pub(crate) fn take(&mut self, registry: &Registry) -> Vec<i32> {
        self.pending = false;
        let Some(source) = &mut self.source else {
            return Vec::new();
        };
        let signals = source.pending();
        let signals = signals.filter(|&signal| !is_repeated(signal));
        let signals: Vec<i32> = signals.collect();
        // They are read without mio, and its `poll(2)` reports a source once until it sees a call
        // that would block. Where this can fail, in epoll(7), the source is watched still.
        let again = registry.reregister(source, EXTERNAL, Interest::READABLE);
        if let Err(error) = again {
            log::debug!("signals are not watched any more: {error}");
        }
        let is_stop = |signal: &&i32| STOPPING.contains(signal);
        let stops = signals.iter().filter(is_stop).count() as u32;
        let Some(&last) = signals.iter().rfind(is_stop) else {
            return signals;
        };
        LAST_TAKEN.store(last, Ordering::Release);
        let before = TAKEN.fetch_add(stops, Ordering::SeqCst);
        if before < 2 && before + stops >= 2 && !ending::exit_after(ABORT_WAIT, second_stop) {
            log::debug!("the time limit of the abort is not enforced: no thread can be started");
        }
        if !HAS_THREAD.load(Ordering::Acquire) {
            LAST_STOP.store(last, Ordering::Release);
            STOPS.fetch_add(stops, Ordering::SeqCst);
            start_thread();
            // Also if there is no thread.
            AT_ONCE.store(false, Ordering::Release);
        }
        signals
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Such as one that arrives while the loop does its last work.
    #[test]
    fn signal_that_the_loop_has_not_taken_is_found_when_it_is_left() {
        let reactor = Reactor::new().unwrap();
        let mut signals = Signals::detached();
        signals.attach(&reactor, false).unwrap();
        low_level::raise(SIGUSR1).unwrap();
        assert_eq!(signals.not_taken(), None);
        // SIGINT may be ignored where the tests run.
        low_level::raise(SIGTERM).unwrap();
        assert_eq!(signals.not_taken(), Some(SIGTERM));
        // Dropped without `detach`, which would end the tests.
        signals.source = None;
    }
}
