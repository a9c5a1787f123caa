//! The end of a run: every message ends.

use crate::load::connections::close::end_of_run;
use crate::load::connections::pending::PendingQueue;
use crate::load::connections::slots::{Socket, SocketSlots};
use crate::load::datagrams::payload::is_numbered;
use crate::load::host::Host;
use crate::load::result::overflow::{Drops, inodes};
use crate::load::shared::Shared;

/// The run is over at `now`: messages in flight, and those still due, end in the state that applies. `drops_before`: how many
/// datagrams the kernel had dropped at our sockets when the measuring began.
pub(crate) fn finish<H: Host>(
    slots: &mut SocketSlots<H>,
    pending: &mut PendingQueue,
    drops_before: &Drops,
    shared: &mut Shared<H>,
    now: u64,
) {
    shared.recorder.ended = now;
    let inodes_by_server = slots.inodes_by_server();
    let mut jitters = 0.0;
    for key in slots.keys() {
        let Some(slot) = slots.get_mut(key) else {
            continue;
        };
        match &mut slot.socket {
            Socket::Stream(connection) => end_of_run(connection, shared, now),
            Socket::Flow(flow) => {
                flow.abandon(shared, now);
                shared.recorder.datagrams().sent += flow.moved()[1];
                jitters += flow.jitter.get();
            }
        }
        shared.give_up_unsent(slot.socket.pacer_mut(), now);
    }
    for pacer in pending.pacers_mut() {
        shared.give_up_unsent(pacer, now);
    }
    if shared.recorder.outcome.gave_up.is_some() {
        // They were meant for no server in particular.
        let left = shared.schedule.left.unwrap_or(0);
        let messages = &mut shared.recorder.outcome.messages;
        messages.offered += left;
        messages.never_sent += left;
    }
    if let Some(datagrams) = &mut shared.recorder.outcome.udp {
        datagrams.numbered = is_numbered(&shared.plan);
        datagrams.jitter_ns = (jitters / shared.plan.connections as f64).round() as u64;
        let dropped = shared.host.dropped_datagrams(&inodes(&inodes_by_server));
        drops_before.count_overflow(&inodes_by_server, dropped.as_ref(), &mut shared.recorder);
    }
}
