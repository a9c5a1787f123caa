//! Simulated runs of the load generator: its own loop and accounting, on a modelled poll, clock, network and servers.
//!
//! Plans, faults of servers and of the network, and the behaviour of the machine are drawn from a seed. The oracle shares
//! no code with the load but the random generator: it recomputes the result from a log of every byte and time. A failure names its seed;
//! `ECHOLOOP_SEED=N cargo test --lib load::simulation` repeats that run, `ECHOLOOP_SEEDS=N` runs N times as many.

mod host;
mod log;
mod oracle;
mod plan;
mod replies;
mod settings;
mod tcp;
mod udp;
mod world;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use self::host::{Shared, log_last, log_next};
use self::log::What;
use self::oracle::Facts;
use self::settings::{Settings, chance};
use self::world::World;
use super::plan::Plan;
use super::result::outcome::Outcome;
use super::run::Load;
use crate::probe::{Off, Turns};
use crate::reactor::{Event, Handler, Next, Poller, Reactor, Registry, drive};
use crate::seeds::live_all;

const SEEDS: u64 = 1024;

/// A pause of the client, in nanoseconds.
const LONG: u64 = 25_000_000;

/// More loop iterations than any run needs.
const TURNS_MAX: u64 = 400_000;

/// Iterations without a call or a passing of time that may follow one another.
const IDLE_TURNS_MAX: usize = 3;

/// A simulated run, and its result.
pub(crate) struct SimulatedRun {
    pub(crate) plan: Plan,
    pub(crate) result: io::Result<Outcome>,
    world: World,
}

/// The modelled poll.
struct Waiting {
    world: Shared,
    registry: Registry,
    events: Vec<Event>,
}

impl Poller for Waiting {
    fn now(&self) -> Instant {
        self.world.0.borrow_mut().read_clock()
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn wait(&mut self, _: Instant, timeout: Option<Duration>) -> io::Result<()> {
        let mut world = self.world.0.borrow_mut();
        world.wait(timeout);
        self.events = world.take_events();
        Ok(())
    }

    fn tell(&self, mut ready: impl FnMut(&Event)) -> usize {
        self.events.iter().for_each(&mut ready);
        self.events.len()
    }

    fn capacity(&self) -> usize {
        1024
    }
}

/// A load that is observed after every iteration.
struct Watched {
    load: Load<Off, Shared>,
    world: Shared,
    was_running: bool,
    was_measuring: bool,
    stops: u32,
    /// When the iteration before began.
    turn_at: u64,
    turns: u64,
    idle_turns: usize,
}

impl Watched {
    /// Writes down which phase the load has come to.
    fn note_phase(&mut self) {
        let (running, measuring) = (self.load.is_running(), self.load.is_measuring());
        if running && !self.was_running {
            log_last(&self.world, What::Running);
        }
        if measuring && !self.was_measuring {
            log_last(&self.world, What::Measuring);
        }
        if !measuring && self.was_measuring {
            log_last(&self.world, What::Draining);
        }
        (self.was_running, self.was_measuring) = (running, measuring);
    }

    /// A signal comes, in some lives.
    fn interrupt(&mut self) {
        let mut world = self.world.0.borrow_mut();
        let Some(one_in) = world.settings.stops_one_in.filter(|_| self.stops < 2) else {
            return;
        };
        // A signal that comes while the client is paused is noticed after the pause.
        let was_paused = world.now() - std::mem::replace(&mut self.turn_at, world.now()) > LONG;
        let one_in = if was_paused { 2 } else { one_in };
        if !chance(&mut world.random, one_in) {
            return;
        }
        drop(world);
        self.stops += 1;
        if self.stops == 1 {
            log_next(&self.world, What::Stopped);
            self.load.stop();
        } else {
            log_next(&self.world, What::Aborted);
            self.load.abort();
        }
        self.note_phase();
    }
}

impl Handler for Watched {
    fn ready(&mut self, event: &Event) {
        self.load.ready(event);
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        self.turns += 1;
        assert!(self.turns < TURNS_MAX, "it does not end");
        self.interrupt();
        let before = (self.world.0.borrow().calls, self.world.0.borrow().now());
        let next = self.load.turn(registry, now);
        self.note_phase();
        let after = (self.world.0.borrow().calls, self.world.0.borrow().now());
        let hurries = next == Next::Wait(Some(Duration::ZERO)) && before == after;
        self.idle_turns = if hurries { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= IDLE_TURNS_MAX, "it spins");
        next
    }
}

impl SimulatedRun {
    /// What its log says that its verdict depends on.
    pub(crate) fn facts(&self) -> Option<Facts> {
        oracle::facts(self)
    }
}

/// Simulates the run of `seed`.
pub(crate) fn simulate(seed: u64) -> SimulatedRun {
    let settings = Settings::draw(seed);
    let plan = plan::plan(&settings);
    plan.check().unwrap();
    let reactor = Reactor::new().unwrap();
    let world = Shared(Rc::new(RefCell::new(World::new(settings, seed))));
    let listener = {
        let world = world.clone();
        move |tick: &super::Tick<'_>| log_last(&world, What::Interval(*tick.interval))
    };
    let mut watched = Watched {
        load: Load::on_host(plan.clone(), listener, Off, world.clone()).unwrap(),
        world: world.clone(),
        was_running: false,
        was_measuring: false,
        stops: 0,
        turn_at: 0,
        turns: 0,
        idle_turns: 0,
    };
    let mut waiting = Waiting {
        world: world.clone(),
        registry: reactor.registry().try_clone().unwrap(),
        events: Vec::new(),
    };
    drive(&mut waiting, &mut Turns::default(), &mut watched).unwrap();
    log_next(&world, What::Over);
    let result = watched.load.finish();
    drop((watched.world, waiting));
    let world = Rc::try_unwrap(world.0).unwrap().into_inner();
    SimulatedRun {
        plan,
        result,
        world,
    }
}

fn simulate_and_check(seed: u64) -> u64 {
    oracle::check(&simulate(seed))
}

#[test]
fn results_match_the_log_of_every_byte() {
    if let Some(messages) = live_all(SEEDS, simulate_and_check) {
        println!("proof: {messages} messages accounted for");
        assert!(
            messages > 10_000,
            "too little happened: {messages} messages"
        );
    }
}
