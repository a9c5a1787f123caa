//! The sockets a server is reached at.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::config::{Address, Config};
use crate::reactor::{
    Datagrams, Listener, Net, Registry, System, TcpOptions, UdpOptions, fixed_token,
};

/// How often a port that the system chose for IPv4 is tried for IPv6 as well.
const SAME_PORT_TRIES: usize = 16;

/// Listeners and datagram sockets, each registered with the fixed token of its place: first the
/// listeners, then the others. One that is closed leaves its place empty.
#[derive(Debug)]
pub(super) struct Sockets<N: Net> {
    pub(super) listeners: Vec<Option<Listener<N::Listener>>>,
    pub(super) datagrams: Vec<Option<Datagrams<N::Datagrams>>>,
}

impl Sockets<System> {
    /// Binds and registers every socket that `config` asks for.
    pub(super) fn bind(registry: &Registry, config: &Config) -> io::Result<Self> {
        let Config {
            backlog,
            reuse_port,
            keepalive,
            buffers,
            ..
        } = *config;
        let options = TcpOptions {
            backlog,
            reuse_port,
            keepalive,
            buffers,
        };
        let listeners = bind_all(
            "tcp",
            &config.tcp,
            |address| Listener::bind(address, &options),
            Listener::address,
        )?;
        let options = UdpOptions {
            reuse_port,
            recv_size: config.recv_size,
            budget: config.datagram_budget,
            buffers,
        };
        let datagrams = bind_all(
            "udp",
            &config.udp,
            |address| Datagrams::bind(address, &options),
            Datagrams::address,
        )?;
        Self::register(registry, listeners, datagrams)
    }
}

impl<N: Net> Sockets<N> {
    /// Registers these sockets.
    pub(super) fn register(
        registry: &Registry,
        mut listeners: Vec<Listener<N::Listener>>,
        mut datagrams: Vec<Datagrams<N::Datagrams>>,
    ) -> io::Result<Self> {
        let mut tokens = (0..).map(fixed_token);
        for (listener, token) in listeners.iter_mut().zip(&mut tokens) {
            listener.register(registry, token)?;
        }
        let mut tokens = (listeners.len() as u32..).map(fixed_token);
        for (datagrams, token) in datagrams.iter_mut().zip(&mut tokens) {
            datagrams.register(registry, token)?;
        }
        Ok(Self {
            listeners: listeners.into_iter().map(Some).collect(),
            datagrams: datagrams.into_iter().map(Some).collect(),
        })
    }

    /// Marks the socket in place `index`, if it is still open.
    pub(super) fn mark(&mut self, index: usize) {
        if let Some(listener) = self.listeners.get_mut(index) {
            if let Some(listener) = listener {
                listener.backlog.mark();
            }
        } else if let Some(Some(datagrams)) = self.datagrams.get_mut(index - self.listeners.len()) {
            datagrams.mark();
        }
    }

    /// Marks every socket, whatever the kernel has said so far.
    pub(super) fn mark_all(&mut self) {
        for index in 0..self.listeners.len() + self.datagrams.len() {
            self.mark(index);
        }
    }

    /// Whether all have been closed.
    pub(super) fn are_closed(&self) -> bool {
        self.listeners.iter().all(Option::is_none) && self.datagrams.iter().all(Option::is_none)
    }
}

/// Binds a socket to each of `addresses`, two for one that means everywhere.
fn bind_all<T>(
    scheme: &str,
    addresses: &[Address],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    address_of: impl Fn(&T) -> SocketAddr,
) -> io::Result<Vec<T>> {
    let mut sockets = Vec::new();
    for &address in addresses {
        let bound = match address {
            Address::At(address) => bind(canonical(address)).map(|socket| sockets.push(socket)),
            Address::Everywhere(port) => {
                bind_everywhere(port, &bind, &address_of).map(|both| sockets.extend(both))
            }
        };
        // Keeps the kind, so that a caller can tell a port in use from one it may not have.
        bound.map_err(|error| {
            io::Error::new(error.kind(), format!("{scheme}://{address}: {error}"))
        })?;
    }
    Ok(sockets)
}

/// `address`, or the IPv4 address that it maps (RFC 4291, section 2.5.5.2). Others keep their interface
/// (`scope_id`): bind(2) of a link-local address fails without one.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// Binds `port` for IPv4 and, where the machine has it, for IPv6: two sockets, because one for both
/// sees IPv4 clients under mapped addresses, which any limit by address would take for others.
fn bind_everywhere<T>(
    port: u16,
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    address_of: impl Fn(&T) -> SocketAddr,
) -> io::Result<Vec<T>> {
    let mut tries = if port == 0 { SAME_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let v4 = bind((Ipv4Addr::UNSPECIFIED, port).into())?;
        match bind((Ipv6Addr::UNSPECIFIED, address_of(&v4).port()).into()) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if tries == 0 {
                    return Err(error);
                }
            }
            Err(error) => {
                log::warn!("no IPv6 here ({error}): reachable by IPv4 only");
                return Ok(vec![v4]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_ipv4_and_others_keep_their_interface() {
        for (address, bound) in [
            ("[::ffff:127.0.0.1]:7", "127.0.0.1:7"),
            ("[fe80::77%3]:7", "[fe80::77%3]:7"),
            ("[::1]:7", "[::1]:7"),
            ("127.0.0.1:7", "127.0.0.1:7"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(canonical(address).to_string(), bound);
        }
    }
}
