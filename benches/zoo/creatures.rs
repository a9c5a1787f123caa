//! The zoo: every kind of client that has brought a server down somewhere.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use socket2::SockRef;

/// After so long without a byte a conversation is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of the bytes of those who wanted theirs back.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    pub(crate) verified: AtomicU64,
    /// Sent, and not come back by the end of file.
    pub(crate) lost: AtomicU64,
    pub(crate) wrong: AtomicU64,
    /// How many conversations were given up because nothing moved.
    pub(crate) stuck: AtomicU64,
}

/// A kind: its plural, how many of it there are, and what it does once.
type Kind = (&'static str, usize, fn(&Zoo, u64) -> io::Result<()>);

const KINDS: [Kind; 9] = [
    ("firehoses", 2, firehose),
    ("never-readers", 2, never_readers),
    ("dribblers", 2, dribbler),
    ("half-closers", 2, half_closer),
    ("resetters", 1, resetter),
    ("vanishers", 1, vanisher),
    ("babblers", 2, babbler),
    ("slow ones", 1, slow_ones),
    ("datagram floods", 1, datagram_flood),
];

/// All of them, around one server.
#[derive(Debug)]
pub(crate) struct Zoo {
    tcp: SocketAddr,
    udp: Option<SocketAddr>,
    pub(crate) closes: AtomicBool,
    pub(crate) bytes: Bytes,
    lives: [AtomicU64; KINDS.len()],
}

impl Zoo {
    pub(crate) fn new(tcp: SocketAddr, udp: Option<SocketAddr>) -> Self {
        Self {
            tcp,
            udp,
            closes: AtomicBool::new(false),
            bytes: Bytes::default(),
            lives: Default::default(),
        }
    }

    /// They come, and go when the zoo closes.
    pub(crate) fn let_in<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        for (kind, &(_, count, live)) in KINDS.iter().enumerate() {
            for number in 0..count as u64 {
                scope.spawn(move || {
                    // The sentinel has the same core, and is the one to be timed.
                    let _ = rustix::process::nice(10);
                    let mut seed = number << 32 | kind as u64;
                    while !self.closes.load(Relaxed) {
                        seed += 1 << 8;
                        if live(self, seed).is_err() {
                            // Turned away, or cut off: it tries again.
                            self.pause(Duration::from_millis(50));
                        }
                        self.lives[kind].fetch_add(1, Relaxed);
                    }
                });
            }
        }
    }

    /// How many of each kind there were.
    pub(crate) fn lives(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.lives.iter().map(|lives| lives.load(Relaxed));
        KINDS.iter().map(|kind| kind.0).zip(counts)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.tcp, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Sleeps, unless the zoo closes.
    fn pause(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && !self.closes.load(Relaxed) {
            thread::sleep(Duration::from_millis(10).min(time));
        }
    }

    /// Sends `total` bytes in `chunk`s from a thread of its own, ends its side, and expects all of them back, of which it
    /// begins to read after `delay`.
    fn expect_back(
        &self,
        seed: u64,
        total: usize,
        chunk: usize,
        delay: Duration,
    ) -> io::Result<()> {
        let stream = self.connect()?;
        let mut sent = 0;
        let mut answered = 0;
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut count = 0;
                let mut bytes = vec![0; chunk];
                while count < total {
                    let length = chunk.min(total - count);
                    fill(&mut bytes[..length], seed, count);
                    match (&stream).write(&bytes[..length]) {
                        Ok(written) => count += written,
                        Err(_) => break,
                    }
                }
                let _ = stream.shutdown(Shutdown::Write);
                count
            });
            self.pause(delay);
            let (mut answer, mut expected) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
            loop {
                match (&stream).read(&mut answer) {
                    Ok(0) => break,
                    Ok(count) => {
                        fill(&mut expected[..count], seed, answered);
                        let same = answer[..count] == expected[..count];
                        let tally = if same {
                            &self.bytes.verified
                        } else {
                            &self.bytes.wrong
                        };
                        tally.fetch_add(count as u64, Relaxed);
                        answered += count;
                    }
                    Err(_) => {
                        self.bytes.stuck.fetch_add(1, Relaxed);
                        // So that the sender ends as well.
                        let _ = stream.shutdown(Shutdown::Both);
                        break;
                    }
                }
            }
            sent = sender.join().unwrap_or(0);
        });
        self.bytes
            .lost
            .fetch_add(sent.saturating_sub(answered) as u64, Relaxed);
        Ok(())
    }
}

