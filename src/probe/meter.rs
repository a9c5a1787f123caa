//! What a loop's records come to, over some time.

use super::figures::{Figures, Hot, Span};
use super::record::{Moved, Record, Served, What};
use crate::service::ClientId;

/// Makes figures of records.
#[derive(Debug)]
pub struct Meter {
    figures: Figures,
    lives: Vec<Life>,
    /// Bytes moved, or an end seen, since the last connection was served.
    moved: u64,
    /// The last read of the connection that is being served filled its room.
    left_behind: bool,
    open: u64,
    /// Messages are told, and need not be guessed from reads.
    knows_messages: bool,
}

/// What is known of the connection in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    who: Option<ClientId>,
    /// It has not been served yet.
    fresh: bool,
    blocked: bool,
    busy: u64,
    bytes: u64,
    longest: Span,
    /// How often it was served for nothing since it was not.
    idle_turns: u64,
}

impl Life {
    /// What it took of the loop's time, if any.
    fn hot(&self) -> Option<Hot> {
        let who = self.who.filter(|_| self.busy > 0)?;
        Some(Hot {
            who,
            busy: self.busy,
            bytes: self.bytes,
            longest: self.longest,
        })
    }
}

impl Meter {
    /// A meter that has seen nothing yet, from `began` on.
    pub fn new(began: u64) -> Self {
        Self {
            figures: Figures::new(began),
            lives: Vec::new(),
            moved: 0,
            left_behind: false,
            open: 0,
            knows_messages: false,
        }
    }

    /// Takes one record. Calls come before what they were made for.
    pub fn take(&mut self, record: &Record) {
        let &Record {
            at,
            took,
            who,
            what,
        } = record;
        let figures = &mut self.figures;
        match what {
            What::Poll { events, full } => {
                figures.turns += 1;
                figures.blocked += took;
                figures.events += u64::from(events);
                figures.full_batches += u64::from(full);
                if events > 0 {
                    figures.batches.saturating_record(u64::from(events));
                }
            }
            What::Turn => {
                figures.busy += took;
                if took > figures.longest_turn.took {
                    figures.longest_turn = Span { at, took };
                }
            }
            What::Read(call) => {
                figures.reads += 1;
                figures.reads_blocked += u64::from(call.result == Moved::Nothing);
                figures.short_reads += u64::from(call.is_short());
                figures.bytes_in += u64::from(call.bytes());
                figures.messages += u64::from(call.bytes() > 0 && !self.knows_messages);
                self.left_behind = call.bytes() > 0 && call.bytes() == call.asked;
                self.count_bytes(who, call.result);
            }
            What::Write(call) => {
                figures.writes += 1;
                figures.writes_blocked += u64::from(call.result == Moved::Nothing);
                figures.short_writes += u64::from(call.is_short());
                figures.bytes_out += u64::from(call.bytes());
                self.count_bytes(who, call.result);
            }
            What::Serve { waited, served } => {
                if let Some(who) = who {
                    self.count_serving(Span { at, took }, who, waited, served);
                }
            }
            What::Accept { count } => figures.accepted += u64::from(count),
            What::Datagrams { received, sent } => {
                figures.datagrams_in += u64::from(received);
                figures.datagrams_out += u64::from(sent);
                figures.messages += u64::from(received);
            }
            What::Open { .. } => {
                figures.opened += 1;
                self.open += 1;
                if let Some(life) = self.life(who) {
                    let fresh = Life {
                        who,
                        fresh: true,
                        ..Life::default()
                    };
                    // Whoever was there before has left, and is not forgotten.
                    let gone = std::mem::replace(life, fresh);
                    gone.hot()
                        .into_iter()
                        .for_each(|hot| self.figures.heat(hot));
                }
            }
            What::Close { .. } => {
                figures.closed += 1;
                self.open = self.open.saturating_sub(1);
                if let Some(life) = self.life(who) {
                    life.blocked = false;
                }
            }
            What::Message { late, .. } => {
                // A load knows what a message is.
                if !std::mem::replace(&mut self.knows_messages, true) {
                    figures.messages = 0;
                }
                figures.messages += 1;
                figures.lateness.saturating_record(late.max(1));
            }
        }
    }

    /// Takes the CPU time of a loop iteration, in nanoseconds.
    pub fn take_cpu_time(&mut self, used: u64) {
        let longest = &mut self.figures.longest_turn_cpu;
        *longest = used.max(*longest);
    }

    /// The figures since they were last taken, up to `now`.
    pub fn take_figures(&mut self, now: u64) -> Figures {
        let mut figures = std::mem::replace(&mut self.figures, Figures::new(now));
        figures.ended = now;
        figures.open = self.open;
        for life in &mut self.lives {
            figures.blocked_now += u64::from(life.blocked);
            life.hot().into_iter().for_each(|hot| figures.heat(hot));
            (life.busy, life.bytes, life.longest) = (0, 0, Span::default());
        }
        figures
    }

    fn life(&mut self, who: Option<ClientId>) -> Option<&mut Life> {
        let slot = who?.slot();
        if slot >= self.lives.len() {
            self.lives.resize(slot + 1, Life::default());
        }
        Some(&mut self.lives[slot])
    }

    fn count_bytes(&mut self, who: Option<ClientId>, result: Moved) {
        let bytes = match result {
            Moved::Bytes(bytes) => u64::from(bytes),
            // Something was learnt.
            Moved::End | Moved::Failed => {
                self.moved += 1;
                0
            }
            Moved::Nothing => 0,
        };
        self.moved += bytes;
        if let Some(life) = self.life(who) {
            life.bytes += bytes;
        }
    }

    fn count_serving(&mut self, span: Span, who: ClientId, waited: Option<u64>, served: Served) {
        let moved = std::mem::take(&mut self.moved);
        let left_behind = std::mem::take(&mut self.left_behind);
        let Some(life) = self.life(Some(who)) else {
            return;
        };
        // The first event of a connection often says no more than that it is writable.
        let is_first = std::mem::take(&mut life.fresh);
        life.who = Some(who);
        life.blocked = served == Served::Blocked;
        life.busy += span.took;
        if span.took > life.longest.took {
            life.longest = span;
        }
        let for_nothing = moved == 0 && waited.is_some() && served != Served::Over;
        life.idle_turns = if for_nothing { life.idle_turns + 1 } else { 0 };
        let idle_turns = life.idle_turns;
        let figures = &mut self.figures;
        figures.served += 1;
        if for_nothing && !is_first {
            figures.wasted += 1;
            figures.wasted_at = figures.wasted_at.or(Some(span.at));
        }
        if idle_turns > figures.stuck.map_or(1, |(_, turns)| turns) {
            figures.stuck = Some((who, idle_turns));
        }
        figures.yielded += u64::from(served == Served::Yielded);
        figures.undrained += u64::from(left_behind && served == Served::Done);
        if let Some(waited) = waited {
            if waited > figures.waits.max() || figures.waits.is_empty() {
                figures.longest_wait_at = Some(span.at);
            }
            figures.waits.saturating_record(waited.max(1));
        }
    }
}
