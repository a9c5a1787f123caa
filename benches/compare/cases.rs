//! What a message costs: processor time of the server, user and system, by turns.

use crate::peers::Peers;
use crate::serving::{Server, cost};
use crate::table::Table;
use crate::{Options, Pace};

/// Who is compared with where not fewer are named, and how they are started.
const OTHERS: [Contender; 7] = [
    contender("tokio", "tokio", &[]),
    contender("smol", "smol", &[]),
    contender("message-io", "message_io", &[]),
    contender("libuv", "libuv", &[]),
    contender("libevent", "libevent", &[]),
    contender("Go", "go", &[]),
    contender("thread a client", "threads", &[]),
];

const EPOLL: Contender = contender("raw epoll", "epoll", &[]);
const TCP: &[&str] = &["--tcp", "127.0.0.1:0", "--no-udp", "--max-conns", "19500"];
const UDP: &[&str] = &["--no-tcp", "--udp", "127.0.0.1:0", "--udp-suffix", ""];

/// What is done.
const CASES: [Case; 8] = [
    Case {
        limits: &[(EPOLL, 1.03)],
        others: Some(1.0),
        also: &[contender("one at a time", "blocking", &[])],
        ..case("64 B, 1 connection", &["-c", "1"])
    },
    Case {
        limits: &[(EPOLL, 1.03)],
        others: Some(1.0),
        ..case("64 B, 100 connections", &["-c", "100"])
    },
    Case {
        limits: &[(EPOLL, 1.03)],
        others: Some(1.0),
        ..case("64 B, 1,000 connections", &["-c", "1000"])
    },
    Case {
        limits: &[(EPOLL, 1.03)],
        others: Some(1.0),
        large: true,
        ..case(
            "64 B, 10,000 connections",
            &["-c", "10000", "--source", "127.0.0.1-127.0.0.4"],
        )
    },
    Case {
        limits: &[
            (contender("libuv, 64 KiB", "libuv", &[]), 1.05),
            (contender("recv(1024), send", "epoll", &["1024"]), 0.125),
        ],
        also: &[EPOLL],
        ..case("16 KiB, 10 connections", &["-c", "10", "-s", "16k"])
    },
    Case {
        limits: &[(EPOLL, 1.00)],
        ..case(
            "64 B, 100 connections, 16 in flight",
            &["-c", "100", "-p", "16"],
        )
    },
    Case {
        limits: &[(EPOLL, 1.03)],
        threads: false,
        ..case(
            "connect, echo 64 B once, close",
            &[
                "-c",
                "50",
                "--churn",
                "1",
                "--source",
                "127.0.0.1-127.0.0.8",
            ],
        )
    },
    Case {
        limits: &[(contender("recvfrom, sendto", "datagrams", &[]), 0.85)],
        serve: UDP,
        alone: true,
        ..case(
            "UDP, 64 B, 32 sources, 16 in flight",
            &["-c", "32", "-p", "16"],
        )
    },
];

#[derive(Clone, Copy)]
struct Contender {
    name: &'static str,
    binary: &'static str,
    arguments: &'static [&'static str],
}

struct Case {
    name: &'static str,
    load: &'static [&'static str],
    serve: &'static [&'static str],
    /// With whom it is compared in every round, and how much of what they take ours may take.
    limits: &'static [(Contender, f64)],
    /// The same for all [`OTHERS`], which have every other round.
    others: Option<f64>,
    /// Who has every other round too, without a target.
    also: &'static [Contender],
    /// The others can't be had.
    alone: bool,
    /// What a thread has used is not known any more once it has ended, so where clients come and go, who has one for each
    /// is left out.
    threads: bool,
    /// So many connections that a thread for each is no comparison, and rounds take their time.
    large: bool,
}

const fn contender(
    name: &'static str,
    binary: &'static str,
    arguments: &'static [&'static str],
) -> Contender {
    Contender {
        name,
        binary,
        arguments,
    }
}

