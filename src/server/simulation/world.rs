//! Everybody outside: peers that do as they please, faults, the time, and what must hold whatever they do.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::kernel::{Kernel, byte};
use super::ledger::{Ledger, Peer};
use super::machine::{ACCEPT_ERRORS, Hall, Machine, Wire};
use super::post::Office;
use super::seeds::Random;
use crate::connection::Readiness;
use crate::reactor::{Event, Token};
use crate::server::Config;

/// For how long nothing moves where nobody is being served, not even late: longer than any delay of an answer.
pub(super) const CALM: Duration = Duration::from_secs(1);

/// How likely each act is, drawn from the seed: some lives are all connecting, others all resets.
#[derive(Debug)]
pub(super) struct Chances {
    acts: [usize; 14],
    /// One event in so many is late.
    late: usize,
    events: usize,
    lag: usize,
    /// The machine is suspended now and then.
    suspends: bool,
}

impl Chances {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut acts: [usize; 14] = std::array::from_fn(|_| random.below(8));
        // Faults that are likely leave nothing to go wrong.
        for fault in &mut acts[8..] {
            *fault /= 2;
        }
        Self {
            acts,
            late: 2 + random.below(8),
            events: random.size(64),
            lag: random.size(2_000),
            suspends: random.below(8) == 0,
        }
    }
}

/// Everybody outside.
#[derive(Debug)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) machine: Rc<Machine>,
    pub(super) now: Cell<Instant>,
    chances: Chances,
    config: Config,
    halls: Vec<Rc<Hall>>,
    pub(super) offices: Vec<Rc<Office>>,
    peers: Vec<Peer>,
    /// Those that are over, and have been looked at for the last time.
    over: Vec<Peer>,
    met: usize,
    pub(super) is_healing: bool,
}

impl World {
    pub(super) fn new(
        mut random: Random,
        now: Instant,
        config: Config,
        machine: Rc<Machine>,
        halls: Vec<Rc<Hall>>,
        offices: Vec<Rc<Office>>,
    ) -> Self {
        Self {
            chances: Chances::new(&mut random),
            random,
            machine,
            now: Cell::new(now),
            config,
            halls,
            offices,
            peers: Vec::new(),
            over: Vec::new(),
            met: 0,
            is_healing: false,
        }
    }

    /// Somebody does something.
    pub(super) fn act(&mut self) {
        if self.is_healing {
            return self.heal();
        }
        for _ in 0..self.random.below(10) {
            let total: usize = self.chances.acts.iter().sum::<usize>() + 1;
            let mut draw = self.random.below(total);
            let act = self.chances.acts.iter().position(|&chance| {
                let hit = draw < chance;
                draw = draw.saturating_sub(chance);
                hit
            });
            self.act_so(act.unwrap_or(0));
        }
    }

    fn act_so(&mut self, act: usize) {
        let amount = self.random.size(2_000);
        match act {
            0 | 1 => self.connect(),
            2 | 3 => self.with_some_peer(|kernel| kernel.peer_sends(amount)),
            4 | 5 => self.with_some_peer(|kernel| kernel.peer_receives(amount)),
            6 => self.datagrams(),
            7 => self.with_some_peer(Kernel::peer_ends),
            8 if self.random.below(4) == 0 => self.with_some_peer(Kernel::peer_resets),
            9 => self.with_some_peer(Kernel::run_short),
            10 => self.with_some_peer(Kernel::interrupt),
            11 => {
                let spare = self.random.below(40);
                self.machine.limit.set(spare + self.random.below(2) * 1000);
            }
            12 => self.fail_a_call(),
            13 => self.machine.unwatched.set(true),
            _ => {}
        }
    }

    /// How many events one wait brings at most.
    pub(super) const fn capacity(&self) -> usize {
        self.chances.events
    }

    fn connect(&mut self) {
        let hall = self.random.below(self.halls.len());
        self.met += 1;
        // A host for a few of them, and an address for each.
        let host = [127, 0, 0, 1 + self.random.below(4) as u8];
        let address = (IpAddr::from(host), self.met as u16).into();
        let (inbox, outbox) = (self.random.size(4_000), self.random.size(2_000));
        let kernel = Kernel::new(inbox, outbox);
        let wire = Rc::new(Wire::new(kernel, self.machine.clone()));
        if self.halls[hall].enter(wire.clone(), address) {
            self.peers.push(Peer::new(wire, address));
        }
    }

