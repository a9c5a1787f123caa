//! smol on one thread: a task a client.

use std::io;
use std::net::TcpListener;

use peers::{listen, read_max};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};

fn main() -> io::Result<()> {
    let listener = Async::<TcpListener>::new(listen()?)?;
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        loop {
            let (mut stream, _) = listener.accept().await?;
            let talk = async move {
                let mut room = vec![0; read_max()];
                while let Ok(count @ 1..) = stream.read(&mut room).await {
                    if stream.write_all(&room[..count]).await.is_err() {
                        return;
                    }
                }
            };
            executor.spawn(talk).detach();
        }
    }))
}
