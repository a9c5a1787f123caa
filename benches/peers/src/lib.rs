//! What all peers have in common.

use std::io;
use std::net::TcpListener;

/// How many bytes one read may bring, as of the server they are compared with.
pub const READ_MAX: usize = 16 * 1024;

/// Listens on a port of loopback that the system chooses, and says which.
///
/// # Errors
///
/// Those of binding.
pub fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    // The standard library's backlog is 128 at least; a crowd at the door is not what is measured.
    println!("listening tcp://{}", listener.local_addr()?);
    Ok(listener)
}
