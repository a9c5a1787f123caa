use super::super::{End, TraceWriter, read};
use super::*;
use crate::probe::{Call, Figures, Meter, Moved, Record, Served, What, lints};
use crate::service::ClientId;

/// When the loop began.
const BEGAN: u64 = 7_000_000_000;

/// How often the loop turns.
const TURNS: u64 = 150;

fn who(slot: u64) -> ClientId {
    ClientId::new(9 << 32 | slot)
}

fn of(at: u64, took: u64, slot: Option<u64>, what: What) -> Record {
    let who = slot.map(who);
    Record {
        at,
        took,
        who,
        what,
    }
}

fn call(result: Moved) -> Call {
    Call {
        offset: 0,
        asked: 1024,
        result,
    }
}

/// A loop with three connections: 0 is served as little as can be, 1 takes nearly all of its time, 2 is ready for
/// nothing. One turn is long.
fn busy() -> Vec<Record> {
    let mut records = Vec::new();
    for slot in 0..3 {
        let client = ([127, 0, 0, 1], 4000 + slot as u16).into();
        records.push(of(BEGAN, 0, Some(slot), What::Open { client }));
    }
    let mut now = BEGAN;
    for turn in 0..TURNS {
        let poll = What::Poll {
            events: 3,
            full: false,
        };
        records.push(of(now, 1_000_000, None, poll));
        let woke = now + 1_000_000;
        now = woke + 100;
        let long = if turn == 70 { 20_000_000 } else { 2_000_000 };
        for (slot, took) in [(0, 10_000), (1, long), (2, 5_000)] {
            let result = if slot == 2 {
                Moved::Nothing
            } else {
                Moved::Bytes(64)
            };
            let (waited, served) = (Some(now - woke), Served::Done);
            records.push(of(now + 10, 500, Some(slot), What::Read(call(result))));
            records.push(of(now, took, Some(slot), What::Serve { waited, served }));
            now += took + 50;
        }
        records.push(of(woke, now - woke, None, What::Turn));
    }
    for slot in 0..3 {
        let reason = "drained";
        records.push(of(BEGAN, now - BEGAN, Some(slot), What::Close { reason }));
    }
    records
}

fn written(name: &str, role: Role, records: &[Record], end: bool) -> String {
    let mut bytes = Vec::new();
    let mut writer = TraceWriter::begin(&mut bytes, role, name, 42, u64::MAX).unwrap();
    writer.write(records).unwrap();
    if end {
        let at = BEGAN + 1;
        writer
            .finish(End {
                at,
                overflows: None,
                missed: 0,
            })
            .unwrap();
    }
    String::from_utf8(bytes).unwrap()
}

fn trace(records: &[Record]) -> Trace {
    read(&written("serve", Role::Server, records, true)).unwrap()
}

fn page_of(trace: &Trace) -> String {
    page(trace, Source::default()).unwrap()
}

/// What the script is given.
fn data(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"trace\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// When each slice began and ended, since the beginning.
fn spans(data: &serde_json::Value) -> Vec<(u64, u64)> {
    let number = |column: &str, place: usize| data[column][place].as_u64().unwrap();
    let mut at = 0;
    let places = 0..data["kind"].as_str().unwrap().len();
    let span = places.map(|place| {
        at += number("after", place);
        (at, at + number("took", place))
    });
    span.collect()
}

fn figures_of(records: &[Record]) -> Figures {
    let mut meter = Meter::new(BEGAN);
    records.iter().for_each(|record| meter.take(record));
    let mut figures = meter.take_figures(BEGAN);
    // All three were there at once.
    figures.open = 3;
    figures
}

#[test]
fn whatever_a_trace_says_is_text() {
    let name = "</script><script>alert(1)</script>{{data}}<!-- \u{202e}";
    let mut records = busy();
    records.truncate(60);
    let trace = read(&written(name, Role::Load, &records, true)).unwrap();
    assert_eq!(trace.name, name);
    let source = Source {
        file: "<img src=x onerror=alert(1)>",
        written: Some("</title>"),
    };
    let page = page(&trace, source).unwrap();
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert_eq!(page.matches("</title").count(), 1);
    assert_eq!(
        page.matches("id=\"trace\"").count(),
        1,
        "nothing is filled in twice"
    );
    for part in ["<img", "alert(1)</script>", "<!--", "\u{202e}"] {
        assert!(!page.contains(part), "{part}");
    }
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;{{data}}"));
}

/// No address can hold a `<`; if one day something in the data can, it still ends no element.
#[test]
fn the_data_holds_no_markup() {
    let mut trace = trace(&busy());
    let digest = Digest::new(&trace);
    let mut connections = digest.connections.clone();
    connections[0].name = "</script>".to_owned();
    let json = embedded::json(
        &trace,
        &Digest {
            connections,
            ..Digest::new(&trace)
        },
    );
    assert!(!json.contains('<'));
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["names"][0], "</script>");
    trace.records.clear();
    assert!(Digest::new(&trace).slices.is_empty());
}

