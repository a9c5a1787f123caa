//! The settings of a simulated run, drawn from a seed: the plan of the load, its servers, and its machine.

use crate::service::Random;

/// Nanoseconds of a millisecond, and of a microsecond.
pub(super) const MS: u64 = 1_000_000;
pub(super) const US: u64 = 1_000;

/// How messages are due.
#[derive(Clone, Debug)]
pub(super) enum Pace {
    /// After the reply to the one before, and this many nanoseconds.
    Closed { think: u64 },
    /// At rates: messages a second at the beginning and the end of stretches of this many nanoseconds. The last has no end.
    Open {
        stretches: Vec<(f64, f64, u64)>,
        poisson: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReplyKind {
    Echo,
    Suffix(Vec<u8>),
    Size(usize),
    Until(Vec<u8>),
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    Bytes,
    Length,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunLength {
    After(u64),
    Messages(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Churning {
    Forever,
    Messages(u64),
    For(u64),
}

/// What a server does to one message in `one_in`, or to every.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Replies, and closes the connection.
    CloseAfter,
    /// Sends a part of the reply, and closes.
    CloseInside,
    /// Closes without a reply.
    CloseBefore,
    /// Resets the connection.
    Reset,
    /// Never replies on this connection again.
    Stall,
    /// One byte of the reply is another.
    Alter,
    /// The reply is followed by other bytes.
    Surplus,
    /// Some bytes of the reply are missing.
    Missing,
    /// The reply comes twice.
    Twice,
    /// The reply comes after the time limit.
    Late,
    /// Of datagrams: it is lost.
    Lose,
    /// Of datagrams: its end is missing.
    Truncate,
    /// Of datagrams: the number of its run is another.
    DamageHead,
    /// Of datagrams: it is overtaken by later ones.
    Reorder,
}

const STREAM_FAULTS: [Fault; 10] = [
    Fault::CloseAfter,
    Fault::CloseInside,
    Fault::CloseBefore,
    Fault::Reset,
    Fault::Stall,
    Fault::Alter,
    Fault::Surplus,
    Fault::Missing,
    Fault::Twice,
    Fault::Late,
];

const DATAGRAM_FAULTS: [Fault; 7] = [
    Fault::Lose,
    Fault::Truncate,
    Fault::DamageHead,
    Fault::Reorder,
    Fault::Alter,
    Fault::Twice,
    Fault::Late,
];

/// What a server is like.
#[derive(Clone, Debug)]
pub(super) struct ServerSettings {
    /// How long a reply takes, at least and at most.
    pub(super) delay: (u64, u64),
    /// Faults, and the mean number of messages per fault.
    pub(super) faults: Option<(Vec<Fault>, u64)>,
    /// It is dead from then on: connections are reset, later ones refused.
    pub(super) dies_at: Option<u64>,
    /// It refuses connections from then on, and serves those there are.
    pub(super) refuses_from: Option<u64>,
    /// It accepts, and never replies.
    pub(super) silent: bool,
    /// It never accepts.
    pub(super) never_accepts: bool,
    /// How many bytes, or datagrams, its end takes before it reads.
    pub(super) capacity: usize,
}

/// What the client's machine is like.
#[derive(Clone, Debug)]
pub(super) struct MachineSettings {
    /// How long a call takes.
    pub(super) call: u64,
    /// The mean number of calls per interrupted or partial one.
    pub(super) short_one_in: Option<u64>,
    /// The mean number of calls per failure for lack of memory or ports.
    pub(super) lacks_one_in: Option<u64>,
    /// The mean number of clock readings per delayed one, and the longest delay.
    pub(super) hiccup: Option<(u64, u64)>,
    /// The mean number of sleeps per late wake-up, and the longest delay.
    pub(super) oversleep: Option<(u64, u64)>,
    /// The mean number of sleeps per spurious event.
    pub(super) spurious_one_in: Option<u64>,
    /// How many datagrams a socket keeps.
    pub(super) inbox: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) udp: bool,
    pub(super) connections: usize,
    pub(super) idle: usize,
    pub(super) sizes: (usize, usize),
    pub(super) message: Option<Vec<u8>>,
    pub(super) pipeline: usize,
    pub(super) answer: ReplyKind,
    pub(super) check: Verification,
    pub(super) timeout: u64,
    pub(super) deadline: Option<u64>,
    pub(super) drain: u64,
    pub(super) interval: u64,
    pub(super) warmup: u64,
    pub(super) end: RunLength,
    pub(super) pace: Pace,
    pub(super) reuse: Churning,
    pub(super) connect_rate: Option<f64>,
    pub(super) connect_timeout: u64,
    pub(super) reset: bool,
    pub(super) seed: u64,
    pub(super) servers: Vec<ServerSettings>,
    pub(super) machine: MachineSettings,
    /// The mean number of iterations before a first signal, and before a second one.
    pub(super) stops_one_in: Option<u64>,
}

impl Settings {
    /// The settings of a seed. Every second run is one without faults.
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x00C0_FFEE);
        let random = &mut random;
        let udp = chance(random, 3);
        let has_faults = chance(random, 2);
        let connections = 1 + random.below(6) as usize;
        let idle = if !udp && chance(random, 5) {
            1 + random.below(3) as usize
        } else {
            0
        };
        let size = [1, 16, 64, 200, 1000][random.below(5) as usize];
        let answer = answer(udp, random);
        let numbered = udp && chance(random, 2);
        let sizes = match (udp, numbered) {
            (true, true) => (32, 32 + random.below(100) as usize),
            _ => (size, size),
        };
        let message = (!numbered && chance(random, 3)).then(|| vec![b'm'; size]);
        let pace = pace(random);
        let is_open = matches!(pace, Pace::Open { .. });
        let timeout = (5 + random.below(60)) * MS;
        // In an open loop, the server shows which connection it is.
        let own_servers = idle > 0 || is_open || chance(random, 3);
        let count = if own_servers { connections + idle } else { 1 };
        let mut machine = machine(has_faults, random);
        if answer == ReplyKind::Nothing {
            // Nothing else keeps a closed loop from sending for ever at one time.
            machine.call = 40 * US;
        }
        let servers = (0..count).map(|_| server(udp, has_faults, random));
        Self {
            servers: servers.collect(),
            machine,
            udp,
            connections,
            idle,
            sizes,
            message,
            pipeline: if chance(random, 2) {
                1
            } else {
                1 + random.below(8) as usize
            },
            answer,
            check: match random.below(6) {
                0 => Verification::Length,
                1 => Verification::Nothing,
                _ => Verification::Bytes,
            },
            timeout,
            deadline: (is_open && chance(random, 3)).then(|| (1 + random.below(20)) * MS),
            drain: (5 + random.below(100)) * MS,
            interval: (10 + random.below(100)) * MS,
            warmup: if chance(random, 2) {
                0
            } else {
                random.below(60) * MS
            },
            end: if chance(random, 3) {
                RunLength::Messages(1 + random.below(400))
            } else {
                RunLength::After((20 + random.below(300)) * MS)
            },
            pace,
            reuse: match random.below(6) {
                0 if !udp => Churning::Messages(1 + random.below(20)),
                1 if !udp => Churning::For((1 + random.below(50)) * MS),
                _ => Churning::Forever,
            },
            connect_rate: chance(random, 8).then(|| 100.0 + random.below(2_000) as f64),
            connect_timeout: (5 + random.below(100)) * MS,
            reset: chance(random, 4),
            seed: random.bits(),
            stops_one_in: chance(random, 4).then(|| 20 + random.below(400)),
        }
    }

    /// How many bytes a message has over TCP, where all are of one size.
    pub(super) fn size(&self) -> usize {
        self.message.as_ref().map_or(self.sizes.0, Vec::len)
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.pace, Pace::Open { .. })
    }

