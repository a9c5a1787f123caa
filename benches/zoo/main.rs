//! Hostile clients around one that only wants its answers: what becomes of it, of everybody's bytes and of the server.
//!
//! ```text
//! cargo bench --bench zoo [-- --time TIME] [--peers] [--only WORDS]
//! ```
//!
//! The server has the first core, and everybody else the second. First the sentinel is alone with it, then the zoo comes for
//! the given time, and when it has left, the server is looked at once more.

#[path = "../compare/arguments.rs"]
mod arguments;
#[path = "../compare/cores.rs"]
mod cores;
mod creatures;
mod iterations;
#[path = "../compare/peers.rs"]
#[allow(dead_code)]
mod peers;
mod sentinel;
#[path = "../compare/serving.rs"]
#[allow(dead_code)]
mod serving;
#[path = "../compare/table.rs"]
#[allow(dead_code)]
mod table;
mod watch;

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use self::arguments::{help_or_refuse, refuse};
use self::cores::use_second_core;
use self::creatures::Zoo;
use self::iterations::LongestIterations;
use self::peers::Peers;
use self::sentinel::Latencies;
use self::serving::Server;
use self::table::say;
use self::watch::Watch;

const HELP: &str = "\
Hostile clients around a sentinel: its latencies, everybody's bytes, the server's memory, and
the longest loop iteration of ours, which runs with --watch.

Usage: cargo bench --bench zoo -- [OPTIONS]

Options:
      --time <SECONDS>  How long the zoo stays, for each server [default: 20]
      --peers           The servers of benches/peers as well
      --only <WORDS>    Only servers whose name has these words in it; repeatable
  -h, --help            Print this";

/// How long the sentinel is alone with the server, beside the time of the zoo.
const ALONE: Duration = Duration::from_secs(5);

/// How long descriptors may take to be given back when everybody has left.
const GOODBYE: Duration = Duration::from_secs(40);

/// How long the server is left alone at the end.
const IDLE: Duration = Duration::from_secs(5);

/// Has our server print the longest loop iteration of each second, which adds two system calls to each.
const WATCH: &str = "--watch";

struct Options {
    time: Duration,
    peers: bool,
    only: Vec<String>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            time: Duration::from_secs(20),
            peers: false,
            only: Vec::new(),
        };
        let mut arguments = arguments::typed();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--peers" => options.peers = true,
                "--time" => {
                    let time = arguments::value("--time", "whole seconds", arguments.next());
                    let seconds = time.parse().ok();
                    match seconds.filter(|&seconds| seconds > 0 && seconds <= 7200) {
                        Some(seconds) => options.time = Duration::from_secs(seconds),
                        None => refuse(&format!(
                            "--time needs whole seconds, from 1 to 7200, not '{time}'"
                        )),
                    }
                }
                "--only" => options.only.push(arguments::value(
                    "--only",
                    "words to look for, such as 'libuv'",
                    arguments.next(),
                )),
                other => help_or_refuse(other, HELP),
            }
        }
        options
    }
}

fn main() {
    let options = Options::parse();
    let mut servers = vec![(ours(), true)];
    if options.peers {
        let peers = Peers::build();
        for (name, binary) in [
            ("raw epoll", "epoll"),
            ("tokio", "tokio"),
            ("smol", "smol"),
            ("message-io", "message_io"),
            ("thread a client", "threads"),
            ("one at a time", "blocking"),
            ("libuv", "libuv"),
            ("libevent", "libevent"),
            ("Go", "go"),
        ] {
            servers.extend(Server::peer(&peers, name, binary, &[]).map(|peer| (peer, false)));
        }
    }
    let wanted = |name: &str| {
        let only = &options.only;
        only.is_empty() || only.iter().any(|words| name.contains(words.as_str()))
    };
    servers.retain(|(server, _)| wanted(server.name));
    if servers.is_empty() {
        refuse(&format!(
            "no server has '{}' in its name: 'ours', and with --peers 'raw epoll', 'libuv' and 'Go' are some",
            options.only.join("' or '")
        ));
    }
    use_second_core();
    for (server, datagrams) in servers {
        visit(&server, datagrams, options.time);
    }
}

fn ours() -> Server {
    let mut server = Server::ours(&[WATCH, "--tcp", "127.0.0.1:0", "--udp"]);
    // A port that is free now.
    let socket = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let udp = socket.map_or_else(|error| refuse(&error.to_string()), |udp| udp.to_string());
    server.arguments.push(udp);
    server
}

/// The zoo goes to one server.
fn visit(server: &Server, datagrams: bool, time: Duration) {
    let Some((serving, output)) = server.start_with_output(Some(0)) else {
        return say(&format!("{}: could not be started", server.name));
    };
    // Only ours prints lines.
    let longest = thread::spawn(|| LongestIterations::read(output));
    let address = serving.address.strip_prefix("tcp://");
    let Some(address) = address.and_then(|address| address.parse::<SocketAddr>().ok()) else {
        return say(&format!("{}: listens at {}", server.name, serving.address));
    };
    let udp = datagrams
        .then(|| server.arguments.last()?.parse().ok())
        .flatten();
    let descriptors = serving.descriptors();
    let alone = sentinel::watch(address, ALONE);
    let zoo = Zoo::new(address, udp);
    let (with, memory) = thread::scope(|scope| {
        zoo.let_in(scope);
        let memory = scope.spawn(|| Watch::memory(&serving, time));
        let with = sentinel::watch(address, time);
        zoo.closes.store(true, Relaxed);
        (with, memory.join().unwrap_or_default())
    });
    let left_over = watch::left_over(&serving, descriptors, GOODBYE);
    let wakes = watch::wakes_a_second(&serving, IDLE);
    say(&format!("{}, {} s", server.name, time.as_secs()));
    tell_sentinel("alone", &alone);
    tell_sentinel("with the zoo", &with);
    let lives: Vec<String> = zoo
        .lives()
        .map(|(who, lives)| format!("{lives} {who}"))
        .collect();
    say(&format!("  visitors                {}", lives.join(", ")));
    let bytes = &zoo.bytes;
    say(&format!(
        "  bytes                   {} verified, {} lost, {} wrong; {} conversations stuck",
        bytes.verified.load(Relaxed),
        bytes.lost.load(Relaxed),
        bytes.wrong.load(Relaxed),
        bytes.stuck.load(Relaxed),
    ));
    say(&format!("  memory                  {memory}"));
    let is_ours = server.arguments.iter().any(|argument| argument == WATCH);
    let watched = if is_ours {
        ", 10 of them for --watch"
    } else {
        ""
    };
    say(&format!(
        "  when all have left      {left_over} descriptors more than before, {wakes:.1} wake-ups a second{watched}"
    ));
    // Its output ends with it.
    drop(serving);
    if let (true, Ok(longest)) = (is_ours, longest.join()) {
        say(&format!("  longest loop iteration  {longest}"));
    }
}

fn tell_sentinel(when: &str, latencies: &Latencies) {
    say(&format!("  sentinel, {when:<13} {latencies}"));
}