#[test]
fn the_headline_is_that_of_the_meter() {
    let records = busy();
    let figures = figures_of(&records);
    let page = page_of(&trace(&records));
    let values = page.split("<data value=\"").skip(1);
    let values: Vec<&str> = values.map(|rest| rest.split_once('"').unwrap().0).collect();
    let number = |value: u64| value.to_string();
    let share = |value: f64| format!("{value:.6}");
    let expected = [
        share(figures.utilisation()),
        number(figures.batches.value_at_quantile(0.5)),
        number(figures.batches.value_at_quantile(0.99)),
        number(figures.batches.max()),
        share(figures.system_calls_per_message().unwrap()),
        share(figures.wasted_share()),
        number(figures.waits.value_at_quantile(0.99)),
    ];
    assert_eq!(values, expected);
    assert!(figures.utilisation() > 0.6 && figures.wasted_share() > 0.3);
    assert!(page.contains(&format!(
        "<td class=\"number\">{}</td>",
        count(figures.system_calls())
    )));
}

#[test]
fn every_lint_is_told_and_leads_to_a_turn_that_is_there() {
    let records = busy();
    let page = page_of(&trace(&records));
    let name = |who: ClientId| format!("127.0.0.1:{}", 4000 + who.slot());
    let found = lints(&figures_of(&records), Role::Server, None, name);
    let names: Vec<_> = found.iter().map(|lint| lint.name).collect();
    assert_eq!(
        names,
        ["long-turn", "hot-connection", "no-progress", "spurious"]
    );
    let (data, items) = (data(&page), page.split("<li><h3>").skip(1));
    let spans = spans(&data);
    assert_eq!(items.clone().count(), found.len());
    for (lint, item) in found.iter().zip(items) {
        let text = item.replace("<code>", "").replace("</code>", "");
        let text = text.replace('\u{a0}', " ");
        assert!(text.contains(&escaped(&lint.sentence)), "{text}");
        let (_, rest) = item.split_once("href=\"#slice-").unwrap();
        let place: usize = rest.split_once('"').unwrap().0.parse().unwrap();
        assert_eq!(&data["kind"].as_str().unwrap()[place..=place], "t");
        let (from, until) = spans[place];
        let at = lint.at.unwrap() - BEGAN;
        assert!(
            from <= at && at <= until,
            "{from} {at} {until}: {}",
            lint.name
        );
    }
}

#[test]
fn a_loop_with_nothing_odd_is_told_so() {
    let records = busy()
        .into_iter()
        .filter(|record| record.who == Some(who(0)));
    let page = page_of(&trace(&records.collect::<Vec<_>>()));
    assert!(page.contains("no lint found anything odd"));
    assert!(!page.contains("<ol class=\"lints\">"));
}

#[test]
fn what_is_drawn_lies_in_order_and_within_what_holds_it() {
    let records = busy();
    let data = data(&page_of(&trace(&records)));
    let kinds = data["kind"].as_str().unwrap();
    let spans = spans(&data);
    for column in ["after", "took", "who", "one", "other"] {
        assert_eq!(
            data[column].as_array().unwrap().len(),
            kinds.len(),
            "{column}"
        );
    }
    let (mut turn, mut served) = ((0, 0), (0, 0));
    for (kind, span) in kinds.chars().zip(&spans) {
        let inside = |outer: (u64, u64)| outer.0 <= span.0 && span.1 <= outer.1;
        match kind {
            't' => turn = *span,
            's' => {
                assert!(inside(turn), "{span:?} {turn:?}");
                served = *span;
            }
            'r' => assert!(inside(served), "{span:?} {served:?}"),
            kind => assert_eq!(kind, 'p'),
        }
    }
    assert_eq!(kinds.matches('t').count() as u64, TURNS);
    let end = spans.iter().map(|&(_, until)| until).max();
    assert_eq!(data["span"].as_u64(), end);
    // The busiest is the first lane.
    assert_eq!(data["names"][0], "127.0.0.1:4001");
    assert_eq!(data["lanes"], 3);
}

