//! A probe that records: figures always, and every record if somebody takes them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use super::Probe;
use super::figures::Figures;
use super::meter::Meter;
use super::record::{Call, Record, Served, What};
use super::traced::{Calls, Made, Traced, Way};
use crate::connection::Stream;
use crate::service::ClientId;

/// How many records are handed on at once.
const CHUNK: usize = 4096;

/// Whoever takes records, many at once, in the order in which they ended. It must not block.
type Sink = Box<dyn FnMut(Vec<Record>)>;

/// A probe that records what a loop does.
///
/// # It is no bystander
///
/// A message costs two looks at the clock more than without it, 25 ns each where the kernel answers that without a system
/// call; six with a sink, which is told when each call was made. Nothing is written here: that is for the sink, on another
/// thread.
pub struct Recorder {
    calls: Rc<Calls>,
    /// How many events one poll can bring.
    capacity: usize,
    meter: Meter,
    cpu: Option<CpuClock>,
    sink: Option<Sink>,
    chunk: Vec<Record>,
    /// By slot: who is there.
    lives: Vec<Life>,
    /// When the loop went to sleep, and when it woke; 0 if it has not.
    slept: u64,
    woke: u64,
    events: u32,
    serving: u64,
}

/// A clock of the CPU time of the loop's thread.
#[derive(Clone, Copy, Debug)]
struct CpuClock {
    clock: fn() -> u64,
    /// What it showed when the iteration began.
    began: u64,
}

/// What is known of the connection in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    client: Option<(ClientId, SocketAddr)>,
    opened: u64,
    /// When an event has marked it; 0 if it was served since.
    marked: u64,
    read: u64,
    written: u64,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// A recorder whose times are those of `clock`, in nanoseconds, of a loop whose polls bring at most `capacity`
    /// events.
    pub fn new(clock: fn() -> u64, capacity: usize) -> Self {
        let now = clock();
        Self {
            calls: Rc::new(Calls {
                clock,
                timed: Cell::new(false),
                made: RefCell::default(),
            }),
            capacity,
            meter: Meter::new(now),
            cpu: None,
            sink: None,
            chunk: Vec::new(),
            lives: Vec::new(),
            slept: now,
            woke: 0,
            events: 0,
            serving: 0,
        }
    }

    /// Measures the CPU time of each loop iteration too: by `clock`, in nanoseconds of the thread that runs the loop. It is
    /// read twice per iteration.
    #[must_use]
    pub fn with_cpu_clock(mut self, clock: fn() -> u64) -> Self {
        self.cpu = Some(CpuClock { clock, began: 0 });
        self
    }

    /// From now on, hands every record to `sink` as well, some thousand at once. It must not block.
    pub fn set_sink(&mut self, sink: impl FnMut(Vec<Record>) + 'static) {
        self.calls.timed.set(true);
        self.sink = Some(Box::new(sink));
    }

    /// The figures since they were last taken.
    pub fn take_figures(&mut self) -> Figures {
        let now = self.now();
        self.meter.take_figures(now)
    }

    /// The client of the connection `who`, if it is there or was the last in its slot.
    pub fn client(&self, who: ClientId) -> Option<SocketAddr> {
        let (there, client) = self.lives.get(who.slot())?.client?;
        (there == who).then_some(client)
    }

    /// Whether there are records that the sink has not been given.
    pub const fn has_pending(&self) -> bool {
        !self.chunk.is_empty()
    }

    /// Gives the sink the records that it has not been given yet.
    pub fn hand_over(&mut self) {
        if let Some(sink) = &mut self.sink
            && !self.chunk.is_empty()
        {
            sink(std::mem::take(&mut self.chunk));
        }
    }

    fn put(&mut self, at: u64, until: u64, who: Option<ClientId>, what: What) {
        let record = Record {
            at,
            took: until.saturating_sub(at),
            who,
            what,
        };
        self.meter.take(&record);
        let Some(sink) = &mut self.sink else {
            return;
        };
        self.chunk.push(record);
        if self.chunk.len() >= CHUNK {
            let empty = Vec::with_capacity(CHUNK);
            sink(std::mem::replace(&mut self.chunk, empty));
        }
    }

    fn life(&mut self, who: ClientId) -> &mut Life {
        let slot = who.slot();
        if slot >= self.lives.len() {
            self.lives.resize(slot + 1, Life::default());
        }
        &mut self.lives[slot]
    }

    /// Tells what was called on the stream of `who`.
    fn tell_calls(&mut self, who: ClientId) {
        let mut made = self.calls.made.take();
        for &Made {
            way,
            at,
            took,
            asked,
            result,
        } in &made
        {
            let life = self.life(who);
            let moved = match way {
                Way::In => &mut life.read,
                Way::Out => &mut life.written,
            };
            let call = Call {
                offset: *moved,
                asked,
                result,
            };
            *moved += u64::from(call.bytes());
            let what = match way {
                Way::In => What::Read(call),
                Way::Out => What::Write(call),
            };
            self.put(at, at + took, Some(who), what);
        }
        made.clear();
        // Its memory is used again.
        self.calls.made.replace(made);
    }
}

