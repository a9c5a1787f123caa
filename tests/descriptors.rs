//! Running out of descriptors, with the time stopped: a process of its own, whose limit can be lowered.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use echoloop::reactor::{Event, Handler, Next, Registry};
use echoloop::service::Echo;
use echoloop::{Reactor, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::serving::{config, connect, eventually};

/// A server for which no time passes, so that no deadline can come to its rescue.
struct Timeless(Server<Echo>, Instant);

impl Handler for Timeless {
    fn ready(&mut self, event: &Event) {
        self.0.ready(event);
    }

    fn turn(&mut self, registry: &Registry, _now: Instant) -> Next {
        self.0.turn(registry, self.1)
    }
}

/// The limit is the process's: one test at a time.
static LIMIT: Mutex<()> = Mutex::new(());

/// Thirty clients that have sent a byte and wait to be accepted.
fn clients(address: SocketAddr) -> Vec<TcpStream> {
    let connect = || {
        let client = connect(address);
        (&client).write_all(b"x").unwrap();
        client.set_nonblocking(true).unwrap();
        client
    };
    (0..30).map(|_| connect()).collect()
}

/// Lets this process have `more` descriptors than it has now. Returns the limit that was.
fn limit_descriptors(more: u64) -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(open + more),
            ..before
        },
    )
    .unwrap();
    before
}

/// Whether a byte has come for a client, which is then served.
fn is_served(client: &TcpStream) -> bool {
    match (&mut &*client).read(&mut [0; 1]) {
        Ok(1) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        other => panic!("{other:?}"),
    }
}

/// Pitfall 30: when a client leaves, those who wait are let in at once: by no deadline, and with nobody
/// new knocking.
#[test]
fn pitfall_30_who_waits_for_a_descriptor_gets_it_when_a_client_leaves() {
    let _limit = LIMIT.lock();
    let mut reactor = Reactor::new().unwrap();
    let server = Server::bind(&reactor, config(), Echo).unwrap();
    let (address, stop) = (server.tcp_addresses()[0], server.stop());
    let mut waiting = clients(address);
    let before = limit_descriptors(10);

    let server = thread::spawn(move || {
        let mut timeless = Timeless(server, Instant::now());
        reactor.run(&mut timeless).unwrap();
        timeless.0.counters()
    });
    let mut inside = Vec::new();
    while !waiting.is_empty() {
        let before = inside.len();
        eventually("somebody is let in", || {
            let (served, rest) = std::mem::take(&mut waiting)
                .into_iter()
                .partition(is_served);
            waiting = rest;
            inside.extend::<Vec<TcpStream>>(served);
            inside.len() > before
        });
        // Its two descriptors, ours and the server's, are for those who wait.
        inside.pop();
    }
    drop(inside);
    stop.abort().unwrap();
    let counters = server.join().unwrap();
    assert_eq!(counters.clients.accepted, 30);
    assert!(counters.clients.accept_pauses > 0, "{counters:?}");
    setrlimit(Resource::Nofile, before).unwrap();
}

/// Pitfall 30: descriptors that come back from elsewhere are noticed too, by a deadline.
#[test]
fn pitfall_30_who_waits_for_a_descriptor_gets_it_when_there_are_some_again() {
    let _limit = LIMIT.lock();
    let mut reactor = Reactor::new().unwrap();
    let mut server = Server::bind(&reactor, config(), Echo).unwrap();
    let (address, stop) = (server.tcp_addresses()[0], server.stop());
    let clients = clients(address);
    let before = limit_descriptors(10);
    let server = thread::spawn(move || {
        reactor.run(&mut server).unwrap();
        server.counters()
    });
    // All are kept, so nobody leaves.
    let mut served = vec![false; clients.len()];
    let mut serve = |at_least: usize| {
        for (served, client) in served.iter_mut().zip(&clients) {
            *served |= !*served && is_served(client);
        }
        served.iter().filter(|served| **served).count() >= at_least
    };
    eventually("some are let in", || serve(8));
    setrlimit(Resource::Nofile, before).unwrap();
    eventually("all are let in", || serve(30));
    stop.abort().unwrap();
    let counters = server.join().unwrap();
    assert!(counters.clients.accept_pauses > 0, "{counters:?}");
}
