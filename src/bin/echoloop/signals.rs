//! Signals, as events of a loop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use echoloop::reactor::{EXTERNAL, Event, Interest, Registry};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;
use signal_hook_mio::v1_0 as hook;

use crate::SIGNALLED;

/// Signals that are caught, until this is dropped.
pub(crate) struct Signals {
    source: hook::Signals,
    /// Some have come.
    pending: bool,
}

impl Signals {
    /// Catches `signals`, as events of the loop whose `registry` this is.
    pub(crate) fn new(registry: &Registry, signals: &[i32]) -> io::Result<Self> {
        let mut source = hook::Signals::new(signals)?;
        registry.register(&mut source, EXTERNAL, Interest::READABLE)?;
        Ok(Self {
            source,
            pending: false,
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

    /// Those that have come since this was last asked, each once. Never blocks.
    #[inline]
    pub(crate) fn take(&mut self, registry: &Registry) -> Vec<i32> {
        if std::mem::take(&mut self.pending) {
            self.read(registry)
        } else {
            Vec::new()
        }
    }

    fn read(&mut self, registry: &Registry) -> Vec<i32> {
        let signals = self.source.pending().collect();
        // They are read behind mio's back, and its `poll(2)` tells of a source once until it sees a call that would block. Where
        // this can fail, in epoll(7), the source is watched still.
        let again = registry.reregister(&mut self.source, EXTERNAL, Interest::READABLE);
        if let Err(error) = again {
            log::debug!("signals are not watched anew: {error}");
        }
        signals
    }
}

/// From now on SIGINT and SIGTERM end the program at once: no loop looks at them any more.
pub(crate) fn end_at_once() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        register_conditional_shutdown(signal, SIGNALLED + signal, always)?;
    }
    Ok(())
}
