//! tokio on one thread: a task a client.

use std::io;

use peers::{listen, read_max};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn main() -> io::Result<()> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut room = vec![0; read_max()];
                while let Ok(count @ 1..) = stream.read(&mut room).await {
                    if stream.write_all(&room[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}