impl Probe for Recorder {
    const ON: bool = true;

    type Stream<S: Stream> = Traced<S>;

    fn stream<S: Stream>(&mut self, stream: S) -> Traced<S> {
        Traced {
            stream,
            calls: self.calls.clone(),
        }
    }

    fn inner<S: Stream>(stream: &mut Traced<S>) -> &mut S {
        &mut stream.stream
    }

    fn into_inner<S: Stream>(stream: Traced<S>) -> S {
        stream.stream
    }

    fn now(&self) -> u64 {
        (self.calls.clock)()
    }

    fn turn_began(&mut self) {
        if self.woke == 0 {
            self.woke = self.now();
        }
        if let Some(cpu) = &mut self.cpu {
            cpu.began = (cpu.clock)();
        }
        let what = What::Poll {
            events: self.events,
            full: self.events as usize >= self.capacity,
        };
        self.put(self.slept, self.woke, None, what);
        self.events = 0;
    }

    fn turn_ended(&mut self) {
        self.slept = self.now();
        self.put(self.woke, self.slept, None, What::Turn);
        self.woke = 0;
        if let Some(cpu) = self.cpu {
            let used = (cpu.clock)().saturating_sub(cpu.began);
            self.meter.take_cpu_time(used);
        }
    }

    fn marked(&mut self, who: Option<ClientId>) {
        if self.woke == 0 {
            self.woke = self.now();
        }
        self.events += 1;
        let woke = self.woke;
        if let Some(who) = who {
            let life = self.life(who);
            if life.marked == 0 {
                life.marked = woke;
            }
        }
    }

    fn opened(&mut self, who: ClientId, client: SocketAddr) {
        let now = self.now();
        *self.life(who) = Life {
            client: Some((who, client)),
            opened: now,
            ..Life::default()
        };
        self.put(now, now, Some(who), What::Open { client });
    }

    fn closed(&mut self, who: ClientId, reason: &'static str) {
        self.tell_calls(who);
        let (opened, now) = (self.life(who).opened, self.now());
        self.put(opened, now, Some(who), What::Close { reason });
    }

    fn serve_began(&mut self, who: ClientId) {
        // What was called since on other streams was not part of serving anybody.
        self.calls.made.borrow_mut().clear();
        let _ = who;
        self.serving = self.now();
    }

    fn serve_ended(&mut self, who: ClientId, served: Served) {
        let now = self.now();
        self.tell_calls(who);
        let began = self.serving;
        let life = self.life(who);
        let marked = std::mem::take(&mut life.marked);
        let waited = (marked > 0).then(|| began.saturating_sub(marked));
        self.put(began, now, Some(who), What::Serve { waited, served });
    }

    fn did(&mut self, who: Option<ClientId>, what: What, began: u64) {
        let now = self.now();
        self.put(began, now, who, what);
    }
}

#[cfg(test)]
mod tests;
