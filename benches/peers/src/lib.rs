//! What all peers have in common.

use std::io;
use std::net::TcpListener;

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};

/// How many connections wait to be accepted: a crowd at the door is not what is measured.
const BACKLOG: i32 = 4096;

/// How many bytes one read may bring: the first argument, or 16 KiB.
pub fn read_max() -> usize {
    let argument = std::env::args().nth(1);
    argument.map_or(16 * 1024, |argument| {
        argument.parse().expect("a number of bytes")
    })
}

/// Listens on a port of loopback that the system chooses, and says which. What is accepted sends small writes at once:
/// on Linux, sockets inherit that from their listener.
///
/// # Errors
///
/// Those of the system calls.
pub fn listen() -> io::Result<TcpListener> {
    let mut limits = getrlimit(Resource::Nofile);
    limits.current = limits.maximum;
    setrlimit(Resource::Nofile, limits)?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    println!("listening tcp://{}", listener.local_addr()?);
    Ok(listener)
}
