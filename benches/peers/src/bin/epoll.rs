//! The limit: epoll, one read and one write for each event, and hardly any state. Whoever does not read stops everybody,
//! and nobody is watched over: it is what the system calls cost, and not a server.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};

use peers::{READ_MAX, listen};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// The listener's number. Descriptors of streams are larger.
const LISTENER: u64 = 0;

fn main() -> io::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        listener.as_fd(),
        EventData::new_u64(LISTENER),
        EventFlags::IN,
    )?;
    let mut streams: HashMap<u64, TcpStream> = HashMap::new();
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    let mut room = vec![0; READ_MAX];
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let number = event.data.u64();
            if number == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let number = stream.as_raw_fd() as u64;
                    let flags = EventFlags::IN | EventFlags::ET;
                    epoll::add(&poll, stream.as_fd(), EventData::new_u64(number), flags)?;
                    streams.insert(number, stream);
                }
                continue;
            }
            let Some(stream) = streams.get_mut(&number) else {
                continue;
            };
            if !echo(stream, &mut room) {
                streams.remove(&number);
            }
        }
    }
}

/// Reads until a read is short, and writes what came. Returns whether the stream goes on.
fn echo(stream: &mut TcpStream, room: &mut [u8]) -> bool {
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
                if count < room.len() {
                    return true;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(_) => return false,
        }
    }
}
