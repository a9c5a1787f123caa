//! message-io: its node hands over what its poll, of mio, has read, 64 KiB at most at once.

use std::io;

use message_io::network::{NetEvent, SendStatus, Transport};
use message_io::node;

fn main() -> io::Result<()> {
    let (handler, listener) = node::split::<()>();
    let at = ("127.0.0.1", 0);
    let (_, address) = handler.network().listen(Transport::Tcp, at)?;
    println!("listening tcp://{address}");
    listener.for_each(move |event| {
        if let NetEvent::Message(from, bytes) = event.network() {
            // A full send buffer is waited out, so that no byte is lost to whoever verifies.
            while handler.network().send(from, bytes) == SendStatus::ResourceNotAvailable {}
        }
    });
    Ok(())
}
