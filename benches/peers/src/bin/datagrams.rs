//! A plain server of datagrams: epoll, and one call to receive, and one to send, for each.

use std::io;
use std::net::UdpSocket;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

fn main() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    println!("listening udp://{}", socket.local_addr()?);
    socket.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let edge = EventFlags::IN | EventFlags::ET;
    epoll::add(&poll, &socket, EventData::new_u64(0), edge)?;
    let mut events: Vec<Event> = Vec::with_capacity(1);
    let mut room = vec![0; 64 * 1024];
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        while let Ok((size, source)) = socket.recv_from(&mut room) {
            // What the kernel has no room for is lost, as it might have been on its way.
            let _ = socket.send_to(&room[..size], source);
        }
    }
}
