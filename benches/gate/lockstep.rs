//! The other side of `echoloop`: a client or a server that proceeds in lockstep with it.
//!
//! In each round one message goes back and forth on every connection. With more than one
//! connection, `echoloop` is stopped while the messages of a round are sent. It then finds all of
//! them in one poll, on a busy machine too, so that its counts are the same each time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

use crate::watched::{DEADLINE, Tool, Watched};

/// Bytes of a message.
const MESSAGE: usize = 64;

/// Runs `serve` with `connections` clients for `rounds`, and returns the report of `tool`.
pub(crate) fn serve(tool: Tool, connections: usize, rounds: usize) -> String {
    let (server, address) = start_server(tool);
    let before = server.descriptors();
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| connect(&address)).collect();
    server.wait_until(|server| server.descriptors() >= before + connections && server.is_asleep());
    for _ in 0..rounds {
        send(&server, &mut streams, &vec![[b'e'; MESSAGE]; connections]);
        let replies = receive(&mut streams);
        assert!(replies.iter().all(|reply| *reply == [b'e'; MESSAGE]));
    }
    server.signal(Signal::TERM);
    drop(streams);
    server.end()
}

/// Starts `serve`, and returns where it listens.
pub(crate) fn start_server(tool: Tool) -> (Watched, String) {
    let arguments = ["-q", "serve", "--tcp", "127.0.0.1:0", "--no-udp"];
    let mut server = Watched::start(tool, &arguments);
    let line = server.line();
    let address = line.strip_prefix("listening tcp://").unwrap();
    let address = address.to_owned();
    (server, address)
}

/// Runs `bench` with `connections` to a plain server for `rounds`, and returns the report of
/// `tool`.
pub(crate) fn bench(tool: Tool, connections: usize, rounds: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (count, messages) = (connections.to_string(), (connections * rounds).to_string());
    let load = ["-c", &count, "-n", &messages, "--warmup", "0"];
    let client = start_bench(tool, &listener, &load);
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| accept(&listener)).collect();
    for _ in 0..rounds {
        let messages = receive(&mut streams);
        send(&client, &mut streams, &messages);
    }
    client.end()
}

/// Starts `bench` against `listener`.
pub(crate) fn start_bench(tool: Tool, listener: &TcpListener, load: &[&str]) -> Watched {
    let address = listener.local_addr().unwrap().to_string();
    // Figures of intervals are taken by the clock, and would not be the same each time.
    // The process is stopped and continued, which is CLIENT-LIMITED.
    let accept = "client-limited,unstable,too-few-samples";
    let bench = [
        "-q",
        "bench",
        "--interval",
        "1h",
        "--accept",
        accept,
        &address,
    ];
    Watched::start(tool, &[&bench, load].concat())
}

pub(crate) fn connect(address: &str) -> TcpStream {
    prepare(TcpStream::connect(address).unwrap())
}

pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    prepare(listener.accept().unwrap().0)
}

fn prepare(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends each of `streams` its message.
fn send(to: &Watched, streams: &mut [TcpStream], messages: &[[u8; MESSAGE]]) {
    let is_alone = streams.len() == 1;
    let mut send = || {
        for (stream, message) in streams.iter_mut().zip(messages) {
            stream.write_all(message).unwrap();
        }
    };
    if is_alone {
        send();
    } else {
        to.while_stopped(send);
    }
}

/// Receives a message from each of `streams`.
fn receive(streams: &mut [TcpStream]) -> Vec<[u8; MESSAGE]> {
    let messages = streams.iter_mut().map(|stream| {
        let mut message = [0; MESSAGE];
        stream.read_exact(&mut message).unwrap();
        message
    });
    messages.collect()
}
