//! The limit: epoll, one read and one write for each event, and hardly any state. Whoever does not read stops everybody,
//! and nobody is watched over: it is what the system calls cost, and not a server.
//!
//! A connection costs `accept4`, `epoll_ctl`, its reads and writes, and `close`. With the argument 1024 it is a literal
//! loop of `recv(1024)` and `send`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};

use peers::{listen, read_max};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::net::{SocketFlags, accept_with};

fn main() -> io::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let door = listener.as_raw_fd() as u64;
    let edge = EventFlags::IN | EventFlags::ET;
    epoll::add(&poll, &listener, EventData::new_u64(door), edge)?;
    // By their descriptors, which are small numbers.
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    let mut room = vec![0; read_max()];
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let number = event.data.u64();
            if number == door {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                while let Ok(accepted) = accept_with(&listener, flags) {
                    let stream = TcpStream::from(accepted);
                    let index = stream.as_raw_fd() as usize;
                    let data = EventData::new_u64(index as u64);
                    epoll::add(&poll, stream.as_fd(), data, edge | EventFlags::RDHUP)?;
                    if streams.len() <= index {
                        streams.resize_with(index + 1, || None);
                    }
                    streams[index] = Some(stream);
                }
                continue;
            }
            let slot = &mut streams[number as usize];
            let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            let ended = { event.flags }.intersects(ends);
            if let Some(stream) = slot
                && !echo(stream, &mut room, ended)
            {
                *slot = None;
            }
        }
    }
}

/// Reads until a read is short, or to the end if it has come, and writes what came. Returns whether the stream goes on.
fn echo(stream: &mut TcpStream, room: &mut [u8], ended: bool) -> bool {
    loop {
        match stream.read(room) {
            Ok(0) => return false,
            Ok(count) => {
                let mut written = 0;
                // A full send buffer is waited out, so that no byte is lost to whoever verifies.
                while written < count {
                    match stream.write(&room[written..count]) {
                        Ok(more) => written += more,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => return false,
                    }
                }
                if count < room.len() && !ended {
                    return true;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
    }
}
