mod untrusted;

use super::*;
use crate::probe::{Call, Moved, Record, Served, What};
use crate::service::ClientId;

/// A turn in which two connections come, one is served, and one leaves.
fn records() -> Vec<Record> {
    let (one, other) = (ClientId::new(7 << 32), ClientId::new(8 << 32 | 1));
    let client = |port: u16| ([127, 0, 0, 1], port).into();
    let of = |at: u64, took, who, what| Record {
        at: 5_000_000_000_123 + at,
        took,
        who,
        what,
    };
    let call = |offset, result| Call {
        offset,
        asked: 1024,
        result,
    };
    vec![
        of(
            0,
            90,
            None,
            What::Poll {
                events: 3,
                full: false,
            },
        ),
        of(110, 0, Some(one), What::Open { client: client(1) }),
        of(120, 0, Some(other), What::Open { client: client(2) }),
        of(100, 30, None, What::Accept { count: 2 }),
        of(95, 45, None, What::Turn),
        of(
            140,
            1_000,
            None,
            What::Poll {
                events: 2,
                full: true,
            },
        ),
        of(1_160, 5, Some(one), What::Read(call(0, Moved::Bytes(64)))),
        of(1_170, 6, Some(one), What::Write(call(0, Moved::Bytes(64)))),
        of(
            1_150,
            50,
            Some(one),
            What::Serve {
                waited: Some(8),
                served: Served::Done,
            },
        ),
        of(1_210, 5, Some(other), What::Read(call(0, Moved::End))),
        of(
            1_205,
            20,
            Some(other),
            What::Serve {
                waited: Some(63),
                served: Served::Over,
            },
        ),
        of(
            120,
            1_110,
            Some(other),
            What::Close {
                reason: "peer closed",
            },
        ),
        of(
            1_240,
            10,
            None,
            What::Datagrams {
                received: 3,
                sent: 2,
            },
        ),
        of(1_141, 150, None, What::Turn),
        of(
            900,
            400,
            Some(one),
            What::Message {
                offset: 640,
                size: 64,
                late: 20,
            },
        ),
    ]
}

fn written(limit: u64, end: Option<End>) -> String {
    let mut bytes = Vec::new();
    let mut writer =
        TraceWriter::begin(&mut bytes, Role::Server, "serve \"x\"", 42, limit).unwrap();
    writer.write(&records()).unwrap();
    match end {
        Some(end) => writer.finish(end).unwrap(),
        None => drop(writer),
    }
    String::from_utf8(bytes).unwrap()
}

fn end() -> End {
    End {
        at: 5_000_000_001_500,
        overflows: Some(3),
        missed: 2,
    }
}

#[test]
fn what_is_written_is_json_and_is_read_again() {
    let text = written(1000, Some(end()));
    serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap();
    let trace = read(&text).unwrap();
    assert!(trace.complete);
    assert_eq!((trace.dropped, trace.overflows), (2, Some(3)));
    assert_eq!(
        (trace.role, trace.name.as_str()),
        (Role::Server, "serve \"x\"")
    );
    let (mut read, mut expected) = (trace.records, records());
    // The connection that was open at the end is told too.
    let open = read.iter().find(|record| {
        record.what
            == What::Close {
                reason: "still open",
            }
    });
    assert_eq!(open.unwrap().who, Some(ClientId::new(7 << 32)));
    read.retain(|record| {
        record.what
            != What::Close {
                reason: "still open",
            }
    });
    let key = |record: &Record| (record.at, record.took, format!("{:?}", record.what));
    read.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(read, expected);
}

/// The program was killed, at whatever byte.
#[test]
fn a_trace_without_its_end_is_read_as_far_as_it_goes() {
    let text = written(1000, None);
    let whole = read(&text).unwrap().records.len();
    assert_eq!(whole, records().len());
    let head = text.find("thread_name").unwrap() + 80;
    for end in head..text.len() {
        if !text.is_char_boundary(end) {
            continue;
        }
        let trace = read(&text[..end]).unwrap_or_else(|error| panic!("{end}: {error}"));
        assert!(!trace.complete && trace.records.len() <= whole);
    }
}

#[test]
fn a_limit_drops_what_comes_behind_it_and_says_how_much() {
    let trace = read(&written(6, Some(end()))).unwrap();
    let kept = trace
        .records
        .iter()
        .filter(|record| !matches!(record.what, What::Close { .. }));
    assert_eq!(kept.count(), 6);
    // The connection that ended behind the limit is told with its end, because its beginning is.
    let ended = What::Close {
        reason: "peer closed",
    };
    assert!(trace.records.iter().any(|record| record.what == ended));
    assert_eq!(trace.dropped - 2, records().len() as u64 - 6 - 1);
    // Behind the limit, nobody comes to be.
    let trace = read(&written(1, Some(end()))).unwrap();
    assert_eq!(trace.records.len(), 1);
    assert_eq!(trace.dropped - 2, records().len() as u64 - 1);
}