/// The bytes of a stream of `seed` from `offset` on: every place has its own, so that one lost, moved or repeated shows.
fn fill(bytes: &mut [u8], seed: u64, offset: usize) {
    for (index, byte) in bytes.iter_mut().enumerate() {
        let place = (offset + index) as u64;
        *byte = (((place / 8) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (place % 8 * 8)) as u8;
    }
}

/// As much as there is room for, both ways.
fn firehose(zoo: &Zoo, seed: u64) -> io::Result<()> {
    zoo.expect_back(seed, 64 << 20, 64 * 1024, Duration::ZERO)
}

/// Sends and sends, and never reads.
fn never_readers(zoo: &Zoo, _: u64) -> io::Result<()> {
    let crowd: io::Result<Vec<_>> = (0..20).map(|_| zoo.connect()).collect();
    let crowd = crowd?;
    let start = Instant::now();
    for stream in &crowd {
        stream.set_nonblocking(true)?;
    }
    while start.elapsed() < PATIENCE && !zoo.closes.load(Relaxed) {
        for mut stream in &crowd {
            let _ = stream.write(&[7; 16 * 1024]);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// One byte at a time, each waited for.
fn dribbler(zoo: &Zoo, seed: u64) -> io::Result<()> {
    let mut stream = zoo.connect()?;
    stream.set_nodelay(true)?;
    for count in 0..200 {
        let (mut byte, mut answer) = ([0], [0]);
        fill(&mut byte, seed, count);
        stream.write_all(&byte)?;
        if let Err(error) = stream.read_exact(&mut answer) {
            zoo.bytes.stuck.fetch_add(1, Relaxed);
            return Err(error);
        }
        let tally = if answer == byte {
            &zoo.bytes.verified
        } else {
            &zoo.bytes.wrong
        };
        tally.fetch_add(1, Relaxed);
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Says everything, ends its side, and only then begins to listen.
fn half_closer(zoo: &Zoo, seed: u64) -> io::Result<()> {
    zoo.expect_back(seed, 8 << 20, 16 * 1024, Duration::from_millis(300))
}

/// Cuts the connection with its answer on the way.
fn resetter(zoo: &Zoo, _: u64) -> io::Result<()> {
    let mut stream = zoo.connect()?;
    stream.write_all(&[7; 10_000])?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    thread::sleep(Duration::from_millis(1));
    Ok(())
}

/// Comes and goes.
fn vanisher(zoo: &Zoo, _: u64) -> io::Result<()> {
    drop(zoo.connect()?);
    thread::sleep(Duration::from_millis(1));
    Ok(())
}

/// Whatever bytes there are, in pieces of odd sizes.
fn babbler(zoo: &Zoo, seed: u64) -> io::Result<()> {
    let chunk = 1 + (seed >> 8) as usize * 7919 % 5000;
    zoo.expect_back(seed, 100_000, chunk, Duration::ZERO)?;
    zoo.pause(Duration::from_millis(5));
    Ok(())
}

/// Many that say one byte a second and take up room.
fn slow_ones(zoo: &Zoo, _: u64) -> io::Result<()> {
    let crowd: io::Result<Vec<_>> = (0..100).map(|_| zoo.connect()).collect();
    let crowd = crowd?;
    for _ in 0..10 {
        for mut stream in &crowd {
            stream.write_all(b"a")?;
        }
        zoo.pause(Duration::from_secs(1));
    }
    Ok(())
}

/// Datagrams by the thousand, of all sizes, some that pretend to be answers, and some from ports that nobody may be answered
/// at.
fn datagram_flood(zoo: &Zoo, seed: u64) -> io::Result<()> {
    let Some(udp) = zoo.udp else {
        zoo.pause(Duration::from_secs(1));
        return Ok(());
    };
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // Only root has that port.
    let forged = UdpSocket::bind("127.0.0.1:7").ok();
    let mut datagram = vec![7; 1024];
    for round in 0..100 {
        for number in 0..50 {
            let size = (seed as usize + round * 31 + number * 97) % 1024;
            fill(&mut datagram[..size], seed, number);
            socket.send_to(&datagram[..size], udp)?;
        }
        socket.send_to(b"hello| lee", udp)?;
        if let Some(forged) = &forged {
            forged.send_to(b"hello", udp)?;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