    /// Whether datagrams carry their numbers.
    pub(super) fn is_numbered(&self) -> bool {
        let shown = matches!(self.answer, ReplyKind::Echo | ReplyKind::Suffix(_));
        shown && self.message.is_none() && self.sizes.0 >= 32
    }

    /// Whether nothing goes wrong: neither on a server, nor on the client's machine.
    pub(super) fn is_clean(&self) -> bool {
        let fine = |server: &ServerSettings| {
            server.faults.is_none()
                && server.dies_at.is_none()
                && server.refuses_from.is_none()
                && !server.silent
                && !server.never_accepts
        };
        let machine = &self.machine;
        self.servers.iter().all(fine)
            && machine.lacks_one_in.is_none()
            && !self.has_pauses()
            && machine.inbox == usize::MAX
    }

    /// Whether the client may be late by itself by milliseconds.
    pub(super) fn has_pauses(&self) -> bool {
        let long = |times: Option<(u64, u64)>| times.is_some_and(|(_, most)| most > MS);
        long(self.machine.hiccup) || long(self.machine.oversleep)
    }
}

/// One in `of`.
pub(super) const fn chance(random: &mut Random, of: u64) -> bool {
    random.below(of) == 0
}

fn answer(udp: bool, random: &mut Random) -> ReplyKind {
    match random.below(8) {
        0 => ReplyKind::Suffix(b"| lee".to_vec()),
        1 => ReplyKind::Size(1 + random.below(100) as usize),
        2 if !udp => ReplyKind::Until(b"\r\n.\r\n".to_vec()),
        3 => ReplyKind::Nothing,
        _ => ReplyKind::Echo,
    }
}

