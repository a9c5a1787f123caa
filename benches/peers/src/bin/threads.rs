//! A thread a client, each blocking.

use std::io::{self, Read, Write};
use std::thread;

use peers::{READ_MAX, listen};

fn main() -> io::Result<()> {
    for stream in listen()?.incoming() {
        let mut stream = stream?;
        stream.set_nodelay(true)?;
        thread::Builder::new()
            .stack_size(64 * 1024)
            .spawn(move || {
                let mut room = vec![0; READ_MAX];
                while let Ok(count @ 1..) = stream.read(&mut room) {
                    if stream.write_all(&room[..count]).is_err() {
                        return;
                    }
                }
            })?;
    }
    Ok(())
}
