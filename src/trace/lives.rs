//! When connections were open, and which of a server's was a client's.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::reader::Trace;
use crate::probe::What;
use crate::service::ClientId;

/// How much earlier a server may know of a connection than the client whose attempt it is, in nanoseconds: the client
/// may have been at work.
const EARLIER_MAX: u64 = 100_000_000;

/// A connection, from when it came to be until it was over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) who: ClientId,
    pub(super) client: SocketAddr,
    pub(super) opened: u64,
    pub(super) closed: u64,
}

/// All connections of a trace, in no order.
pub(super) fn lives(trace: &Trace) -> Vec<Life> {
    let mut lives = Vec::new();
    let mut known: HashSet<ClientId> = HashSet::new();
    for record in &trace.records {
        let (Some(who), What::Close { .. }) = (record.who, record.what) else {
            continue;
        };
        if let Some(&client) = trace.clients.get(&who) {
            known.insert(who);
            lives.push(Life {
                who,
                client,
                opened: record.at,
                closed: record.at + record.took,
            });
        }
    }
    // Those whose end is not in the trace.
    for record in &trace.records {
        if let (Some(who), What::Open { client }) = (record.who, record.what)
            && known.insert(who)
        {
            lives.push(Life {
                who,
                client,
                opened: record.at,
                closed: u64::MAX,
            });
        }
    }
    lives
}

/// Finds the server's end of a client's connection.
#[derive(Debug)]
pub(super) struct OtherEnds {
    /// The connections of the server, by the client's address and then by when they were opened.
    served: HashMap<SocketAddr, Vec<Life>>,
    found: HashMap<ClientId, Option<ClientId>>,
    /// How many connections of the server were looked at. A trace may have one address only, so a search
    /// must not look at all of them.
    pub(super) looked_at: u64,
}

impl OtherEnds {
    pub(super) fn new(server: &Trace) -> Self {
        let mut served: HashMap<SocketAddr, Vec<Life>> = HashMap::new();
        for life in lives(server) {
            served.entry(life.client).or_default().push(life);
        }
        for all in served.values_mut() {
            all.sort_by_key(|life| life.opened);
        }
        Self {
            served,
            found: HashMap::new(),
            looked_at: 0,
        }
    }

    /// The server's end of the connection `life` of a client. An address is used again, by later connections or to
    /// another server: it is the one that was accepted while the client was there, and nearest to when it came.
    pub(super) fn of(&mut self, life: Life) -> Option<ClientId> {
        let Self {
            served,
            found,
            looked_at,
        } = self;
        *found.entry(life.who).or_insert_with(|| {
            let all = served.get(&life.client)?;
            let after = all.partition_point(|other| {
                *looked_at += 1;
                other.opened < life.opened
            });
            let from = life.opened.saturating_sub(EARLIER_MAX);
            let before = all[..after].last().filter(|other| other.opened >= from);
            let next = all.get(after).filter(|other| other.opened <= life.closed);
            let nearest = before
                .into_iter()
                .chain(next)
                .min_by_key(|other| other.opened.abs_diff(life.opened));
            nearest.map(|other| other.who)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Record, Role};

    /// Connections that follow each other from one address.
    fn trace(connections: u64) -> Trace {
        let client = ([127, 0, 0, 1], 7).into();
        let record = |at, number, what| Record {
            at,
            took: 10,
            who: Some(ClientId::new(number << 32)),
            what,
        };
        let open =
            (0..connections).map(|number| record(100 * number, number, What::Open { client }));
        let reason = "closed";
        // Every other one has no end in the trace.
        let closed = (0..connections).step_by(2);
        let close = closed.map(|number| record(100 * number, number, What::Close { reason }));
        Trace {
            role: Role::Server,
            name: String::new(),
            process: 1,
            records: open.chain(close).collect(),
            clients: (0..connections)
                .map(|number| (ClientId::new(number << 32), client))
                .collect(),
            slots: vec![0],
            dropped: 0,
            overflows: None,
            complete: true,
        }
    }

    #[test]
    fn work_per_connection_grows_with_the_logarithm_of_their_number() {
        for connections in [100, 10_000] {
            let trace = trace(connections);
            let all = lives(&trace);
            assert_eq!(all.len() as u64, connections);
            let mut other_ends = OtherEnds::new(&trace);
            for _ in 0..3 {
                for &life in &all {
                    assert_eq!(other_ends.of(life), Some(life.who));
                }
            }
            let most = connections * (u64::from(connections.ilog2()) + 2);
            let looked_at = other_ends.looked_at;
            assert!(
                looked_at <= most,
                "{looked_at} of {most} for {connections} connections"
            );
        }
    }
}
