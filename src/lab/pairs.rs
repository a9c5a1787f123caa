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

/// How many connections of which both ends are here there may be, if `wanted` are wanted, and `least` needed.
///
/// # Errors
///
/// Why there can't be so many.
pub(super) fn affordable(wanted: usize, least: usize) -> io::Result<usize> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let most = limit.saturating_sub(DESCRIPTORS_RESERVED) / 2;
    if most < least {
        let needed = least * 2 + DESCRIPTORS_RESERVED;
        return Err(io::Error::other(format!(
            "it needs {needed} descriptors and may have {limit}: raise the limit of open files (ulimit -Hn)"
        )));
    }
    Ok(wanted.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_afforded_is_half_of_the_descriptors() {
        let most = affordable(usize::MAX, 1).unwrap();
        assert_eq!(affordable(0, 0).unwrap(), 0);
        assert_eq!(affordable(most - 1, 1).unwrap(), most - 1);
        assert_eq!(affordable(most + 1, most).unwrap(), most);
        let refused = affordable(most + 1, most + 1).unwrap_err().to_string();
        assert!(refused.contains("ulimit -Hn"), "{refused}");
    }
}
