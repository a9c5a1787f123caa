//! The client that only wants its answers.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const MESSAGE: usize = 64;

/// How long after one message the next is due.
const PERIOD: Duration = Duration::from_millis(2);

/// After so many messages it comes anew, as somebody else would.
const MESSAGES: usize = 100;

/// How long it waits for an answer: this long, and the server counts as frozen.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long its answers took.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// In microseconds, in order.
    sorted: Vec<u64>,
    /// How often no answer came.
    unanswered: usize,
    wrong: usize,
}

/// Sends messages at a steady pace for `time`, and times the answers from when each message was due: what it could not send
/// because it waited counts too.
pub(crate) fn watch(address: SocketAddr, time: Duration) -> Latencies {
    let mut latencies = Latencies::default();
    let start = Instant::now();
    let mut due = start;
    while start.elapsed() < time {
        if let Err(error) = stay(address, start + time, &mut due, &mut latencies) {
            if error.kind() == io::ErrorKind::InvalidData {
                latencies.wrong += 1;
            }
            latencies.unanswered += 1;
            due = Instant::now();
        }
    }
    latencies.sorted.sort_unstable();
    latencies
}

/// One connection of it.
fn stay(
    address: SocketAddr,
    end: Instant,
    due: &mut Instant,
    latencies: &mut Latencies,
) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for number in 0..MESSAGES {
        if *due >= end {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let message = [number as u8; MESSAGE];
        stream.write_all(&message)?;
        let mut answer = [0; MESSAGE];
        stream.read_exact(&mut answer)?;
        if answer != message {
            return Err(io::ErrorKind::InvalidData.into());
        }
        latencies.sorted.push(due.elapsed().as_micros() as u64);
        *due += PERIOD;
    }
    Ok(())
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(worst) = self.sorted.last() else {
            return write!(f, "no answer at all");
        };
        let at = |share: f64| self.sorted[((self.sorted.len() - 1) as f64 * share) as usize];
        write!(
            f,
            "p50 {} µs, p99 {} µs, p99.9 {} µs, worst {worst} µs; {} answers, {} missing, {} wrong",
            at(0.5),
            at(0.99),
            at(0.999),
            self.sorted.len(),
            self.unanswered,
            self.wrong,
        )
    }
}
