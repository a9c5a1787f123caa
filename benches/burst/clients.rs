//! The clients: many that want something at once, and a quiet one whose waits are measured.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long the quiet client waits for a reply before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the quiet client waits after each reply, and the others after each round.
const PERIOD: Duration = Duration::from_millis(1);

static BLOCK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// What the others do: each sends 64 KiB, as far as the kernel takes them, once or until the end. None
/// reads. With repeats they share the core of the quiet client, whose waits contain their time.
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// They go on sending until the end.
    pub(crate) repeats: bool,
    /// How long the quiet client is measured.
    pub(crate) time: Duration,
}

/// How long the quiet client has waited for its replies.
pub(crate) struct Waits {
    sorted: Vec<Duration>,
    error: Option<io::Error>,
}

impl Load {
    /// Connects all, stops the server while they send, and measures the quiet client once it goes on.
    pub(crate) fn run(&self, address: SocketAddr, pid: i32) -> Waits {
        let mut waits = Waits {
            sorted: Vec::new(),
            error: None,
        };
        if let Err(error) = self.measure(address, pid, &mut waits.sorted) {
            waits.error = Some(error);
        }
        waits.sorted.sort_unstable();
        waits
    }

    fn measure(&self, address: SocketAddr, pid: i32, waits: &mut Vec<Duration>) -> io::Result<()> {
        let connect = |_| TcpStream::connect(address);
        let others: Vec<TcpStream> = (0..self.clients).map(connect).collect::<io::Result<_>>()?;
        let mut quiet = TcpStream::connect(address)?;
        quiet.set_nodelay(true)?;
        quiet.set_read_timeout(Some(PATIENCE))?;
        // It has been accepted once it gets a reply.
        round_trip(&mut quiet)?;
        for other in &others {
            other.set_nonblocking(true)?;
        }
        let server = Pid::from_raw(pid).ok_or(ErrorKind::InvalidInput)?;
        kill_process(server, Signal::STOP)?;
        let sent = send_to_all(&others);
        kill_process(server, Signal::CONT)?;
        sent?;
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            if self.repeats {
                scope.spawn(|| {
                    while !ends.load(Relaxed) && send_to_all(&others).is_ok() {
                        // The server has the time to take some of it.
                        thread::sleep(PERIOD);
                    }
                });
            }
            let start = Instant::now();
            let mut measured = Ok(());
            while measured.is_ok() && start.elapsed() < self.time {
                thread::sleep(PERIOD);
                measured = round_trip(&mut quiet).map(|wait| waits.push(wait));
            }
            ends.store(true, Relaxed);
            measured
        })
    }
}

/// Each sends a block, or what the kernel takes of it.
fn send_to_all(clients: &[TcpStream]) -> io::Result<()> {
    for mut client in clients {
        match client.write(&BLOCK) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn round_trip(client: &mut TcpStream) -> io::Result<Duration> {
    let began = Instant::now();
    client.write_all(b"q")?;
    client.read_exact(&mut [0])?;
    Ok(began.elapsed())
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |wait: &Duration| wait.as_secs_f64() * 1e3;
        if let (Some(worst), median) = (self.sorted.last(), self.sorted.len() / 2) {
            write!(
                f,
                "quiet client waits {:.1} ms at worst, {:.2} ms in the median of {}",
                ms(worst),
                ms(&self.sorted[median]),
                self.sorted.len()
            )?;
        }
        match &self.error {
            None => Ok(()),
            Some(error) => write!(f, ", then failed: {error}"),
        }
    }
}