fn pace(random: &mut Random) -> Pace {
    if chance(random, 2) {
        let think = if chance(random, 4) {
            random.below(3) * MS
        } else {
            0
        };
        return Pace::Closed { think };
    }
    let rate = |random: &mut Random| 50.0 + random.below(4_000) as f64;
    let first = rate(random);
    let stretches = match random.below(3) {
        0 => vec![(first, first, u64::MAX)],
        1 => {
            let (to, time) = (rate(random), (10 + random.below(200)) * MS);
            vec![(first, to, time), (to, to, u64::MAX)]
        }
        _ => {
            let steps = 1 + random.below(3);
            let mut stretches: Vec<_> = (0..steps)
                .map(|_| {
                    let rate = rate(random);
                    (rate, rate, (10 + random.below(80)) * MS)
                })
                .collect();
            let last = stretches.last().map_or(first, |(_, to, _)| *to);
            stretches.push((last, last, u64::MAX));
            stretches
        }
    };
    Pace::Open {
        stretches,
        poisson: chance(random, 2),
    }
}

fn server(udp: bool, has_faults: bool, random: &mut Random) -> ServerSettings {
    let least = random.below(500) * US;
    let mut server = ServerSettings {
        delay: (least, least + random.below(3_000) * US),
        faults: None,
        dies_at: None,
        refuses_from: None,
        silent: false,
        never_accepts: false,
        capacity: 1 << (6 + random.below(12)),
    };
    if !has_faults {
        return server;
    }
    let all: &[Fault] = if udp {
        &DATAGRAM_FAULTS
    } else {
        &STREAM_FAULTS
    };
    if chance(random, 2) {
        let count = 1 + random.below(3);
        let kinds = (0..count).map(|_| all[random.below(all.len() as u64) as usize]);
        server.faults = Some((kinds.collect(), [1, 3, 20, 200][random.below(4) as usize]));
    }
    let time = |random: &mut Random| random.below(250) * MS;
    match random.below(8) {
        0 => server.dies_at = Some(time(random)),
        1 => server.refuses_from = Some(time(random)),
        2 => server.silent = chance(random, 2),
        3 => server.never_accepts = chance(random, 4),
        _ => {}
    }
    server
}

fn machine(has_faults: bool, random: &mut Random) -> MachineSettings {
    let mut machine = MachineSettings {
        call: [US, 5 * US, 40 * US][random.below(3) as usize],
        short_one_in: chance(random, 2).then(|| 2 + random.below(20)),
        lacks_one_in: None,
        hiccup: chance(random, 2).then_some((16, 5 * US)),
        oversleep: chance(random, 2).then_some((4, 80 * US)),
        spurious_one_in: chance(random, 4).then(|| 1 + random.below(10)),
        inbox: usize::MAX,
    };
    if has_faults {
        machine.lacks_one_in = chance(random, 4).then(|| 10 + random.below(200));
        if chance(random, 4) {
            machine.hiccup = Some((500, 40 * MS));
        }
        if chance(random, 4) {
            machine.oversleep = Some((50, 300 * MS));
        }
        if chance(random, 3) {
            machine.inbox = 1 + random.below(3) as usize;
            machine.oversleep = Some((2, 3 * MS));
        }
    }
    machine
}
