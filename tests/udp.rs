//! Datagrams over real sockets on loopback.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use echoloop::Config;
use echoloop::connection::Reply;
use echoloop::server::Address;
use echoloop::service::{ClientId, Echo, Service};
use support::serving::{DEADLINE, Serving, config, eventually, payload, round_trip};

/// A socket on loopback that talks to `server` and gives up after the deadline.
fn client(server: SocketAddr) -> UdpSocket {
    let any: SocketAddr = if server.is_ipv4() {
        ([127, 0, 0, 1], 0).into()
    } else {
        "[::1]:0".parse().unwrap()
    };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).unwrap();
    receive(socket)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut answer = vec![0; 70_000];
    let size = socket.recv(&mut answer).unwrap();
    answer.truncate(size);
    answer
}

fn pure_echo() -> Config {
    Config {
        udp_suffix: Vec::new(),
        ..config()
    }
}

#[test]
fn the_reply_is_the_text_and_the_suffix() {
    let serving = Serving::start(config(), Echo);
    let socket = client(serving.udp[0]);
    assert_eq!(ask(&socket, b"hello"), b"hello| lee");
    assert_eq!(ask(&socket, "你好".as_bytes()), "你好| lee".as_bytes());
    let counters = serving.finish().datagrams;
    assert_eq!((counters.received, counters.answered), (2, 2));
    assert_eq!((counters.received_bytes, counters.sent_bytes), (11, 21));
}

/// Pitfall 48: the documents' `recvfrom(1024)`: what is longer is cut, and counted.
#[test]
fn pitfall_48_sizes_around_recv_size_and_the_largest_datagram() {
    let serving = Serving::start(config(), Echo);
    let socket = client(serving.udp[0]);
    for size in [1, 1023, 1024, 1025, 65_507] {
        let sent = payload(size, size as u64);
        let expected = [&sent[..size.min(1024)], b"| lee"].concat();
        assert_eq!(ask(&socket, &sent), expected, "{size} bytes");
    }
    assert_eq!(serving.finish().datagrams.cut, 2);

    let config = Config {
        recv_size: (64 * 1024).try_into().unwrap(),
        ..pure_echo()
    };
    let serving = Serving::start(config, Echo);
    let socket = client(serving.udp[0]);
    let sent = payload(65_507, 48);
    assert_eq!(ask(&socket, &sent), sent);
    assert_eq!(serving.finish().datagrams.cut, 0);
}

/// Pitfall 49: an empty datagram is a datagram.
#[test]
fn pitfall_49_an_empty_datagram_is_answered() {
    let serving = Serving::start(config(), Echo);
    let socket = client(serving.udp[0]);
    assert_eq!(ask(&socket, b""), b"| lee");
    assert_eq!(ask(&socket, b"on"), b"on| lee");
    serving.finish();

    let serving = Serving::start(pure_echo(), Echo);
    let socket = client(serving.udp[0]);
    assert_eq!(ask(&socket, b""), b"");
    assert_eq!(serving.finish().datagrams.answered, 1);
}

/// Pitfall 50: a client that is gone when its answer comes makes an error, of which the next ones
/// must not be the victims.
#[test]
fn pitfall_50_answers_to_closed_ports_do_not_end_the_service() {
    let serving = Serving::start(config(), Echo);
    // First, so that it does not get the port, and the reply, of one that is gone.
    let socket = client(serving.udp[0]);
    for _ in 0..200 {
        client(serving.udp[0]).send(b"and away").unwrap();
    }
    assert_eq!(ask(&socket, b"still there?"), b"still there?| lee");
    serving.finish();
}

/// Pitfall 51: an answer that can't be sent is dropped and counted, and the next one is sent.
#[test]
fn pitfall_51_an_answer_too_large_for_a_datagram_is_counted() {
    let config = Config {
        recv_size: (64 * 1024).try_into().unwrap(),
        ..config()
    };
    let serving = Serving::start(config, Echo);
    let socket = client(serving.udp[0]);
    socket.send(&[b'x'; 65_507]).unwrap();
    assert_eq!(ask(&socket, b"next"), b"next| lee");
    let counters = serving.finish().datagrams;
    assert_eq!((counters.send_errors, counters.answered), (1, 1));
}

/// Pitfall 52: more datagrams than a budget, and TCP clients beside them.
#[test]
fn pitfall_52_a_burst_of_datagrams_does_not_starve_tcp() {
    let config = Config {
        datagram_budget: 4,
        ..config()
    };
    let serving = Serving::start(config, Echo);
    let (socket, neighbour) = (client(serving.udp[0]), serving.connect());
    for _ in 0..20 {
        for _ in 0..100 {
            socket.send(b"burst").unwrap();
        }
        round_trip(&neighbour, b"ping");
        for _ in 0..100 {
            assert_eq!(receive(&socket), b"burst| lee");
        }
    }
    drop(neighbour);
    let counters = serving.finish().datagrams;
    assert_eq!(counters.answered, 2_000);
    assert!(counters.yields > 0, "the budget was never spent");
}

