//! One client that never stops sending, and many that now and then say something.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::limit::Limit;
use super::loading::{load, plan};
use super::serving::{Serving, config};
use super::{Experiment, Figure, Measured, Relation, Unit};
use crate::connection::Reply;
use crate::load::{Plan, Profile};
use crate::service::{ClientId, Service};

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "fairness",
    question: "How long do 99 quiet clients wait beside one that sends without a pause, if a client may move 16 KiB \
in a turn, and if it may move as much as it has?",
    prediction: "With the budget, about as long as two of its turns take. Without it, as long as it takes to read the \
firehose empty, which fills up again meanwhile: a median at least 4 times as long.",
    expected: &[
        Relation::Times(
            Figure("no budget", "median"),
            4.0,
            Figure("16 KiB a turn", "median"),
        ),
        Relation::AtLeast(Figure("16 KiB a turn", "flooded"), 1_048_576.0),
    ],
    explanation: "Draining a socket until it is empty is right for the one, and may take for ever for the others. A client \
that has moved its budget goes to the end of the ready list, with its readiness remembered: no event will come for \
what it left behind. The service works for 10 ns a byte here, so that the firehose can be faster; it sends for 0.8 s \
out of 1.2. The quiet ones send 990 messages a second on a schedule, and are measured from when a message was due. \
What is checked is the median: a p99 of milliseconds is as much the scheduler's, which has three busy threads to find \
cores for, as the loop's.",
    doubt: "A firehose that does not get a core of its own leaves the socket empty now and then, and the others get \
their turn after all.",
    run,
};

const QUIET: usize = 99;
const RATE: f64 = 990.0;
const TIME: Duration = Duration::from_millis(1200);
const FLOOD: Duration = Duration::from_millis(800);
const BUDGET: usize = 16 * 1024;

/// As on an Ethernet.
const SEGMENT: u32 = 1448;

/// How long the service works on a byte.
const WORK: Duration = Duration::from_nanos(10);

fn run(limit: &Limit) -> io::Result<Measured> {
    let mut measured = Measured::default();
    for (subject, budget) in [("16 KiB a turn", BUDGET), ("no budget", usize::MAX)] {
        let mut config = config();
        config.read_budget = budget;
        let server = Serving::start(config, Working::default())?;
        let address = server.tcp();
        // Connected first, so that it is the first that the service gets to know.
        let firehose = connect(address, limit)?;
        let firehose = thread::Builder::new().spawn(move || flood(&firehose))?;
        let plan = Plan {
            rate: Some(Profile::constant(RATE)),
            ..plan(address, QUIET, TIME)
        };
        let outcome = load(plan, limit);
        let flooded = firehose.join().expect("the firehose does not panic");
        let response = outcome?.latency.response;
        for (quantity, quantile) in [("median", 0.5), ("p99", 0.99), ("longest", 1.0)] {
            let time = response.value_at_quantile(quantile) as f64;
            measured.put(subject, quantity, time, Unit::Nanoseconds);
        }
        measured.put(subject, "flooded", flooded? as f64, Unit::Bytes);
        server.finish()?;
    }
    Ok(measured)
}

fn connect(address: SocketAddr, limit: &Limit) -> io::Result<TcpStream> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // The segments of loopback are so large that the window holds one: the socket would be empty after each.
    socket.set_tcp_mss(SEGMENT)?;
    socket.set_write_timeout(Some(limit.left()?))?;
    // What is still on its way at the end is nobody's business any more.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect_timeout(&address.into(), limit.left()?)?;
    Ok(socket.into())
}

/// Sends without a pause. Returns how much.
fn flood(mut stream: &TcpStream) -> io::Result<u64> {
    let (start, chunk) = (Instant::now(), vec![b'f'; 64 * 1024]);
    let mut sent = 0;
    while start.elapsed() < FLOOD {
        sent += stream.write(&chunk)? as u64;
    }
    Ok(sent)
}

/// Works on every byte, and echoes those of all clients but the first.
#[derive(Debug, Default)]
struct Working {
    firehose: Option<ClientId>,
}

impl Service for Working {
    fn opened(&mut self, client: ClientId, _: SocketAddr) {
        self.firehose.get_or_insert(client);
    }

    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        let (start, work) = (Instant::now(), WORK * message.len() as u32);
        while start.elapsed() < work {
            std::hint::spin_loop();
        }
        if self.firehose != Some(client) {
            reply.echo();
        }
    }
}
