//! The parts that every message goes through, each by itself, without a kernel: the pump, slots, deadlines, the verifier.
//!
//! ```text
//! cargo bench --bench micro [-- --quick] [WORDS]
//! ```
//!
//! Times are of this machine; how they compare with those of the last run is told.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use echoloop::connection::{DEFERRED_MAX, Limits, Outcome, Peer, Pump, Stream, Watermarks};
use echoloop::load::verifying;
use echoloop::reactor::{Deadlines, Key, Slots};
use echoloop::service::Echo;
use echoloop::{ClientId, Service};

/// A kernel that always has one more message, and takes every answer.
struct Endless(usize);

impl Read for Endless {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.min(room.len()))
    }
}

impl Write for Endless {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Endless {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pump(c: &mut Criterion) {
    let mut group = c.benchmark_group("pump");
    for (name, size) in [
        ("one message of 64 B", 64),
        ("16 messages of 1 KiB in one read", 16 * 1024),
    ] {
        let limits = Limits {
            recv_size: 1024.try_into().expect("not zero"),
            read_ahead: (64 * 1024).try_into().expect("not zero"),
            budget: 64 * 1024,
            deferred: DEFERRED_MAX,
            watermarks: Watermarks {
                high: 64 * 1024,
                low: 16 * 1024,
            },
        };
        let (mut pump, mut peer) = (Pump::new(limits), Peer::new(Endless(size)));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                peer.readiness.latch_readable();
                let outcome = pump.run(&mut peer, |message, reply| {
                    Echo.receive(ClientId::new(0), message, reply);
                });
                assert_eq!(outcome, Outcome::Waiting);
            });
        });
    }
    group.finish();
}

fn slots(c: &mut Criterion) {
    let mut group = c.benchmark_group("slots");
    let mut slots = Slots::new(usize::MAX);
    let keys: Vec<Key> = (0..10_000)
        .map(|value| slots.insert(value).expect("there is room"))
        .collect();
    let mut next = keys.iter().cycle();
    group.bench_function("find one of 10,000", |bencher| {
        bencher.iter(|| {
            *slots
                .get_mut(*next.next().expect("a cycle"))
                .expect("taken")
        });
    });
    group.bench_function("one more of 10,000 comes and goes", |bencher| {
        bencher.iter(|| {
            let key = slots.insert(0).expect("there is room");
            assert_eq!(slots.remove(key), Some(0));
        });
    });
    group.finish();
}

fn deadlines(c: &mut Criterion) {
    let start = Instant::now();
    let mut deadlines = Deadlines::new(start);
    let mut now = start;
    let (second, step) = (Duration::from_secs(1), Duration::from_micros(100));
    for index in 0..10_000 {
        deadlines.arm(start + index * step, index);
    }
    c.bench_function(
        "deadlines/one of 10,000 comes and is armed anew",
        |bencher| {
            bencher.iter(|| {
                now += step;
                while let Some(what) = deadlines.expire(now) {
                    deadlines.arm(now + second, what);
                }
                assert_eq!(deadlines.len(), 10_000);
            });
        },
    );
}

fn verifier(c: &mut Criterion) {
    let mut group = c.benchmark_group("verifier");
    for (name, size) in [("64 B", 64), ("16 KiB", 16 * 1024)] {
        let mut verify = verifying(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| bencher.iter(|| assert!(verify())));
    }
    group.finish();
}

criterion_group! {
    name = parts;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = pump, slots, deadlines, verifier
}
criterion_main!(parts);