const fn case(name: &'static str, load: &'static [&'static str]) -> Case {
    Case {
        name,
        load,
        serve: TCP,
        limits: &[],
        others: None,
        also: &[],
        alone: false,
        threads: true,
        large: false,
    }
}

/// One of those who take turns.
struct Turn {
    server: Server,
    target: Option<f64>,
    /// It has every round, not every other.
    always: bool,
    /// What a message cost it, for each round it had.
    costs: Vec<Option<f64>>,
}

/// Measures every case that is wanted.
pub(crate) fn run(options: &Options, peers: &Peers, table: &mut Table) {
    let mut growth = Vec::new();
    for case in CASES.iter().filter(|case| options.wants(case.name)) {
        let ratio = measure(case, options.pace(), peers, table);
        if [CASES[1].name, CASES[3].name].contains(&case.name) {
            growth.extend(ratio);
        }
    }
    if let [few, many] = growth[..] {
        let what = "10,000 connections against 100, / epoll's";
        table.limit(what, many / few, Some(1.05));
    }
}

/// Measures `case`, and returns what was had against the first that it is compared with.
fn measure(case: &Case, pace: Pace, peers: &Peers, table: &mut Table) -> Option<f64> {
    let rounds = match (case.large, case.alone) {
        (true, _) => pace.rounds.div_ceil(2),
        // The time of the others goes to more rounds: what is sent at once varies more than what one call costs.
        (_, true) if pace.rounds > 1 => 3 * pace.rounds,
        _ => pace.rounds,
    };
    let ours = Server::ours(case.serve);
    let mut own = Vec::new();
    let mut turns = contenders(case, peers);
    for round in 0..rounds {
        // There and back, so that who comes first is not always the same.
        let before = round % 2 == 0;
        let cost_of = |server: &Server| measure_once(server, case, pace);
        let mut mine = before.then(|| cost_of(&ours));
        for (index, turn) in turns.iter_mut().enumerate() {
            if index == 1 && mine.is_none() {
                mine = Some(cost_of(&ours));
            }
            let wanted = turn.always || before || case.large;
            turn.costs
                .push(wanted.then(|| cost_of(&turn.server)).flatten());
        }
        own.push(mine.unwrap_or_else(|| cost_of(&ours)));
    }
    let mut first = None;
    for turn in &turns {
        let both: Vec<(f64, f64)> = own
            .iter()
            .zip(&turn.costs)
            .filter_map(|(ours, theirs)| Some(((*ours)?, (*theirs)?)))
            .collect();
        let ratio = table.compare(case.name, turn.server.name, &both, turn.target);
        first = first.or(ratio);
    }
    first
}

fn contenders(case: &Case, peers: &Peers) -> Vec<Turn> {
    let limits = case
        .limits
        .iter()
        .map(|&(who, target)| (who, Some(target), true));
    let also = case.also.iter().map(|&who| (who, None, false));
    let others = OTHERS.iter().filter(|other| {
        let threads = other.binary == "threads";
        // Libuv is there already where it is the limit.
        let there = case
            .limits
            .iter()
            .any(|(who, _)| who.binary == other.binary && who.arguments.is_empty());
        !case.alone && !there && !(threads && (!case.threads || case.large))
    });
    // To beat a thread for each client is no target of its own.
    let aim = |who: &Contender| case.others.filter(|_| who.binary != "threads");
    let others = others.map(|who| (*who, aim(who), false));
    limits
        .chain(also)
        .chain(others)
        .filter_map(|(who, target, always)| {
            Some(Turn {
                server: Server::peer(peers, who.name, who.binary, who.arguments)?,
                target,
                always,
                costs: Vec::new(),
            })
        })
        .collect()
}

/// What a message costs `server`, in microseconds of its processor time.
fn measure_once(server: &Server, case: &Case, pace: Pace) -> Option<f64> {
    let serving = server.start()?;
    let time = ["-d", pace.time, "--warmup", pace.warmup];
    cost(&serving.load(&[&time, case.load].concat())?, "server")
}
