//! What idle connections take of a server's memory, and what is kept of it when they have left.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::peers::Peers;
use crate::serving::{Server, Serving, bench};
use crate::table::Table;

/// How many idle connections there are. They come from four addresses, which have ports for them.
const IDLE: usize = 10_000;

/// Who is compared with. Who has a buffer for each client is given one of 1 KiB, as the documents have it.
const OTHERS: [(&str, &str, &[&str]); 7] = [
    ("raw epoll", "epoll", &[]),
    ("tokio", "tokio", &["1024"]),
    ("smol", "smol", &["1024"]),
    ("message-io", "message_io", &[]),
    ("libuv", "libuv", &[]),
    ("libevent", "libevent", &[]),
    ("Go", "go", &["1024"]),
];

/// In bytes: for each connection while they are there, and in all when they have left.
struct Memory {
    each: f64,
    kept: f64,
}

/// Measures ours, and, unless it has to be quick, the others.
pub(crate) fn run(quick: bool, peers: &Peers, table: &mut Table) {
    let (each, kept) = (
        "bytes an idle connection, at 10,000",
        "KiB kept of 10,000 that have left",
    );
    let tcp = ["--tcp", "127.0.0.1:0", "--no-udp", "--max-conns", "19500"];
    let Some(ours) = measure(&Server::ours(&tcp)) else {
        return table.missing(each, "they could not be counted");
    };
    table.limit(each, ours.each, Some(128.0));
    let others = OTHERS
        .iter()
        .filter(|_| !quick)
        .filter_map(|&(name, binary, arguments)| {
            let memory = measure(&Server::peer(peers, name, binary, arguments)?)?;
            Some((name, memory))
        });
    let others: Vec<(&str, Memory)> = others.collect();
    for (name, theirs) in &others {
        table.compare(each, name, &[(ours.each, theirs.each)], None);
    }
    if quick {
        table.limit(kept, ours.kept, None);
    }
    for (name, theirs) in &others {
        table.compare(kept, name, &[(ours.kept, theirs.kept)], None);
    }
}

fn measure(server: &Server) -> Option<Memory> {
    let serving = server.start()?;
    // What the first clients need is not theirs alone.
    serving.load(&["-c", "10", "-n", "1000"])?;
    settle(&serving, |count| count < 100)?;
    let before = serving.anonymous()?;
    let idle = IDLE.to_string();
    let crowd = [
        "-c",
        "1",
        "--rate",
        "100",
        "-d",
        "20s",
        "--idle",
        &idle,
        "--source",
        "127.0.0.1-127.0.0.4",
    ];
    let load = bench(&crowd)
        .arg(&serving.address)
        .stdout(Stdio::null())
        .spawn();
    let crowd = Crowd(load.ok()?);
    settle(&serving, |count| count > IDLE)?;
    let held = serving.anonymous()?;
    drop(crowd);
    settle(&serving, |count| count < 100)?;
    let left = serving.anonymous()?;
    Some(Memory {
        each: (held - before).max(0.0) / IDLE as f64,
        kept: (left - before).max(0.0) / 1024.0,
    })
}

/// Waits, for ten seconds at most, until the server has as many descriptors as it should, and a moment more.
fn settle(serving: &Serving, is_there: impl Fn(usize) -> bool) -> Option<()> {
    let until = Instant::now() + Duration::from_secs(10);
    while !is_there(serving.descriptors()) {
        if Instant::now() > until {
            return None;
        }
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(300));
    Some(())
}

/// A load that is ended when this is dropped.
struct Crowd(Child);

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