    fn with_some_peer(&mut self, act: impl FnOnce(&mut Kernel)) {
        if !self.peers.is_empty() {
            let number = self.random.below(self.peers.len());
            act(&mut self.peers[number].wire.kernel.borrow_mut());
        }
    }

    fn datagrams(&mut self) {
        let number = self.random.below(self.offices.len().max(1));
        let Some(office) = self.offices.get(number).cloned() else {
            return;
        };
        let hosts = [
            [127, 0, 0, 1],
            [127, 0, 0, 2],
            [10, 9, 8, 7],
            [224, 0, 0, 1],
            [0; 4],
        ];
        let host = Ipv4Addr::from(hosts[self.random.below(hosts.len())]);
        let ports = [40_000, 40_001, 40_002, 53, 0];
        let source = (host, ports[self.random.below(ports.len())]).into();
        for _ in 0..self.random.size(40) {
            let mut bytes: Vec<u8> = (0..self.random.below(40)).map(byte).collect();
            if let Some(first) = bytes.first_mut() {
                *first = self.random.below(256) as u8;
            }
            if self.random.below(20) == 0 {
                bytes.extend_from_slice(&self.config.udp_suffix);
            }
            office.deliver(source, bytes);
        }
    }

    fn fail_a_call(&mut self) {
        let errno = ACCEPT_ERRORS[self.random.below(ACCEPT_ERRORS.len())];
        let hall = self.random.below(self.halls.len());
        let office = self.random.below(self.offices.len().max(1));
        match (self.random.below(3), self.offices.get(office)) {
            (1, Some(office)) => office.bounce([4, 111, 105][self.random.below(3)]),
            (2, Some(office)) => {
                let errno = [4, 11, 1, 105, 5][self.random.below(5)];
                office.send_errors.borrow_mut().push_back(errno);
            }
            _ => self.halls[hall].errors.borrow_mut().push_back(errno),
        }
    }

    /// From now on nothing fails, everybody takes what they are owed, and ends when the server has.
    fn heal(&self) {
        self.machine.limit.set(usize::MAX);
        self.machine.unwatched.set(false);
        for hall in &self.halls {
            hall.errors.borrow_mut().clear();
        }
        for office in &self.offices {
            office.receive_errors.borrow_mut().clear();
            office.send_errors.borrow_mut().clear();
        }
        for peer in &self.peers {
            let mut kernel = peer.wire.kernel.borrow_mut();
            kernel.behave();
            kernel.peer_receives(usize::MAX);
            if kernel.is_shut() {
                kernel.peer_ends();
            }
        }
    }

    /// Every second peer ends.
    pub(super) fn half_end(&self) {
        for peer in self.peers.iter().step_by(2) {
            peer.wire.kernel.borrow_mut().peer_ends();
        }
    }

    /// The events that one wait brings: some are late, some mean nothing, and some are for those who have gone.
    pub(super) fn events(&mut self) -> Vec<Event> {
        let late = if self.is_healing {
            usize::MAX
        } else {
            self.chances.late
        };
        let most = self.chances.events;
        let mut events = Vec::new();
        let take =
            |events: &mut Vec<Event>, random: &mut Random, event: &dyn Fn() -> Option<Event>| {
                if events.len() < most && (late == usize::MAX || random.below(late) > 0) {
                    events.extend(event());
                }
            };
        let (random, count) = (&mut self.random, self.peers.len());
        for hall in &self.halls {
            take(&mut events, random, &|| hall.event());
        }
        for office in &self.offices {
            take(&mut events, random, &|| office.event());
        }
        // So that nobody is always the first.
        let first = random.below(count.max(1));
        for number in (first..count).chain(0..first) {
            let wire = &self.peers[number].wire;
            take(&mut events, random, &|| wire.event());
        }
        if late != usize::MAX && random.below(8) == 0 {
            let anything = Readiness::of(random.below(2) == 0, random.below(2) == 0);
            let gone = self.over.last().into_iter().chain(self.peers.last());
            let tokens = gone.filter_map(|peer| peer.wire.token.get());
            events.extend(tokens.map(|token| Event::new(token, anything)));
        }
        events
    }