/// At its end a trace often has no connection left. What those that were there did to each other is told all the same.
#[test]
fn connections_that_have_left_are_counted() {
    let trace = trace(&busy());
    let digest = Digest::new(&trace);
    assert_eq!((digest.figures.open, digest.figures.closed), (3, 3));
    assert!(page_of(&trace).contains("3\u{a0}connections"));
}

#[test]
fn those_still_open_are_not_over_and_are_owed_what_they_are_owed() {
    let mut records = busy();
    records.retain(|record| !matches!(record.what, What::Close { .. }));
    let mut last = *records
        .iter()
        .rev()
        .find(|record| record.who == Some(who(1)))
        .unwrap();
    let Some(Record { at, took, .. }) = records.last() else {
        panic!("there are records")
    };
    last.at = at + took;
    last.what = What::Serve {
        waited: None,
        served: Served::Blocked,
    };
    records.push(last);
    let trace = trace(&records);
    let digest = Digest::new(&trace);
    assert_eq!((digest.figures.closed, digest.figures.blocked_now), (0, 1));
    assert!(digest.lints.iter().any(|lint| lint.name == "write-blocked"));
}

#[test]
fn a_trace_that_holds_nothing_makes_a_page() {
    let page = page_of(&trace(&[]));
    assert!(page.contains("holds nothing that the loop did") && page.contains("</html>"));
    assert!(!page.contains("<script") && !page.contains("NaN") && !page.contains("inf"));
    assert_eq!(page.matches("<dd class=\"value\">none</dd>").count(), 5);
}

/// The program was killed, within a turn.
#[test]
fn a_trace_that_was_cut_off_makes_a_page_that_says_so() {
    let text = written("serve", Role::Server, &busy(), false);
    let whole = text.lines().count();
    for lines in (4..whole).step_by(41) {
        let cut: Vec<&str> = text.lines().take(lines).collect();
        let trace = read(&cut.join("\n")).unwrap();
        let page = page_of(&trace);
        assert!(page.contains("The trace has no end"), "{lines}");
        if page.contains("id=\"trace\"") {
            let count = spans(&data(&page)).len();
            for rest in page.split("href=\"#slice-").skip(1) {
                let place: usize = rest.split_once('"').unwrap().0.parse().unwrap();
                assert!(place < count, "{place} of {count}");
            }
        }
    }
    assert!(!page_of(&trace(&busy())).contains("The trace has no end"));
}

#[test]
fn what_is_missing_is_told() {
    let mut trace = trace(&busy());
    assert!(!page_of(&trace).contains("not in this trace"));
    trace.dropped = 33_392;
    assert!(page_of(&trace).contains("33\u{202f}392 records are not in this trace"));
}

#[test]
fn a_load_has_its_messages() {
    let mut records = busy();
    let (offset, size, late) = (640, 64, 3_000_000);
    let what = What::Message { offset, size, late };
    records.push(of(BEGAN + 50, 777_000, Some(1), what));
    let trace = read(&written("bench", Role::Load, &records, true)).unwrap();
    let page = page_of(&trace);
    assert_eq!(
        data(&page)["messages"],
        serde_json::json!([[0, 50, 777_000]])
    );
    assert!(page.contains("Due to answered") && page.contains("<h3>late</h3>"));
}

/// Nothing is fetched from anywhere.
#[test]
fn a_page_needs_nothing_else() {
    let page = page_of(&trace(&busy()));
    for word in [
        "http:",
        "https:",
        "src=",
        "url(",
        "@import",
        "fetch(",
        "XMLHttpRequest",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(!page.contains("{{"));
    for lang in [
        "<html lang=\"en\">",
        "<title>serve · echoloop report</title>",
    ] {
        assert!(page.contains(lang));
    }
}

#[test]
fn trace_that_would_hang_a_browser_is_refused_with_the_remedy() {
    let turn = |at, took| of(at, took, None, What::Turn);
    let day = 24 * 3600 * 1_000_000_000;
    let mut trace = trace(&[]);
    for (records, told) in [
        (vec![turn(0, 1); RECORDS_MAX + 1], "has 1000001 records"),
        (vec![turn(0, 1), turn(101 * day, 1)], "spans 101 days"),
        (vec![turn(0, 10); 100], "has iterations that overlap"),
    ] {
        trace.records = records;
        let error = page(&trace, Source::default()).unwrap_err();
        assert!(
            error.starts_with(told) && error.contains("record"),
            "{error}"
        );
    }
    trace.records = vec![turn(0, 0); 1000];
    page(&trace, Source::default()).unwrap();
}
