use std::cell::Cell;
use std::io::{self, Read, Write};

use super::*;
use crate::probe::Moved;

thread_local!(static NOW: Cell<u64> = const { Cell::new(1_000) });

/// Each look takes a nanosecond.
fn clock() -> u64 {
    NOW.with(|now| {
        now.set(now.get() + 1);
        now.get()
    })
}

fn pass(nanoseconds: u64) {
    NOW.with(|now| now.set(now.get() + nanoseconds));
}

/// Answers each call with what is next of these.
struct Script(Vec<io::Result<usize>>);

impl Read for Script {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        pass(10);
        self.0.remove(0)
    }
}

impl Write for Script {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        pass(10);
        self.0.remove(0)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Script {
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_turn_becomes_records_in_the_order_in_which_they_end() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let taken = told.clone();
    let sink = move |records: Vec<Record>| taken.borrow_mut().extend(records);
    let mut recorder = Recorder::new(clock, 2);
    recorder.set_sink(sink);
    let who = ClientId::new(9 << 32 | 2);
    let would_block = || io::Error::from(io::ErrorKind::WouldBlock);
    let results = vec![Ok(64), Ok(60), Err(would_block()), Ok(0)];
    let mut stream = recorder.stream(Script(results));
    recorder.turn_began();
    recorder.opened(who, ([127, 0, 0, 1], 7).into());
    recorder.turn_ended();
    pass(500);
    recorder.marked(Some(who));
    recorder.marked(None);
    pass(30);
    recorder.turn_began();
    recorder.serve_began(who);
    assert_eq!(stream.read(&mut [0; 100]).unwrap(), 64);
    assert_eq!(stream.write(&[0; 64]).unwrap(), 60);
    stream.read(&mut [0; 100]).unwrap_err();
    recorder.serve_ended(who, Served::Done);
    recorder.serve_began(who);
    assert_eq!(stream.read(&mut [0; 100]).unwrap(), 0);
    recorder.serve_ended(who, Served::Over);
    recorder.closed(who, "peer closed");
    recorder.turn_ended();
    let figures = recorder.take_figures();
    assert!(recorder.has_pending());
    recorder.hand_over();
    assert!(!recorder.has_pending());
    assert_eq!(recorder.client(who), Some(([127, 0, 0, 1], 7).into()));
    let other = ClientId::new(10 << 32 | 2);
    assert_eq!(recorder.client(other), None, "of the same slot");
    let told = told.borrow();
    let whats: Vec<What> = told.iter().map(|record| record.what).collect();
    let call = |offset, asked, result| Call {
        offset,
        asked,
        result,
    };
    assert_eq!(
        whats,
        [
            What::Poll {
                events: 0,
                full: false
            },
            What::Open {
                client: ([127, 0, 0, 1], 7).into()
            },
            What::Turn,
            What::Poll {
                events: 2,
                full: true
            },
            What::Read(call(0, 100, Moved::Bytes(64))),
            What::Write(call(0, 64, Moved::Bytes(60))),
            What::Read(call(64, 100, Moved::Nothing)),
            What::Serve {
                waited: Some(31),
                served: Served::Done
            },
            What::Read(call(64, 100, Moved::End)),
            What::Serve {
                waited: None,
                served: Served::Over
            },
            What::Close {
                reason: "peer closed"
            },
            What::Turn,
        ]
    );
    assert!(
        told.iter().all(|record| (record.who == Some(who))
            != matches!(record.what, What::Poll { .. } | What::Turn))
    );
    assert!(
        told.windows(2)
            .all(|pair| pair[0].at + pair[0].took <= pair[1].at + pair[1].took)
    );
    assert_eq!(
        (figures.turns, figures.events, figures.full_batches),
        (2, 2, 1)
    );
    assert_eq!(
        (figures.reads, figures.writes, figures.reads_blocked),
        (3, 1, 1)
    );
    assert_eq!((figures.short_reads, figures.short_writes), (1, 1));
    assert_eq!(
        (figures.bytes_in, figures.bytes_out, figures.messages),
        (64, 60, 1)
    );
    assert_eq!((figures.served, figures.wasted, figures.open), (2, 0, 0));
    assert!(figures.blocked > 500 && figures.busy < 200, "{figures:?}");
    assert_eq!(figures.hottest().unwrap().bytes, 124);
}

/// The polls between them count for none.
#[test]
fn cpu_time_of_the_longest_iteration_is_measured() {
    thread_local! {
        static USED: Cell<u64> = const { Cell::new(1_000_000) };
    }
    let clock_of_cpu = || USED.get();
    let mut recorder = Recorder::new(clock, 2).with_cpu_clock(clock_of_cpu);
    for (poll, iteration) in [(50, 7), (1, 30), (2, 40), (3, 5)] {
        USED.set(USED.get() + poll);
        recorder.turn_began();
        USED.set(USED.get() + iteration);
        recorder.turn_ended();
    }
    assert_eq!(recorder.take_figures().longest_turn_cpu, 40);
    assert_eq!(recorder.take_figures().longest_turn_cpu, 0);
    let mut without = Recorder::new(clock, 2);
    without.turn_began();
    without.turn_ended();
    assert_eq!(without.take_figures().longest_turn_cpu, 0);
}
