//! The figures that are counted.

use std::net::TcpListener;
use std::thread::sleep;
use std::time::Duration;

use crate::lockstep::{accept, bench, connect, serve, start_bench, start_server};
use crate::watched::{Tool, Watched};

/// Two sizes of a run, in messages on all connections. The slope between them is free of the cost
/// of starting and stopping.
const MESSAGES: [usize; 2] = [5_000, 55_000];

/// The same for strace, which makes calls slow and counts them exactly.
const TRACED_MESSAGES: [usize; 2] = [1_000, 11_000];

/// Two numbers of idle connections.
const IDLE: [usize; 2] = [1_000, 9_000];

/// How many connections messages are exchanged on.
const CONNECTIONS: [usize; 2] = [1, 100];

pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
}

/// A command, the tool, the number of connections and of rounds: the report of the tool.
type Run = fn(Tool, usize, usize) -> String;

/// Figures that are measured together.
pub(crate) enum Group {
    Calls(&'static str, Run, usize),
    Instructions(&'static str, Run, usize),
    Memory(&'static str, fn() -> [f64; 2]),
}

/// Everything that is measured.
pub(crate) fn groups() -> Vec<Group> {
    let runs: [(&str, Run); 2] = [("serve", serve), ("bench", bench)];
    let mut groups = Vec::new();
    for (command, run) in runs {
        for connections in CONNECTIONS {
            groups.push(Group::Calls(command, run, connections));
            groups.push(Group::Instructions(command, run, connections));
        }
    }
    groups.push(Group::Memory("serve", server_memory));
    groups.push(Group::Memory("bench", bench_memory));
    groups
}

impl Group {
    pub(crate) fn measure(&self) -> Vec<Figure> {
        match *self {
            Self::Calls(command, run, connections) => calls(command, run, connections),
            Self::Instructions(command, run, connections) => {
                let collected = |report: &str| {
                    // ==PID== Collected : 12345
                    let line = report.lines().find(|line| line.contains("Collected :"));
                    let count = line.and_then(|line| line.split_whitespace().last());
                    count.unwrap().parse::<f64>().unwrap()
                };
                let value = slope(MESSAGES, |messages| {
                    collected(&run(Tool::Callgrind, connections, messages / connections))
                });
                vec![figure(command, connections, "user instructions", value)]
            }
            Self::Memory(command, anonymous) => {
                let [few, many] = anonymous();
                vec![Figure {
                    name: format!("{command}: bytes per idle connection"),
                    value: (many - few) / (IDLE[1] - IDLE[0]) as f64,
                }]
            }
        }
    }
}

fn figure(command: &str, connections: usize, what: &str, value: f64) -> Figure {
    Figure {
        name: format!("{command} -c {connections}: {what}"),
        value,
    }
}

/// How much `count` grows for each message more.
fn slope(sizes: [usize; 2], count: impl Fn(usize) -> f64) -> f64 {
    let [short, long] = sizes.map(count);
    (long - short) / (sizes[1] - sizes[0]) as f64
}

const KINDS: [(&str, &[&str]); 4] = [
    ("reads", &["read", "readv", "recvfrom", "recvmsg"]),
    ("writes", &["write", "writev", "sendto", "sendmsg"]),
    ("polls", &["epoll_wait", "epoll_pwait", "epoll_pwait2"]),
    ("epoll_ctl", &["epoll_ctl"]),
];

/// System calls per message, by kind.
fn calls(command: &str, run: Run, connections: usize) -> Vec<Figure> {
    let reports =
        TRACED_MESSAGES.map(|messages| run(Tool::Strace, connections, messages / connections));
    let messages = (TRACED_MESSAGES[1] - TRACED_MESSAGES[0]) as f64;
    let growth = |names: &[&str]| called(&reports[1], names) - called(&reports[0], names);
    let mut others = growth(&["total"]);
    let mut figures = Vec::new();
    for (what, names) in KINDS {
        let count = growth(names);
        others -= count;
        figures.push(figure(command, connections, what, count / messages));
    }
    figures.push(figure(
        command,
        connections,
        "other calls",
        others / messages,
    ));
    figures
}

/// How often those called `names` were called, by the table that strace prints: share, seconds,
/// microseconds each, calls, errors if there were any, name.
fn called(report: &str, names: &[&str]) -> f64 {
    let rows = report.lines().map(|line| line.split_whitespace().collect());
    let named = rows.filter(|row: &Vec<_>| row.last().is_some_and(|name| names.contains(name)));
    let counts = named.filter_map(|row| row.get(3)?.parse::<f64>().ok());
    counts.sum()
}

/// Anonymous memory of `serve` with few and with many idle connections.
fn server_memory() -> [f64; 2] {
    let (server, address) = start_server(Tool::None);
    let mut streams = Vec::new();
    IDLE.map(|idle| {
        while streams.len() < idle {
            streams.push(connect(&address));
        }
        settled(&server, idle)
    })
}

/// Anonymous memory of `bench` with few and with many idle connections.
fn bench_memory() -> [f64; 2] {
    IDLE.map(|idle| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let count = idle.to_string();
        // Nothing is answered, and no time limit may change what is held.
        let limits = ["--duration", "1h", "--timeout", "1h"];
        let load = [&["--idle", &count, "--rate", "1"][..], &limits].concat();
        let client = start_bench(Tool::None, &listener, &load);
        let streams: Vec<_> = (0..=idle).map(|_| accept(&listener)).collect();
        let memory = settled(&client, streams.len());
        drop(client);
        memory
    })
}

/// The anonymous memory of a process that has `connections`, once it does not change any more.
fn settled(process: &Watched, connections: usize) -> f64 {
    process.wait_until(|process| process.descriptors() > connections && process.is_asleep());
    let mut memory = process.anonymous();
    loop {
        sleep(Duration::from_millis(200));
        let later = process.anonymous();
        if later == memory {
            return memory;
        }
        memory = later;
    }
}