#[test]
fn an_answer_is_not_answered_unless_asked_for() {
    let serving = Serving::start(config(), Echo);
    let socket = client(serving.udp[0]);
    socket.send(b"hello| lee").unwrap();
    assert_eq!(
        ask(&socket, b"hello"),
        b"hello| lee",
        "the first got no answer"
    );
    assert_eq!(serving.finish().datagrams.refused.answer, 1);

    let config = Config {
        udp_answer_replies: true,
        ..config()
    };
    let serving = Serving::start(config, Echo);
    assert_eq!(
        ask(&client(serving.udp[0]), b"hello| lee"),
        b"hello| lee| lee"
    );
    serving.finish();
}

/// The guard judges what was sent, not what the service would see of it.
#[test]
fn an_answer_is_known_by_its_end_however_long_it_is() {
    let serving = Serving::start(config(), Echo);
    let socket = client(serving.udp[0]);
    socket
        .send(&[&[b'x'; 3000][..], b"| lee"].concat())
        .unwrap();
    assert_eq!(
        ask(&socket, b"hello"),
        b"hello| lee",
        "the first got no answer"
    );
    assert_eq!(serving.finish().datagrams.refused.answer, 1);
}

/// Another echo service on our port, on another address, is no client.
#[test]
fn a_source_with_a_port_of_our_own_is_refused() {
    let serving = Serving::start(config(), Echo);
    let twin = UdpSocket::bind(("127.0.0.2", serving.udp[0].port())).unwrap();
    twin.send_to(b"hello", serving.udp[0]).unwrap();
    assert_eq!(ask(&client(serving.udp[0]), b"hello"), b"hello| lee");
    assert_eq!(serving.finish().datagrams.refused.bad_port, 1);
}

/// A forged datagram makes two servers talk to each other. Here a relay between them forges the
/// sources: whatever one says, it passes on to the other as its own.
fn packets_of_a_loop(config: &Config) -> u64 {
    let servers = [
        Serving::start(config.clone(), Echo),
        Serving::start(config.clone(), Echo),
    ];
    packets_between(&servers, &[b"ping"])
}

/// As many packets as two servers send each other after some forged ones.
fn packets_between(servers: &[Serving; 2], forged: &[&[u8]]) -> u64 {
    let relay = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    relay
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    for datagram in forged {
        relay.send_to(datagram, servers[0].udp[0]).unwrap();
    }
    let mut packet = vec![0; 70_000];
    let mut packets = 0;
    // The loop has ended when nothing has come for a while; if it never ended, the count would say.
    while packets < 100_000 {
        let Ok((size, from)) = relay.recv_from(&mut packet) else {
            break;
        };
        packets += 1;
        let to = usize::from(from == servers[0].udp[0]);
        relay.send_to(&packet[..size], servers[to].udp[0]).unwrap();
    }
    packets
}

#[test]
fn a_loop_between_two_servers_ends_at_the_first_answer_by_default() {
    let packets = packets_of_a_loop(&config());
    println!("proof: {packets} packets for one spoofed datagram");
    assert_eq!(packets, 1);
}

#[test]
fn a_loop_of_pure_echoes_ends_at_the_loop_limit() {
    let config = Config {
        udp_loop_limit: Some(50),
        ..pure_echo()
    };
    // Each of the two has answered fifty, less the one that was refused first.
    assert_eq!(packets_of_a_loop(&config), 100);
}

#[test]
fn several_datagrams_in_one_loop_end_too() {
    let config = Config {
        udp_loop_limit: Some(50),
        ..pure_echo()
    };
    let servers = [
        Serving::start(config.clone(), Echo),
        Serving::start(config, Echo),
    ];
    assert_eq!(packets_between(&servers, &[b"ping", b"pong", b"pang"]), 300);
}

#[test]
fn a_loop_of_pure_echoes_is_held_to_the_rate_when_one_is_given() {
    let config = Config {
        udp_rate: Some(20),
        ..pure_echo()
    };
    let packets = packets_of_a_loop(&config);
    assert!((20..200).contains(&packets), "{packets}");
}

