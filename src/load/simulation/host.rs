//! The world as what a load runs on.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::log::What;
use super::udp::Flow;
use super::world::World;
use crate::connection::Stream;
use crate::load::host::Host;
use crate::reactor::{
    Attempt, ConnectedDatagrams, DialOptions, Dialled, Interest, OutgoingStream, Registry, Source,
    SourceAddr, Token,
};

/// The port of the first server of the world.
pub(super) const FIRST_PORT: u16 = 20_000;

/// The world, as all of its parts see it.
#[derive(Clone, Debug)]
pub(super) struct Shared(pub(super) Rc<RefCell<World>>);

fn error<T>(result: Result<T, i32>) -> io::Result<T> {
    result.map_err(io::Error::from_raw_os_error)
}

impl Host for Shared {
    type Attempt = Connecting;
    type Datagrams = Socket;

    fn now(&self) -> Instant {
        self.0.borrow_mut().read_clock()
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        _: Option<SourceAddr>,
        _: &DialOptions,
    ) -> io::Result<Connecting> {
        let server = usize::from(to.port() - FIRST_PORT);
        let stream = error(self.0.borrow_mut().connect(server))?;
        let world = self.clone();
        Ok(Connecting(StreamHandle { stream, world }))
    }

    fn open_datagrams(
        &mut self,
        to: SocketAddr,
        _: Option<SourceAddr>,
        _: &DialOptions,
    ) -> io::Result<Socket> {
        let server = usize::from(to.port() - FIRST_PORT);
        let flow = error(self.0.borrow_mut().open_datagrams(server))?;
        let world = self.clone();
        Ok(Socket { flow, world })
    }

    fn open_heartbeat(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }

    fn set_heartbeat(&mut self, after: Duration) -> io::Result<()> {
        self.0.borrow_mut().set_heartbeat(after);
        Ok(())
    }

    fn run_queue_wait(&self) -> Option<Duration> {
        None
    }

    fn dropped_datagrams(&self, inodes: &HashSet<u64>) -> Option<HashMap<u64, u32>> {
        let world = self.0.borrow();
        let flows = world.flows.iter().enumerate();
        let dropped = flows.map(|(number, flow)| (number as u64, flow.dropped as u32));
        let ours = dropped.filter(|(inode, _)| inodes.contains(inode));
        Some(ours.collect())
    }

    fn entropy(&self) -> u64 {
        7
    }
}

/// The load's end of a connection.
#[derive(Debug)]
struct StreamHandle {
    stream: usize,
    world: Shared,
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        self.world.0.borrow_mut().close(self.stream);
    }
}

#[derive(Debug)]
pub(super) struct Connecting(StreamHandle);

#[derive(Debug)]
pub(super) struct Connected(StreamHandle);

impl Attempt for Connecting {
    type Stream = Connected;

    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        self.0.world.0.borrow_mut().register(self.0.stream, token);
        Ok(())
    }

    fn check(self) -> Dialled<Self> {
        let result = self.0.world.0.borrow_mut().check(self.0.stream);
        match result {
            None => Dialled::Pending(self),
            Some(Ok(())) => Dialled::Connected(Connected(self.0)),
            Some(Err(code)) => Dialled::Failed(io::Error::from_raw_os_error(code)),
        }
    }
}

impl Read for Connected {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        error(self.0.world.0.borrow_mut().read(self.0.stream, buffer))
    }
}

impl Write for Connected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        error(self.0.world.0.borrow_mut().write(self.0.stream, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Connected {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl OutgoingStream for Connected {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 1)))
    }
}

/// The load's socket of a flow.
#[derive(Debug)]
pub(super) struct Socket {
    flow: usize,
    world: Shared,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.world.0.borrow_mut().flows[self.flow].is_open = false;
    }
}

impl Source for Socket {
    fn register(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.world.0.borrow_mut().watch_datagrams(self.flow, token);
        Ok(())
    }

    fn reregister(&mut self, _: &Registry, token: Token, _: Interest) -> io::Result<()> {
        self.world.0.borrow_mut().watch_datagrams(self.flow, token);
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Ok(())
    }
}

impl ConnectedDatagrams for Socket {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        error(self.world.0.borrow_mut().receive(self.flow, buffer))
    }

    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        error(self.world.0.borrow_mut().send(self.flow, datagram))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], Flow::port(self.flow))))
    }

    fn inode(&self) -> Option<u64> {
        Some(self.flow as u64)
    }
}

/// Writes down what the load has come to, at its last look at the clock.
pub(super) fn log_last(world: &Shared, what: What) {
    world.0.borrow_mut().log(what);
}

/// Writes down what is about to be done, at the next look.
pub(super) fn log_next(world: &Shared, what: What) {
    world.0.borrow_mut().log_received(what);
}
