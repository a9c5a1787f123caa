use super::*;
use crate::probe::{Call, Meter, Moved, Record, Served, Span, What};

const MS: u64 = 1_000_000;

/// Everything a loop did, one connection served at a time.
struct Doings(Meter);

impl Doings {
    fn new() -> Self {
        Self(Meter::new(0))
    }

    fn put(&mut self, at: u64, took: u64, who: Option<ClientId>, what: What) {
        self.0.take(&Record {
            at,
            took,
            who,
            what,
        });
    }

    fn open(&mut self, slot: u64) -> ClientId {
        let who = ClientId::new(slot);
        let client = ([127, 0, 0, 1], slot as u16).into();
        self.put(0, 0, Some(who), What::Open { client });
        // The first event of a connection is never for nothing.
        self.serve(who, 0, Moved::Bytes(1), Served::Done);
        who
    }

    fn serve(&mut self, who: ClientId, took: u64, read: Moved, served: Served) {
        let call = Call {
            offset: 0,
            asked: 100,
            result: read,
        };
        self.put(5, 0, Some(who), What::Read(call));
        let waited = Some(7);
        self.put(5, took, Some(who), What::Serve { waited, served });
    }

    fn turns(&mut self, count: u64, took: u64, full: bool) {
        for at in 0..count {
            self.put(at, MS, None, What::Poll { events: 1, full });
            self.put(at, took, None, What::Turn);
        }
    }

    fn lints(&mut self, role: Role, overflows: Option<u64>) -> Vec<Lint> {
        let figures = self.0.take_figures(1000 * MS);
        lints(&figures, role, overflows, |who| format!("c{}", who.get()))
    }

    fn names(&mut self, role: Role) -> Vec<&'static str> {
        self.lints(role, None)
            .iter()
            .map(|lint| lint.name)
            .collect()
    }
}

#[test]
fn a_loop_that_does_its_work_gets_none() {
    let mut doings = Doings::new();
    let all: Vec<_> = (1..=4).map(|slot| doings.open(slot)).collect();
    for _ in 0..500 {
        for &who in &all {
            doings.serve(who, MS / 4, Moved::Bytes(64), Served::Done);
        }
        doings.turns(1, MS, false);
    }
    assert_eq!(doings.lints(Role::Server, Some(0)), []);
}

/// Each rule alone, at its threshold and above.
#[test]
fn each_oddity_is_found_above_its_threshold_and_not_at_it() {
    // Long turns.
    for (took, expected) in [(TURN_MAX, &[][..]), (TURN_MAX + 1, &["long-turn"])] {
        let mut doings = Doings::new();
        doings.turns(1, took, false);
        assert_eq!(doings.names(Role::Server), expected);
    }
    // Full batches: one of a hundred, and one more.
    for (full, expected) in [(1, &[][..]), (2, &["capacity-hit"])] {
        let mut doings = Doings::new();
        doings.turns(100 - full, 0, false);
        doings.turns(full, 0, true);
        assert_eq!(doings.names(Role::Server), expected);
    }
    // For nothing: a fifth of what is served, and one more.
    for (nothing, expected) in [(40, &[][..]), (41, &["spurious"])] {
        let mut doings = Doings::new();
        let all: Vec<_> = (0..10).map(|slot| doings.open(slot)).collect();
        for serve in 0..190 {
            let read = if serve < nothing {
                Moved::Nothing
            } else {
                Moved::Bytes(1)
            };
            doings.serve(all[serve % 10], 1, read, Served::Done);
        }
        assert_eq!(doings.names(Role::Server), expected, "{nothing}");
    }
    // One connection again and again.
    for (turns, expected) in [(STUCK_MAX, &[][..]), (STUCK_MAX + 1, &["no-progress"])] {
        let mut doings = Doings::new();
        let who = doings.open(1);
        for _ in 0..turns {
            doings.serve(who, 1, Moved::Nothing, Served::Done);
        }
        assert_eq!(doings.names(Role::Server), expected);
    }
}

