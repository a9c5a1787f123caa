//! Servers whose calls block: one client at a time, as in many a tutorial, or each on a thread of its own.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use socket2::{Domain, Protocol, Socket, Type};

use super::pairs::anywhere;

/// How many connections wait until they are accepted: as many as for the reactor, so that this makes no difference.
const BACKLOG: i32 = 1024;

/// How often a server that waits looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// How clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// The next one when the one before has left.
    OneAtATime,
    /// All at once, each by a thread.
    ThreadAClient,
}

/// A server that is running. It is stopped when it goes out of scope.
#[derive(Debug)]
pub(super) struct BlockingServer {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    served: AtomicU64,
}

impl BlockingServer {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// Those of binding, and of starting a thread.
    pub(super) fn start(model: Model) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&anywhere().into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread = thread::Builder::new().spawn(move || own.accept(&listener, model))?;
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// How many clients have had an answer.
    pub(super) fn served(&self) -> u64 {
        self.shared.served.load(Ordering::Relaxed)
    }
}

impl Drop for BlockingServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // One that has panicked has ended as well.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, model: Model) {
        let mut threads = Vec::new();
        while !self.is_stopping() {
            if !is_someone_there(listener) {
                continue;
            }
            let Ok((client, _)) = listener.accept() else {
                continue;
            };
            match model {
                Model::OneAtATime => self.serve(&client),
                Model::ThreadAClient => {
                    let own = self.clone();
                    // A client for whom there is no thread is not served, which is counted.
                    threads.extend(thread::Builder::new().spawn(move || own.serve(&client)));
                }
            }
        }
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Echoes what a client says until it leaves.
    fn serve(&self, mut client: &TcpStream) {
        // Otherwise a client that says nothing could not be left.
        if client.set_read_timeout(Some(PATIENCE)).is_err() || client.set_nodelay(true).is_err() {
            return;
        }
        let mut room = [0; 1024];
        let mut is_served = false;
        while !self.is_stopping() {
            let count = match client.read(&mut room) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            };
            if client.write_all(&room[..count]).is_err() {
                return;
            }
            if !std::mem::replace(&mut is_served, true) {
                self.served.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Waits a moment for somebody to be accepted.
fn is_someone_there(listener: &TcpListener) -> bool {
    let timeout = Timespec::try_from(PATIENCE).expect("a moment fits");
    let mut listeners = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut listeners, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_serves_one_and_a_thread_each_serves_all() {
        for (model, wanted) in [(Model::OneAtATime, 1), (Model::ThreadAClient, 3)] {
            let server = BlockingServer::start(model).unwrap();
            let clients = [(); 3].map(|()| TcpStream::connect(server.address).unwrap());
            for mut client in &clients {
                client.write_all(b"hello").unwrap();
            }
            // In the order in which they came.
            for mut client in &clients[..wanted as usize] {
                client.read_exact(&mut [0; 5]).unwrap();
            }
            while server.served() < wanted {
                thread::yield_now();
            }
            assert_eq!(server.served(), wanted);
        }
    }
}
