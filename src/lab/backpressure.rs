//! A client that asks and never listens.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::limit::{Limit, TIME_MAX};
use super::loading::{load, plan};
use super::serving::{Serving, config};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::connection::Watermarks;
use crate::load::{Plan, Stop};
use crate::service::Echo;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "backpressure",
    question: "How much does a server owe a client that sends and never reads, and what do the others notice?",
    prediction: "At most the high watermark of 64 KiB and one read more, 80 KiB: from there on the client is not read \
from, and in the end its own writes block. Without a watermark the server keeps all that it is sent. The others are \
answered in both cases.",
    expected: &[
        Relation::Below(Figure("high watermark", "owed"), 81_921.0),
        Relation::AtLeast(Figure("high watermark", "pauses"), 1.0),
        Relation::Is(Figure("high watermark", "answered"), 2_000.0),
        Relation::Times(
            Figure("no watermark", "owed"),
            10.0,
            Figure("high watermark", "owed"),
        ),
        Relation::Is(Figure("no watermark", "answered"), 2_000.0),
    ],
    explanation: "What a socket does not take has to be kept, and who is owed more than a watermark is not listened to \
until it has taken some: TCP carries the pressure back to where it comes from. The rest of what was sent lies in the \
buffers of the kernel, which have bounds of their own. The client gives up at 16 MiB, or after its writes have been \
blocked for 200 ms. The others are 10 connections that exchange 2 000 messages meanwhile.",
    doubt: "A client that is starved of its core may give up early, and then is owed little by either server.",
    run,
};

const GREED: usize = 16 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_millis(200);
const OTHERS: usize = 10;
const MESSAGES: u64 = 2_000;

/// As good as none: nobody sends as much here.
const UNBOUNDED: Watermarks = Watermarks {
    high: 1024 * 1024 * 1024,
    low: 0,
};

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    let bounded = config().watermarks;
    for (subject, watermarks) in [("high watermark", bounded), ("no watermark", UNBOUNDED)] {
        let mut config = config();
        config.watermarks = watermarks;
        let server = Serving::start(config, Echo)?;
        let greedy = connect(server.tcp())?;
        let sent = flood(&greedy)?;
        let plan = Plan {
            stop: Stop::Messages(MESSAGES),
            // However long it takes, every answer is awaited.
            timeout: TIME_MAX,
            ..plan(server.tcp(), OTHERS, Duration::ZERO)
        };
        let outcome = load(plan, limit)?;
        drop(greedy);
        let moved = server.finish()?.counters.clients.moved;
        let owed = moved.received_bytes - moved.sent_bytes;
        measured.put(subject, "sent", sent as f64, Unit::Bytes);
        measured.put(subject, "owed", owed as f64, Unit::Bytes);
        measured.put(subject, "pauses", moved.pauses as f64, Unit::Count);
        let answered = outcome.messages.timed() as f64;
        measured.put(subject, "answered", answered, Unit::Count);
        let p99 = outcome.latency.service.value_at_quantile(0.99) as f64;
        measured.put(subject, "p99", p99, Unit::Nanoseconds);
    }
    Ok(measured)
}

/// A client with little room for what it is sent.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_recv_buffer_size(16 * 1024)?;
    socket.connect(&address.into())?;
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(PATIENCE))?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}

/// Sends until that is enough, or nothing has been taken for a while. Returns how much.
fn flood(mut stream: &TcpStream) -> io::Result<usize> {
    let chunk = vec![b'g'; 64 * 1024];
    let mut sent = 0;
    while sent < GREED {
        match stream.write(&chunk) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
