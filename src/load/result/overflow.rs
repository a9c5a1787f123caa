//! Datagrams that our own sockets had no room for.

use std::collections::{HashMap, HashSet};

use crate::load::result::recorder::Recorder;

/// How many datagrams the kernel had dropped at each of our sockets when the measuring began, by inode.
#[derive(Debug, Default)]
pub(crate) struct Drops(HashMap<u64, u32>);

impl Drops {
    /// The measuring begins, and the kernel has dropped this many at each of our sockets so far.
    pub(crate) fn begin(&mut self, dropped: Option<HashMap<u64, u32>>) {
        self.0 = dropped.unwrap_or_default();
    }

    /// The run is over, and the kernel has `dropped` this many at each of our `sockets`, each of which
    /// sent to one server: of the datagrams without a reply, those whose replies were dropped since the
    /// beginning are not lost in the network.
    pub(crate) fn count_overflow(
        &self,
        sockets: &[(u64, u32)],
        dropped: Option<&HashMap<u64, u32>>,
        recorder: &mut Recorder,
    ) {
        for (inode, server) in sockets {
            let now = dropped.and_then(|dropped| dropped.get(inode));
            let before = self.0.get(inode).copied().unwrap_or(0);
            let messages = &mut recorder.outcome.servers[*server as usize].messages;
            let overflowed = now.map_or(0, |now| u64::from(now.wrapping_sub(before)));
            let overflowed = messages.lost.min(overflowed);
            messages.lost -= overflowed;
            messages.local_overflow += overflowed;
        }
        if let Some(datagrams) = &mut recorder.outcome.udp {
            datagrams.overflow =
                dropped.map(|dropped| dropped.values().copied().map(u64::from).sum());
        }
    }
}

/// The inodes of a list of inodes and servers.
pub(crate) fn inodes(inodes_by_server: &[(u64, u32)]) -> HashSet<u64> {
    inodes_by_server.iter().map(|(inode, _)| *inode).collect()
}
