//! Traces of a client and its server, and what is fed with arbitrary ones: by a fuzzer (`tests/fuzz`), from its
//! corpus (`tests/corpora.rs`) and by mutation (`tests/hostile_traces.rs`).

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::LazyLock;

use echoloop::probe::{Call, Moved, Record, Role, Served, What};
use echoloop::service::ClientId;
use echoloop::trace::{End, Source, TraceWriter, merge, page, read, text};

/// The trace of a client with two connections.
pub static CLIENT: LazyLock<String> = LazyLock::new(|| written(Role::Load, 1));

/// The trace of its server.
pub static SERVER: LazyLock<String> = LazyLock::new(|| written(Role::Server, 2));

/// A file that may be a trace. Whatever it holds, it is refused, or makes a page and a merged trace.
pub fn trace(data: &[u8]) {
    let Ok(text) = text(data.to_vec()) else {
        return;
    };
    if let Ok(trace) = read(&text) {
        let _ = page(&trace, Source::default());
        assert!(trace.slots.len() <= text.len());
    }
    for other in [&CLIENT, &SERVER] {
        if let Ok(merged) = merge(("file", &text), ("other", other)) {
            let error = read(&merged.text).unwrap_err();
            assert!(error.starts_with("is a merged trace"), "{error}");
        }
    }
}

fn written(role: Role, process: u32) -> String {
    let mut bytes = Vec::new();
    let mut writer = TraceWriter::begin(&mut bytes, role, "x", process, 1_000).unwrap();
    let mut records = Vec::new();
    for connection in 0..2 {
        records.extend(conversation(role, connection));
    }
    writer.write(&records).unwrap();
    let end = End {
        at: 9_000_000,
        ..End::default()
    };
    writer.finish(end).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// One message on a connection, and its reply.
fn conversation(role: Role, connection: u64) -> Vec<Record> {
    let start = 1_000_000 + 2_000_000 * connection;
    let who = ClientId::new((5 + connection) << 32 | connection);
    let client = ([127, 0, 0, 1], 4000 + connection as u16).into();
    let is_server = role == Role::Server;
    let of = |at: u64, took, who, what| Record {
        at: start + at,
        took,
        who,
        what,
    };
    let call = |bytes| Call {
        offset: 0,
        asked: 1024,
        result: Moved::Bytes(bytes),
    };
    let (events, full) = (1, false);
    let (waited, served) = (Some(15), Served::Done);
    let reason = "peer closed";
    let mut records = vec![
        of(0, 0, Some(who), What::Open { client }),
        of(0, 100, None, What::Poll { events, full }),
    ];
    if is_server {
        records.extend([
            of(140, 10, Some(who), What::Read(call(64))),
            of(200, 10, Some(who), What::Write(call(64))),
            of(130, 90, Some(who), What::Serve { waited, served }),
            of(110, 200, None, What::Turn),
        ]);
    } else {
        let (offset, size, late) = (0, 64, 10);
        records.extend([
            of(100, 10, Some(who), What::Write(call(64))),
            of(300, 10, Some(who), What::Read(call(64))),
            of(290, 30, Some(who), What::Serve { waited, served }),
            of(100, 300, None, What::Turn),
            of(90, 230, Some(who), What::Message { offset, size, late }),
        ]);
    }
    records.push(of(0, 1_000, Some(who), What::Close { reason }));
    records
}
