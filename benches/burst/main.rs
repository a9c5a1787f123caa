//! How long a quiet client waits beside thousands that all want something at once, and how much
//! CPU time the longest loop iteration takes.
//!
//! ```text
//! cargo bench --bench burst [-- --peers] [--rounds N]
//! ```
//!
//! The server has the first core, and the clients the second. Waits contain whatever else the
//! machine does. The CPU time of an iteration does not: it is measured inside, by a server of
//! this library with a [`Recorder`](echoloop::probe::Recorder) whose clock is the CPU time of its
//! thread.

#[path = "../compare/arguments.rs"]
mod arguments;
mod clients;
#[path = "../compare/cores.rs"]
mod cores;
mod measured;
#[path = "../compare/peers.rs"]
#[allow(dead_code)]
mod peers;
#[path = "../compare/serving.rs"]
#[allow(dead_code)]
mod serving;
#[path = "../compare/table.rs"]
#[allow(dead_code)]
mod table;

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::arguments::{help_or_refuse, refuse};
use self::clients::Load;
use self::cores::use_second_core;
use self::peers::Peers;
use self::serving::Server;
use self::table::say;

const HELP: &str = "\
The wait of a quiet client beside thousands that want something at once, and
the CPU time of the longest loop iteration.

Usage: cargo bench --bench burst -- [OPTIONS]

Options:
      --peers        Two other servers as well: tokio and libuv
      --rounds <N>   How often each is measured [default: 3]
  -h, --help         Print this";

/// What the clients do beside the quiet one.
const LOADS: [(&str, Load); 2] = [
    (
        "5,000 clients send 64 KiB at once",
        Load {
            clients: 5_000,
            repeats: false,
            time: Duration::from_millis(500),
        },
    ),
    (
        "9,900 clients send and never read",
        Load {
            clients: 9_900,
            repeats: true,
            time: Duration::from_secs(3),
        },
    ),
];

struct Options {
    peers: bool,
    rounds: usize,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            peers: false,
            rounds: 3,
        };
        let mut arguments = arguments::typed();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--peers" => options.peers = true,
                "--rounds" => {
                    let rounds = arguments::value("--rounds", "a number", arguments.next());
                    match rounds.parse() {
                        Ok(rounds @ 1..=100) => options.rounds = rounds,
                        _ => refuse(&format!(
                            "--rounds needs a number from 1 to 100, not '{rounds}'"
                        )),
                    }
                }
                measured::ARGUMENT => measured::serve(),
                other => help_or_refuse(other, HELP),
            }
        }
        options
    }
}

fn main() {
    raise_limit();
    let options = Options::parse();
    let mut servers = vec![Server::ours(&["--tcp", "127.0.0.1:0", "--no-udp"])];
    if options.peers {
        let peers = Peers::build();
        // Not the loop of bare epoll, which waits for a client that does not read.
        for name in ["tokio", "libuv"] {
            servers.extend(Server::peer(&peers, name, name, &[]));
        }
    }
    use_second_core();
    for (what, load) in &LOADS {
        say(what);
        for round in 1..=options.rounds {
            for server in &servers {
                let waits = server.start().and_then(|serving| {
                    let address = serving.address.strip_prefix("tcp://")?;
                    let address: SocketAddr = address.parse().ok()?;
                    let pid = serving.pid().parse().ok()?;
                    Some(load.run(address, pid))
                });
                report(round, server.name, waits.as_ref().map(ToString::to_string));
            }
            let measured = measured::Measured::start().map(|server| {
                let waits = load.run(server.address, server.pid());
                format!("{waits}; {}", server.finish())
            });
            report(round, "ours, measured", measured);
        }
    }
}

fn report(round: usize, name: &str, result: Option<String>) {
    let result = result.unwrap_or_else(|| "could not be started".to_owned());
    say(&format!("  round {round}  {name:<15} {result}"));
}

/// The clients of a load need more descriptors than a shell allows for.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        refuse(&format!("cannot raise the limit of open files: {error}"));
    }
}
