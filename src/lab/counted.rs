//! Streams that count the system calls made on them.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::connection::Stream;
use crate::reactor::{Interest, Outlet, Registry, Source, System, TcpStream, Token};
use crate::server::Conduct;

/// System calls, counted where they are made.
#[derive(Debug, Default)]
pub(super) struct Calls {
    reads: AtomicU64,
    writes: AtomicU64,
}

impl Calls {
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }
}

/// A stream, and who counts its calls.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    calls: Arc<Calls>,
}

impl<S> Counted<S> {
    pub(super) const fn new(stream: S, calls: Arc<Calls>) -> Self {
        Self { stream, calls }
    }
}

impl<S: Read> Read for Counted<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.calls.reads.fetch_add(1, Ordering::Relaxed);
        self.stream.read(room)
    }
}

impl<S: Write> Write for Counted<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls.writes.fetch_add(1, Ordering::Relaxed);
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Stream> Stream for Counted<S> {
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown_write()
    }

    fn take_error(&mut self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.stream.reset_on_close()
    }
}

impl<S: Source> Source for Counted<S> {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.stream.register(registry, token, interests)
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.stream.reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.stream.deregister(registry)
    }
}

/// The conduct of a server whose clients' calls are counted, all together. Datagrams are not.
#[derive(Debug, Default)]
pub(super) struct Counting(pub(super) Arc<Calls>);

impl Conduct for Counting {
    type Net = System;
    type Stream = Counted<TcpStream>;

    fn stream(&mut self, stream: TcpStream) -> Self::Stream {
        Counted::new(stream, self.0.clone())
    }

    fn answer(
        &mut self,
        _: usize,
        source: SocketAddr,
        bytes: &[u8],
        _: Instant,
        mut outlet: Outlet<'_>,
    ) {
        outlet.post(source, bytes);
    }
}
