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
    // One more, of a connection that ended, is not dropped but told as still open.
    assert_eq!(trace.dropped - 2, records().len() as u64 - 6 - 1);
}

#[test]
fn what_is_no_trace_says_so_on_one_line() {
    for text in ["", "[]", "{}", "hello", "[{\"name\":\"x\"}]", "[1,2]"] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with("is no trace of echoloop"), "{error}");
    }
    let text = written(1000, Some(end())).replacen("\"poll\"", "\"po\nll\"", 1);
    assert!(read(&text).unwrap_err().contains("is no event"));
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
