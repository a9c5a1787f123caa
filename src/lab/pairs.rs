//! Connected sockets, both ends in this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use socket2::SockRef;

use super::limit::Limit;

/// Descriptors that are left to everything else: standard streams, polls, wakers, timers, listeners.
const DESCRIPTORS_RESERVED: usize = 64;

/// The two ends of a connection. They are closed by a reset, which leaves nothing behind in the kernel.
#[derive(Debug)]
pub(super) struct Pair {
    /// The end that asks. Its calls block, until the limit at most.
    pub(super) client: TcpStream,
    /// The end that answers, whose calls do not block.
    pub(super) server: TcpStream,
}

/// Anywhere on loopback.
pub(super) fn anywhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// As many pairs.
///
/// # Errors
///
/// What the system refuses; `TimedOut` if that takes too long.
pub(super) fn pairs(count: usize, limit: &Limit) -> io::Result<Vec<Pair>> {
    let listener = TcpListener::bind(anywhere())?;
    let address = listener.local_addr()?;
    (0..count)
        .map(|_| {
            let client = TcpStream::connect_timeout(&address, limit.left()?)?;
            // Whoever else may have come in between is not who is meant.
            let server = loop {
                let (server, peer) = listener.accept()?;
                if peer == client.local_addr()? {
                    break server;
                }
            };
            for end in [&client, &server] {
                end.set_nodelay(true)?;
                SockRef::from(end).set_linger(Some(Duration::ZERO))?;
            }
            server.set_nonblocking(true)?;
            client.set_read_timeout(Some(limit.left()?))?;
            client.set_write_timeout(Some(limit.left()?))?;
            Ok(Pair { client, server })
        })
        .collect()
}

/// One pair.
///
/// # Errors
///
/// As [`pairs`].
pub(super) fn pair(limit: &Limit) -> io::Result<Pair> {
    let mut pairs = pairs(1, limit)?;
    Ok(pairs.pop().expect("one was asked for"))
}

/// How many connections of which both ends are here there may be, if `wanted` are wanted.
pub(super) fn affordable(wanted: usize) -> usize {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    wanted.min(most.saturating_sub(DESCRIPTORS_RESERVED) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_afforded_is_half_of_the_descriptors() {
        assert_eq!(affordable(0), 0);
        let most = affordable(usize::MAX);
        assert!(most > 0);
        assert_eq!(affordable(most - 1), most - 1);
    }
}