/// Pitfall 54: an address must be handed to the kernel as what it is, whichever of two kinds.
#[test]
fn pitfall_54_both_families_are_answered_from_one_port() {
    let mut config = Config {
        udp_public: true,
        ..Config::new()
    };
    config.udp.push(Address::Everywhere(0));
    let serving = Serving::start(config, Echo);
    let port = serving.udp[0].port();
    assert_eq!(
        ask(&client(([127, 0, 0, 1], port).into()), b"four"),
        b"four| lee"
    );
    if serving.udp.len() == 2 {
        assert_eq!(serving.udp[1].port(), port);
        assert_eq!(
            ask(&client(format!("[::1]:{port}").parse().unwrap()), b"six"),
            b"six| lee"
        );
    }
    serving.finish();
}

/// Pitfall 53: whoever asks one address of a machine that has several must be answered by that one.
#[cfg(all(target_os = "linux", feature = "batch"))]
#[test]
fn pitfall_53_a_server_at_every_address_answers_from_the_one_that_was_asked() {
    let config = Config {
        tcp: Vec::new(),
        udp: vec![Address::Everywhere(0)],
        udp_public: true,
        ..pure_echo()
    };
    let serving = Serving::start(config, Echo);
    let port = serving.udp[0].port();
    let here = |last| SocketAddr::from(([127, 0, 0, last], port));
    for server in [
        here(1),
        here(2),
        here(77),
        format!("[::1]:{port}").parse().unwrap(),
    ] {
        // A connected socket takes an answer from nowhere else.
        assert_eq!(ask(&client(server), b"hello"), b"hello", "{server}");
    }
    // Many at once, which are answered together.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let asked = |number: usize| here(2 + (number / 3 % 4) as u8);
    for number in 0..120 {
        socket
            .send_to(format!("{number:03}").as_bytes(), asked(number))
            .unwrap();
    }
    let mut answer = [0; 99];
    for number in 0..120 {
        let (size, from) = socket.recv_from(&mut answer).unwrap();
        let expected = (format!("{number:03}").into_bytes(), asked(number));
        assert_eq!((answer[..size].to_vec(), from), expected);
    }
    assert_eq!(serving.finish().datagrams.answered, 124);
}

/// More datagrams than a receive buffer holds.
const MANY: u64 = 8_000;

/// Waits for a word once it has heard a datagram.
struct Waiting(Option<Receiver<()>>);

impl Service for Waiting {
    fn receive(&mut self, _: ClientId, _: &[u8], reply: &mut Reply<'_>) {
        reply.echo();
    }

    fn overhear(&mut self, _: SocketAddr, _: &[u8]) {
        if let Some(wake) = self.0.take() {
            wake.recv().unwrap();
        }
    }
}

/// A server that receives nothing after its first datagrams until it is sent a word.
fn serving_that_waits() -> (Serving, Sender<()>) {
    let (wake, woken) = mpsc::channel();
    let serving = Serving::start(pure_echo(), Waiting(Some(woken)));
    (serving, wake)
}

/// Only the next datagram that is received has the count of those that the kernel has dropped before.
#[cfg(target_os = "linux")]
#[test]
fn dropped_datagrams_are_counted_if_none_follows() {
    let (serving, wake) = serving_that_waits();
    let socket = client(serving.udp[0]);
    for _ in 0..MANY {
        socket.send(&[7; 1000]).unwrap();
    }
    serving.stop.drain().unwrap();
    wake.send(()).unwrap();
    let counters = serving.finish().datagrams;
    assert_eq!(
        counters.received + counters.overflowed,
        MANY,
        "{counters:?}"
    );
    assert!(counters.overflowed > 0, "{counters:?}");
}

/// Pitfall 55: what the kernel drops for want of room is seen nowhere, unless one asks.
#[cfg(all(target_os = "linux", feature = "batch"))]
#[test]
fn pitfall_55_datagrams_that_there_was_no_room_for_are_counted() {
    let (serving, wake) = serving_that_waits();
    let socket = client(serving.udp[0]);
    for _ in 0..MANY {
        socket.send(&[7; 1000]).unwrap();
    }
    wake.send(()).unwrap();
    eventually("the last is answered", || {
        socket.send(b"last").unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut answer = [0; 2000];
        while let Ok(size) = socket.recv(&mut answer) {
            if &answer[..size] == b"last" {
                return true;
            }
        }
        false
    });
    let counters = serving.finish().datagrams;
    assert!(counters.overflowed > 0, "{counters:?}");
    assert!(
        counters.received + counters.overflowed > MANY,
        "{counters:?}"
    );
}

#[test]
fn what_was_received_before_a_drain_is_answered() {
    let serving = Serving::start(config(), Echo);
    let socket = client(serving.udp[0]);
    for _ in 0..50 {
        socket.send(b"in time").unwrap();
    }
    serving.stop.drain().unwrap();
    for _ in 0..50 {
        assert_eq!(receive(&socket), b"in time| lee");
    }
    eventually("the server ends", || serving.has_ended());
    serving.finish();
}
