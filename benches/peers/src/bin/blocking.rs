//! One visitor at a time, as a tutorial's server has it: whoever comes second waits until the first has left.

use std::io::{self, Read, Write};

use peers::listen;

fn main() -> io::Result<()> {
    for stream in listen()?.incoming() {
        let mut stream = stream?;
        let mut room = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut room) {
            if stream.write_all(&room[..count]).is_err() {
                break;
            }
        }
    }
    Ok(())
}
