//! Names of machines, looked up before a loop runs, because looking up blocks.

use std::net::{SocketAddr, ToSocketAddrs};

/// Every address of `host`, in the order in which they are to be tried: at least one.
///
/// # Errors
///
/// When there is none: why, and what to do about it.
pub(crate) fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let remedy = "check the name, or give a numeric address";
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("no address is known for '{host}' ({error}); {remedy}"))?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() {
        return Err(format!("'{host}' has no address; {remedy}"));
    }
    Ok(found)
}