#[test]
fn a_connection_that_takes_most_of_the_work_is_named_with_its_longest_turn() {
    for (hot, found) in [(30, false), (31, true)] {
        let mut doings = Doings::new();
        let (one, other) = (doings.open(1), doings.open(2));
        doings.serve(one, hot * MS, Moved::Bytes(90), Served::Yielded);
        for _ in 0..5 {
            doings.serve(other, 1, Moved::Bytes(1), Served::Done);
        }
        doings.turns(10, 10 * MS, false);
        let lints = doings.lints(Role::Server, None);
        assert_eq!(lints.len(), usize::from(found), "{lints:?}");
        if let Some(lint) = lints.first() {
            assert_eq!(
                (lint.name, lint.who, lint.at),
                ("hot-connection", Some(one), Some(5))
            );
            assert!(
                lint.sentence.starts_with("c1 used 31 % of the time"),
                "{}",
                lint.sentence
            );
            assert!(lint.sentence.contains("--read-budget"), "{}", lint.sentence);
        }
    }
}

#[test]
fn what_is_left_behind_not_taken_or_late_is_told() {
    let mut doings = Doings::new();
    let who = doings.open(1);
    doings.serve(who, 1, Moved::Bytes(100), Served::Done);
    assert_eq!(doings.names(Role::Server), ["undrained"]);
    doings.serve(who, 1, Moved::Bytes(100), Served::Yielded);
    assert_eq!(doings.names(Role::Server), [""; 0]);
    doings.serve(who, 1, Moved::Bytes(1), Served::Blocked);
    assert_eq!(doings.names(Role::Server), ["write-blocked"]);
    doings.serve(who, 1, Moved::Bytes(1), Served::Done);
    let message = |late| What::Message {
        offset: 0,
        size: 1,
        late,
    };
    doings.put(0, 1, Some(who), message(LATE_MAX / 2));
    assert_eq!(doings.names(Role::Load), [""; 0]);
    doings.put(0, 1, Some(who), message(2 * LATE_MAX));
    assert_eq!(doings.names(Role::Load), ["late"]);
    let told = doings.lints(Role::Server, Some(3));
    assert!(
        told[0].sentence.starts_with("3 connections found no room"),
        "{told:?}"
    );
    assert_eq!(Span::default().took, 0);
}

/// Whoever took the time is told although it has left, and another has its slot.
#[test]
fn a_hot_connection_that_has_left_is_not_forgotten() {
    let mut doings = Doings::new();
    let (hot, other) = (doings.open(1), doings.open(2));
    doings.serve(hot, 90 * MS, Moved::Bytes(90), Served::Yielded);
    doings.serve(other, MS, Moved::Bytes(1), Served::Done);
    doings.put(
        0,
        9,
        Some(hot),
        What::Close {
            reason: "peer closed",
        },
    );
    let newcomer = ClientId::new(7 << 32 | 1);
    let client = ([127, 0, 0, 1], 9).into();
    doings.put(0, 0, Some(newcomer), What::Open { client });
    doings.turns(10, 10 * MS, false);
    assert_eq!(doings.lints(Role::Server, None)[0].who, Some(hot));
}

/// Two share the time, and now one, now the other took a little more.
#[test]
fn what_each_took_is_summed_over_stretches() {
    let mut doings = Doings::new();
    let (one, other) = (doings.open(1), doings.open(2));
    let mut sum: Option<Figures> = None;
    for stretch in 0..10 {
        let (more, less) = if stretch % 2 == 0 {
            (one, other)
        } else {
            (other, one)
        };
        doings.serve(more, 50 * MS, Moved::Bytes(1), Served::Done);
        doings.serve(less, 49 * MS, Moved::Bytes(1), Served::Done);
        doings.turns(10, 10 * MS, false);
        let figures = doings.0.take_figures(stretch);
        match &mut sum {
            Some(sum) => sum.absorb(&figures),
            None => sum = Some(figures),
        }
    }
    let sum = sum.unwrap();
    let busy: Vec<u64> = sum.hot.iter().map(|hot| hot.busy).collect();
    assert_eq!(busy, [495 * MS, 495 * MS]);
}

/// A load knows what a message is: one read may bring many answers, and one answer take many reads.
#[test]
fn messages_of_a_load_are_its_answers() {
    let mut doings = Doings::new();
    let who = doings.open(1);
    for _ in 0..3 {
        doings.serve(who, 1, Moved::Bytes(90), Served::Done);
        for _ in 0..5 {
            let what = What::Message {
                offset: 0,
                size: 1,
                late: 1,
            };
            doings.put(0, 1, Some(who), what);
        }
    }
    assert_eq!(doings.0.take_figures(1).messages, 15);
    doings.serve(who, 1, Moved::Bytes(90), Served::Done);
    assert_eq!(doings.0.take_figures(2).messages, 0);
}
