//! A thread a client, each blocking.

use std::io::{self, Read, Write};
use std::thread;

use peers::{listen, read_max};

fn main() -> io::Result<()> {
    for stream in listen()?.incoming() {
        let mut stream = stream?;
        thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || {
                let mut room = vec![0; read_max()];
                while let Ok(count @ 1..) = stream.read(&mut room) {
                    if stream.write_all(&room[..count]).is_err() {
                        return;
                    }
                }
            })?;
    }
    Ok(())
}
