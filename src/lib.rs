//! An event-driven, non-blocking reactor: one thread, one poll loop, many TCP clients and UDP.
//!
//! `echoloop` is a program (`echoloop serve`, `echoloop connect`, `echoloop bench`, `echoloop lab`) and the library it is made of. The library is a
//! readiness loop written by hand over [mio](https://docs.rs/mio), with a slab of connection states; it is not
//! an async runtime, and uses none. This page is where to start reading.
//!
//! # The picture
//!
//! ```text
//!             kernel readiness
//!                   | event(token)
//!  reactor -- ready() --> role (server) -- turn() --+  key from the ready list
//!                                                   v
//!    bytes in --> pump --> connection --> service --> pump --> bytes out
//!                (Read)   (state machine) (answer)   (Write)
//!                              |                        |
//!                              +--- buffer <------------+  what the kernel did not take
//! ```
//!
//! Data flows one way, and a folder imports only folders above it in this list
//! (`tests/layering.rs` holds that):
//!
//! | folder | what it is | what it knows |
//! |---|---|---|
//! | [`connection`] | one client's state machine, its unsent bytes, its latched readiness, and the pump | no socket, no clock, no mio |
//! | [`service`] | what to answer, by rule or by an operator's [console](service::Console), and what to get [wrong](service::Faults) on purpose; the guard that decides whether a datagram is; the sanitizer of what a person is shown, and the phrases it is told in | the same |
//! | [`probe`] | counters; and, as a type parameter that costs nothing when it is off, what a loop does as it does it: figures, and lints | the same |
//! | [`trace`] | what a loop did, as files that trace viewers open, and that are read again; and as a page for people | the same |
//! | [`reactor`] | the loop; slots, listeners, datagram sockets, deadlines | mio, and nothing else does |
//! | [`server`], [`client`] | the roles that put them together | |
//! | [`load`] | the load generator: what is due, what comes back, and how long it took | |
//! | [`report`] | what its numbers come to: a verdict, text, JSON | no socket, no clock, no mio |
//! | [`lab`] | experiments: what is predicted of such a loop, and what is measured | |
//! | `bin/echoloop` | arguments, signals, exit codes, the terminal and the log | this library from outside |
//!
//! # The rules of the loop
//!
//! 1. **There is one `poll()`**, in [`Reactor::run`](reactor::Reactor::run). Each turn: work, sleep, mark.
//! 2. **Events only mark; work is done in the turn.** [`Handler::ready`](reactor::Handler::ready) sets
//!    latches and puts a key on the ready list. So a late, merged, spurious or stale event is harmless.
//! 3. **Sockets are registered once**, for both directions, edge-triggered. A latch
//!    ([`Readiness`](connection::Readiness)) stays set until a system call proves it wrong.
//! 4. **Keys carry a generation** ([`Key`](reactor::Key)). Whatever outlives a client finds nothing.
//! 5. **Everyone has a budget**, and what it leaves over stays on the ready list: nobody starves, and
//!    nobody waits for an event that was already delivered.
//! 6. **A client that does not read is not read from.** Unsent bytes have a high and a low watermark.
//!    One read buffer serves all clients; an idle client owns no buffer at all.
//! 7. **Every client is accounted for**: on the ready list, waiting for an event in a direction it
//!    needs, paused with a write pending, promised an answer, or on a deadline.
//! 8. **A peer's error is a [`CloseReason`](connection::CloseReason)**; this process's error is an
//!    [`io::Result`](std::io::Result). The first never becomes the second.
//! 9. **What may block is not done here.** Keys, screens and logs have threads of their own, bounded
//!    channels, and a [`Waker`](reactor::Waker); see [`client::Input`] and [`client::Output`].
//! 10. **`now` is an argument.** The clock is read once a turn, and every timer is in
//!     [`Deadlines`](reactor::Deadlines). How punctually a deadline ends the loop's sleep is chosen with a
//!     [`Timer`](reactor::Timer). (A server that misbehaves on purpose ([`Faulty`](server::Faulty)) breaks
//!     this rule and the one before: it looks at the clock for each message, and blocks.)
//!
//! The [guide] teaches readiness from them, hazard by hazard.
//!
//! # A service of your own
//!
//! ```
//! use echoloop::{ClientId, Config, Reactor, Reply, Server, Service};
//! # use std::io::{Read, Write};
//!
//! struct Shout;
//!
//! impl Service for Shout {
//!     fn receive(&mut self, _: ClientId, message: &[u8], reply: &mut Reply<'_>) {
//!         reply.send(&message.to_ascii_uppercase());
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut reactor = Reactor::new()?;
//! let config = Config::new().with_tcp("127.0.0.1:0".parse().unwrap()); // a port the system chooses
//! let mut server = Server::bind(&reactor, config, Shout)?;
//! let (address, stop) = (server.tcp_addresses()[0], server.stop());
//! # let client = std::thread::spawn(move || -> std::io::Result<String> {
//! #     let mut stream = std::net::TcpStream::connect(address)?;
//! #     stream.write_all(b"hello")?;
//! #     stream.shutdown(std::net::Shutdown::Write)?;
//! #     let mut answer = String::new();
//! #     stream.read_to_string(&mut answer)?;
//! #     stop.drain()?; // from another thread, or a signal handler's pipe
//! #     Ok(answer)
//! # });
//! println!("listening on {address}");
//! reactor.run(&mut server)?; // until stop.drain() is called on another thread
//! # assert_eq!(client.join().unwrap()?, "HELLO");
//! # assert_eq!(server.counters().clients.closed.peer_closed, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Platforms
//!
//! Written for Linux, where it is measured and tested. What it uses elsewhere is portable, but nothing
//! beyond Linux has been tried.

#![doc(test(attr(deny(warnings))))]

// The model of a kernel in `tests/` names this crate as any test would.
#[cfg(test)]
extern crate self as echoloop;

#[cfg(test)]
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/support/seeds.rs"]
mod seeds;

pub mod client;
pub mod connection;
#[doc = include_str!("guide.md")]
pub mod guide {}
#[cfg(all(feature = "bench", target_os = "linux"))]
pub mod lab;
#[cfg(feature = "bench")]
pub mod load;
pub mod probe;
pub mod reactor;
#[cfg(feature = "bench")]
pub mod report;
pub mod server;
pub mod service;
#[cfg(feature = "bench")]
pub mod trace;

pub use connection::Reply;
pub use reactor::Reactor;
pub use server::{Config, Server};
pub use service::{ClientId, Service};
