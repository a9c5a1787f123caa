//! The sockets a server is reached at.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::Address;
use super::config::Config;
use crate::reactor::{
    Datagrams, Listener, Net, Registry, System, TcpOptions, UdpOptions, fixed_token,
};

/// How many ports that the system chose for one address are tried at the others.
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

/// Binds a socket to each of `addresses`, and two to one that means everywhere.
fn bind_all<T>(
    scheme: &str,
    addresses: &[Address],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    address_of: impl Fn(&T) -> SocketAddr,
) -> io::Result<Vec<T>> {
    let mut sockets = Vec::new();
    for (index, &address) in addresses.iter().enumerate() {
        let bound = match address {
            Address::At(first) => {
                let others = addresses[index + 1..]
                    .iter()
                    .map_while(|address| match address {
                        Address::SamePort(address) => Some(canonical(*address)),
                        _ => None,
                    });
                let others: Vec<_> = others.collect();
                bind_on_one_port(canonical(first), &others, &bind, &address_of)
            }
            // Bound together with the address before.
            Address::SamePort(_) => continue,
            Address::Everywhere(port) => bind_everywhere(port, &bind, &address_of),
        };
        let bound = bound.map_err(|(failed, error)| {
            let address = match address {
                Address::Everywhere(_) => address,
                _ => failed.into(),
            };
            // Keeps the kind, so that a caller can tell a port in use from one that is not allowed.
            io::Error::new(error.kind(), format!("{scheme}://{address}: {error}"))
        })?;
        sockets.extend(bound);
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
) -> Result<Vec<T>, (SocketAddr, io::Error)> {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match bind_on_one_port(v4, &[v6], &bind, address_of) {
        Err((failed, error)) if failed.is_ipv6() && error.kind() != io::ErrorKind::AddrInUse => {
            log::warn!("no IPv6 here ({error}): reachable by IPv4 only");
            let v4 = bind(v4).map_err(|error| (v4, error))?;
            Ok(vec![v4])
        }
        bound => bound,
    }
}

/// Binds `first` and `others`, all to the port of the first, which the system may choose.
///
/// # Errors
///
/// The first address that could not be bound, and why.
fn bind_on_one_port<T>(
    first: SocketAddr,
    others: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
    address_of: impl Fn(&T) -> SocketAddr,
) -> Result<Vec<T>, (SocketAddr, io::Error)> {
    // The port that the system chooses for the first may be taken at another address.
    let is_chosen = first.port() == 0 && !others.is_empty();
    let mut tries = if is_chosen { SAME_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let mut sockets = vec![bind(first).map_err(|error| (first, error))?];
        let port = address_of(&sockets[0]).port();
        // With its interface, if it is link-local.
        let mut others = others.iter().map(|&(mut other)| {
            other.set_port(port);
            other
        });
        let failed = others.find_map(|other| match bind(other) {
            Ok(socket) => {
                sockets.push(socket);
                None
            }
            Err(error) => Some((other, error)),
        });
        match failed {
            None => return Ok(sockets),
            Some((_, error)) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            Some(failed) => return Err(failed),
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

    #[test]
    fn addresses_of_one_name_have_one_port_although_another_may_be_taken() {
        let chosen = std::cell::Cell::new(0);
        // The first two ports that are chosen are taken at 127.0.0.2.
        let bind = |mut address: SocketAddr| {
            if address.port() == 0 {
                chosen.set(chosen.get() + 1);
                address.set_port(40_000 + chosen.get());
            }
            let is_taken = address.ip() == Ipv4Addr::new(127, 0, 0, 2) && address.port() < 40_003;
            match is_taken {
                true => Err(io::Error::from(io::ErrorKind::AddrInUse)),
                false => Ok(address),
            }
        };
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let addresses = [
            Address::At(at("[::1]:0")),
            Address::SamePort(at("127.0.0.1:0")),
            Address::SamePort(at("127.0.0.2:0")),
            Address::At(at("127.0.0.1:0")),
        ];
        let bound = bind_all("tcp", &addresses, bind, |address| *address).unwrap();
        let expected = [
            "[::1]:40003",
            "127.0.0.1:40003",
            "127.0.0.2:40003",
            "127.0.0.1:40004",
        ];
        assert_eq!(bound, expected.map(at));
        let never = |address: SocketAddr| match address.is_ipv6() {
            true => Err(io::Error::from(io::ErrorKind::AddrInUse)),
            false => Ok(SocketAddr::new(address.ip(), 40_000)),
        };
        let addresses = [
            Address::At(at("127.0.0.1:0")),
            Address::SamePort(at("[::1]:0")),
        ];
        let error = bind_all("tcp", &addresses, never, |address| *address).unwrap_err();
        assert!(
            error.to_string().starts_with("tcp://[::1]:40000: "),
            "{error}"
        );
    }
}
