//! How much one loop iteration does, over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use echoloop::probe::Recorder;
use echoloop::reactor::{EVENTS_PER_POLL, Event, Handler, Next, Registry, monotonic};
use echoloop::server::{Config, Honest, Stop};
use echoloop::service::Echo;
use echoloop::{Reactor, Server};
use socket2::SockRef;
use support::serving::{DEADLINE, config, connect};

const CLIENTS: usize = 600;

/// Less than one client may move in an iteration, so that none yields.
const BURST: usize = 60_000;

/// What the iteration that did most has done.
#[derive(Clone, Copy, Debug, Default)]
struct Most {
    bytes: u64,
    calls: u64,
}

/// A server that is observed after each iteration, and that pauses once all clients have connected.
struct Observed {
    server: Server<Echo, Honest, Recorder>,
    all_connected: Sender<()>,
    burst_is_sent: Option<Receiver<()>>,
    most: Most,
}

impl Handler for Observed {
    fn ready(&mut self, event: &Event) {
        self.server.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        let next = self.server.turn(registry, now);
        let figures = self.server.probe_mut().take_figures();
        let calls = figures.reads + figures.writes + figures.accepted;
        self.most.bytes = self.most.bytes.max(figures.bytes_in + figures.bytes_out);
        self.most.calls = self.most.calls.max(calls);
        if self.server.counters().clients.accepted == CLIENTS as u64
            && let Some(burst_is_sent) = self.burst_is_sent.take()
        {
            self.all_connected.send(()).unwrap();
            burst_is_sent.recv_timeout(DEADLINE).unwrap();
        }
        next
    }
}

/// Sends without waiting for the server, as much as the kernel takes.
fn send_burst(mut client: &TcpStream) -> usize {
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < BURST {
        match client.write(&vec![b'x'; BURST - sent]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    client.set_nonblocking(false).unwrap();
    sent
}

/// Serves a burst with `config`, after each client has done `first`, and checks the iteration that
/// did most.
fn check_burst(config: Config, first: fn(&TcpStream)) {
    let (all_connected, is_ready) = mpsc::channel();
    let (go_on, burst_is_sent) = mpsc::channel();
    let (bound, address) = mpsc::channel();
    let (budget, read_budget) = (config.iteration_budget as u64, config.read_budget as u64);
    let read_ahead = config.read_ahead.get();
    let server = thread::spawn(move || {
        let mut reactor = Reactor::new().unwrap();
        let recorder = Recorder::new(monotonic, EVENTS_PER_POLL);
        let server = Server::bind_with(&reactor, config, Echo, Honest, recorder).unwrap();
        let stop: Stop = server.stop();
        bound.send((server.tcp_addresses()[0], stop)).unwrap();
        let mut observed = Observed {
            server,
            all_connected,
            burst_is_sent: Some(burst_is_sent),
            most: Most::default(),
        };
        reactor.run(&mut observed).unwrap();
        (observed.most, observed.server.counters())
    });
    let (address, stop) = address.recv_timeout(DEADLINE).unwrap();
    let clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(address)).collect();
    clients.iter().for_each(first);
    is_ready.recv_timeout(DEADLINE).unwrap();
    let sent: Vec<usize> = clients.iter().map(send_burst).collect();
    go_on.send(()).unwrap();
    for (mut client, &sent) in clients.iter().zip(&sent) {
        client.read_exact(&mut vec![0; sent]).unwrap();
    }
    stop.drain().unwrap();
    drop(clients);
    let (most, counters) = server.join().unwrap();
    let total: usize = sent.iter().sum();
    assert!(
        total as u64 > 2 * budget,
        "too little to prove anything: {total} bytes"
    );
    // The last client of each queue may move as much as one client is allowed to.
    let overrun = 3 * 2 * (read_budget + read_ahead as u64);
    assert!(most.bytes <= budget + overrun, "{most:?}");
    assert!(most.bytes > budget / 4, "the budget was used: {most:?}");
    // A read, a write and one that finds nothing more for each client that the budget is for, and two
    // for each part of what they may move.
    let parts = (budget + overrun) / read_ahead as u64;
    let calls = (budget / (4 * 1024) + 3) * 3 + parts + 64;
    assert!(most.calls <= calls, "{most:?}, and {calls} are allowed");
    assert!(counters.clients.full_iterations > 0, "{counters:?}");
}

#[test]
fn burst_of_600_clients_is_served_in_iterations_of_bounded_bytes_and_system_calls() {
    check_burst(config(), |_| ());
}

#[test]
fn iterations_are_bounded_if_reads_are_smaller_than_the_budget_of_a_client() {
    let mut config = config();
    config.read_ahead = 6000.try_into().unwrap();
    check_burst(config, |_| ());
}

/// After urgent data, a short read does not prove that nothing is left, and another one follows.
#[test]
fn iterations_are_bounded_if_clients_have_sent_urgent_data() {
    check_burst(config(), |client| {
        assert_eq!(SockRef::from(client).send_out_of_band(b"!").unwrap(), 1);
    });
}

/// Counts the datagrams of each iteration.
struct Receiving {
    server: Server<Echo, Honest, Recorder>,
    most: u64,
    left: u64,
    deadline: Instant,
}

impl Handler for Receiving {
    fn ready(&mut self, event: &Event) {
        self.server.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        let next = self.server.turn(registry, now);
        let received = self.server.probe_mut().take_figures().datagrams_in;
        self.most = self.most.max(received);
        self.left -= received;
        assert!(now < self.deadline, "{} datagrams are missing", self.left);
        match next {
            _ if self.left == 0 => Next::Stop,
            Next::Wait(None) => Next::until(Some(self.deadline), now),
            next => next,
        }
    }
}

#[test]
fn datagrams_of_all_sockets_are_bounded_by_the_budget_of_an_iteration() {
    const EACH: u64 = 100;
    for (sockets, budget, most) in [(1, 1_000_000_000, 16), (2, 1_000_000_000, 16), (2, 4, 8)] {
        let mut config = config();
        config.udp = vec!["127.0.0.1:0".parse::<SocketAddr>().unwrap().into(); sockets];
        (config.iteration_budget, config.datagram_budget) = (64 * 1024, budget);
        let mut reactor = Reactor::new().unwrap();
        let recorder = Recorder::new(monotonic, EVENTS_PER_POLL);
        let server = Server::bind_with(&reactor, config, Echo, Honest, recorder).unwrap();
        // They wait in the kernel until the loop runs.
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for address in server.udp_addresses() {
            for _ in 0..EACH {
                client.send_to(b"x", address).unwrap();
            }
        }
        let mut receiving = Receiving {
            server,
            most: 0,
            left: EACH * sockets as u64,
            deadline: Instant::now() + DEADLINE,
        };
        reactor.run(&mut receiving).unwrap();
        assert_eq!(receiving.most, most, "{sockets} sockets, {budget}");
    }
}