#[test]
fn what_is_no_trace_says_so_on_one_line() {
    for text in ["", "[]", "{}", "hello", "[{\"name\":\"x\"}]", "[1,2]"] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with("is not an echoloop trace"), "{error}");
    }
    let text = written(1000, Some(end())).replacen("\"poll\"", "\"po\nll\"", 1);
    assert!(read(&text).unwrap_err().contains("is not an event"));
}

/// What Perfetto demands: on each track, a slice lies within another or beside it.
#[test]
fn slices_of_every_track_are_strictly_nested_and_arrows_begin_and_end_in_one() {
    let text = written(1000, Some(end()));
    check(&text).unwrap();
    let crooked = text.replace("\"dur\":0.045", "\"dur\":0.095");
    assert_ne!(text, crooked);
    assert!(check(&crooked).is_err());
}

/// A bench and a server whose connections follow each other, and one of whose answers is not in the trace.
fn both_ends() -> (String, String) {
    let write = |role, records: &[Record]| {
        let mut bytes = Vec::new();
        let process = if role == Role::Load { 1 } else { 2 };
        let mut writer = TraceWriter::begin(&mut bytes, role, "x", process, 1000).unwrap();
        writer.write(records).unwrap();
        let at = 20_000_000_000;
        let end = End {
            at,
            ..End::default()
        };
        writer.finish(end).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    const LATER: u64 = 10_000_000_000;
    let client = ([127, 0, 0, 1], 7).into();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (index, start) in [(0, 1_000), (1, LATER)] {
        let (our, their) = (
            ClientId::new(index << 32),
            ClientId::new((index + 5) << 32 | index),
        );
        let put = |to: &mut Vec<Record>, at, took, who, what| {
            let at = start + at;
            to.push(Record {
                at,
                took,
                who: Some(who),
                what,
            });
        };
        let call = |bytes| Call {
            offset: 0,
            asked: 64,
            result: Moved::Bytes(bytes),
        };
        put(&mut ours, 0, 0, our, What::Open { client });
        // The later one is accepted late, as by a server that stood still.
        put(
            &mut theirs,
            20 + 4_000_000 * index,
            0,
            their,
            What::Open { client },
        );
        put(&mut ours, 100, 10, our, What::Write(call(64)));
        put(&mut theirs, 140, 10, their, What::Read(call(64)));
        put(
            &mut theirs,
            200 + 1_000 * index,
            10,
            their,
            What::Write(call(64)),
        );
        put(
            &mut theirs,
            130,
            90,
            their,
            What::Serve {
                waited: Some(15),
                served: Served::Done,
            },
        );
        put(
            &mut ours,
            300 + 1_000 * index,
            10,
            our,
            What::Read(call(64)),
        );
        put(
            &mut ours,
            290 + 1_000 * index,
            30,
            our,
            What::Serve {
                waited: Some(5),
                served: Served::Done,
            },
        );
        put(
            &mut ours,
            90,
            230 + 1_000 * index,
            our,
            What::Message {
                offset: 0,
                size: 64,
                late: 10,
            },
        );
        let gone = |at| start + at;
        for (to, who) in [(&mut ours, our), (&mut theirs, their)] {
            let reason = "peer closed";
            to.push(Record {
                at: gone(20),
                took: 5_000_000,
                who: Some(who),
                what: What::Close { reason },
            });
        }
        // Nothing is known of the next message's way.
        put(
            &mut ours,
            2_000,
            10,
            our,
            What::Message {
                offset: 64,
                size: 64,
                late: 10,
            },
        );
    }
    (write(Role::Load, &ours), write(Role::Server, &theirs))
}

#[test]
fn both_ends_of_a_message_are_found_by_their_place_and_time() {
    let (ours, theirs) = both_ends();
    for merged in [
        merge(("c", &ours), ("s", &theirs)).unwrap(),
        merge(("s", &theirs), ("c", &ours)).unwrap(),
    ] {
        check(&merged.text).unwrap();
        assert_eq!(merged.unmatched, 2, "what is not in a trace is not guessed");
        let parts: Vec<[u64; 6]> = merged
            .journeys
            .iter()
            .map(|journey| journey.parts)
            .collect();
        assert_eq!(
            parts,
            [
                [20, 5, 25, 70, 75, 35],
                // The same address again, later, and it took a microsecond longer to answer.
                [20, 5, 25, 1_070, 75, 35],
            ]
        );
        assert_eq!(merged.journeys[1].blamed(), Role::Server);
    }
    assert!(
        merge(("a", &ours), ("b", &ours))
            .unwrap_err()
            .contains("same side")
    );
}

/// One of the programs is still writing, or was killed at whatever byte.
#[test]
fn traces_without_their_ends_make_one_that_is_whole() {
    let (ours, theirs) = both_ends();
    let head = theirs.find("thread_name").unwrap() + 80;
    for end in head..theirs.len() {
        let merged = merge(("c", &ours), ("s", &theirs[..end])).unwrap();
        // An arrow may have no end, but the whole is JSON.
        serde_json::from_str::<Vec<serde_json::Value>>(&merged.text)
            .unwrap_or_else(|error| panic!("{end}: {error}"));
        assert_eq!(merged.complete, read(&theirs[..end]).unwrap().complete);
    }
}