    /// Whether an event waits for anybody.
    pub(super) fn wire_of(&self, token: Token) -> Option<&Rc<Wire>> {
        let is_its = |peer: &&Peer| peer.wire.token.get() == Some(token) && peer.wire.is_open.get();
        self.peers.iter().find(is_its).map(|peer| &peer.wire)
    }

    /// How many connections the server has open.
    pub(super) fn open(&self) -> usize {
        let open = self.peers.iter().filter(|peer| peer.wire.is_open.get());
        open.count()
    }

    /// How many wait to be let in.
    pub(super) fn waiting(&self) -> usize {
        self.halls
            .iter()
            .map(|hall| hall.waiting.borrow().len())
            .sum()
    }

    pub(super) fn lag(&mut self) -> Duration {
        if self.chances.suspends && !self.is_healing && self.random.below(200) == 0 {
            return Duration::from_secs(self.random.size(20_000) as u64);
        }
        Duration::from_micros(self.random.below(self.chances.lag) as u64)
    }

    /// Whatever has come back to a peer is what it has sent, in order, each byte once; and a connection was closed with input
    /// unread only behind a wait for the peer's end.
    pub(super) fn check(&mut self, ledger: &Ledger) {
        let now = self.now.get();
        self.peers.iter_mut().for_each(|peer| peer.check(now));
        let is_over = |peer: &Peer| {
            let (was_there, turned_away) = (peer.wire.calls.get() > 0, peer.wire.turned_away.get());
            turned_away || (was_there && !peer.wire.is_open.get())
        };
        let (over, peers) = std::mem::take(&mut self.peers)
            .into_iter()
            .partition(is_over);
        self.peers = peers;
        for peer in over {
            peer.check_over(ledger, now, &self.config, self.is_healing);
            self.over.push(peer);
        }
    }

    /// Nobody who is there has moved anything lately, or has come.
    pub(super) fn is_calm(&self) -> bool {
        let open = self.peers.iter().filter(|peer| peer.wire.is_open.get());
        open.map(|peer| peer.still(self.now.get()))
            .all(|still| still >= CALM)
    }

    /// Once everything is healed and quiet, nobody who is still there is owed anything, and nobody waits who could be let in.
    pub(super) fn check_quiet(&self, ledger: &Ledger) {
        for peer in self.peers.iter().filter(|peer| peer.wire.is_open.get()) {
            let kernel = peer.wire.kernel.borrow();
            let answered = ledger.answered.get(&peer.address).copied().unwrap_or(0);
            if !kernel.is_shut() {
                // Those who were owed something when it came are looked at once more.
                let patience = self.config.idle_timeout.map(|timeout| timeout * 2);
                let still = peer.still(self.now.get());
                assert!(
                    patience.is_none_or(|patience| still < patience),
                    "not hung up on after {still:?}: {peer:?}"
                );
                let back = kernel.received.len();
                assert_eq!(
                    (answered, back),
                    (kernel.sent, kernel.sent),
                    "stuck: {peer:?}"
                );
            }
        }
        let room = self.config.max_conns.saturating_sub(self.open());
        assert!(
            room == 0 || self.waiting() == 0 || self.is_paced(),
            "{} were never let in",
            self.waiting()
        );
        for office in &self.offices {
            assert_eq!(office.len(), 0, "datagrams were never received");
        }
    }

    /// Whether somebody was let in so lately that the next has to wait.
    fn is_paced(&self) -> bool {
        let all = self.over.iter().chain(&self.peers);
        let last = all.filter_map(Peer::since).max();
        let each = |rate| Duration::from_secs_f64(1.0 / rate);
        self.config
            .accept_rate
            .zip(last)
            .is_some_and(|(rate, last)| self.now.get() - last < each(rate))
    }

    /// Once the server has stopped, nothing is left of anybody.
    pub(super) fn check_stopped(&self, ledger: &Ledger) {
        assert_eq!((self.open(), self.machine.used.get()), (0, 0), "left open");
        assert!(ledger.clients.is_empty(), "an end was not told");
        for peer in &self.peers {
            // Those that were never let in.
            assert!(peer.wire.kernel.borrow().received.is_empty());
            assert!(!ledger.answered.contains_key(&peer.address));
        }
    }

    /// How many bytes have come back to peers.
    pub(super) fn bytes(&self) -> u64 {
        let all = self.over.iter().chain(&self.peers);
        all.map(|peer| peer.wire.kernel.borrow().received.len() as u64)
            .sum()
    }
}
