//! Traces that another program has changed, or written to do harm.

use super::*;
use crate::trace::text as text_of;

/// What other programs and systems make of a trace: the same events.
#[test]
fn trace_is_read_in_every_form_that_json_allows() {
    let text = written(1000, Some(end()));
    let expected = read(&text).unwrap();
    let compact = text.replace(",\n", ",");
    let pretty = text
        .replace(",\"", " ,\n  \"")
        .replace("\":", "\" : ")
        .replace('{', "{\n ")
        .replace('}', "\r\n}");
    let object = format!(
        "{{\"displayTimeUnit\": \"ns\", \"a\": [1, {{}}], \"traceEvents\": {text}, \"b\": 1}}"
    );
    for form in [
        format!("\u{feff}{text}"),
        format!(" \n{compact}"),
        pretty,
        object.clone(),
        format!("\u{feff}{{\"traceEvents\":{compact}}}"),
    ] {
        let read = read(&form).unwrap_or_else(|error| panic!("{error}: {form}"));
        assert_eq!(read, expected, "{form}");
    }
    // The array was never closed.
    let cut = object.rsplit_once(']').unwrap().0;
    assert_eq!(read(cut).unwrap(), expected);
}

/// Two runs whose outputs were appended to one file, for example.
#[test]
fn text_after_the_end_of_a_trace_is_refused_with_its_line() {
    let text = written(1000, Some(end()));
    let lines = text.lines().count();
    let object = format!("{{\"traceEvents\": {text}, \"b\": 1}}");
    for (form, line) in [
        (format!("{text}{text}"), lines + 1),
        (format!("{text}\n\n  x"), lines + 3),
        (format!("{}]", text.trim_end()), lines),
        (format!("{object}\n{{}}"), lines + 2),
        (format!("{{\"traceEvents\": {text} 7}}"), lines + 1),
    ] {
        let error = read(&form).unwrap_err();
        let expected = format!("line {line} follows the end of the trace");
        assert!(error.starts_with(&expected), "{error}: {form}");
    }
    assert!(read(&format!("{text} \r\n\t")).is_ok());
}

#[test]
fn trace_is_complete_if_only_the_rest_of_its_object_is_missing() {
    let text = written(1000, Some(end()));
    let object =
        format!("{{\"traceEvents\": {text}, \"b\": \"xyz\", \"metadata\": {{\"k\": [1, null]}}}}");
    let expected = read(&text).unwrap();
    for end in object.rfind(", \"b\"").unwrap()..object.len() {
        let form = &object[..end];
        assert!(read(form).is_ok_and(|read| read == expected), "{form}");
    }
}

#[test]
fn file_that_is_not_plain_json_is_refused_with_the_command_that_converts_it() {
    for (bytes, told) in [
        (
            &b"\x1f\x8b\x08\0"[..],
            "is compressed with gzip: unpack it with 'gzip -dc' first",
        ),
        (b"\x28\xb5\x2f\xfd", "'zstd -dc'"),
        (b"\xfd7zXZ\0", "'xz -dc'"),
        (b"BZh9", "'bzip2 -dc'"),
        (b"\xff\xfe[\0", "'iconv -f UTF-16"),
        (b"\0\0\0", "is not an echoloop trace"),
        (b"[\xff]\n", "line 1 is not an event"),
        (b"[{}\n,\xff\xff\n]", "line 2 is not an event"),
    ] {
        let error = text_of(bytes.to_vec()).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
    // The last character is incomplete.
    assert_eq!(text_of(b"[\xe2\x82".to_vec()).unwrap(), "[");
}

#[test]
fn damage_is_reported_with_its_line() {
    let text = written(1000, Some(end()));
    let line_of = |what: &str| 1 + text[..text.find(what).unwrap()].matches('\n').count();
    for (old, new, told) in [
        (
            r#""dur":0.045"#,
            r#""dur":-0.045"#,
            "the time -0.045 is not between 0 and 100 years",
        ),
        (r#""dur":0.045"#, r#""dur":1e300"#, "the time 1e300 is not"),
        (
            r#""dur":0.045"#,
            r#""dur":18446744073709551.615"#,
            "the time 18446744073709551.615 is not",
        ),
        (
            r#""waited_ns":63"#,
            r#""waited_ns":18446744073709551615"#,
            "the time 18446744073709551615 ns is not",
        ),
        (
            r#""late_ns":20"#,
            r#""late_ns":4000000000000000000"#,
            "the time 4000000000000000000 ns is not",
        ),
        (
            r#""took_ns":400"#,
            r#""took_ns":4000000000000000000"#,
            "the time 4000000000000000000 ns is not",
        ),
        (
            r#""asked":1024"#,
            r#""asked":4294967296"#,
            "is not an event",
        ),
        (r#""count":2"#, r#""count":"2""#, "is not an event"),
        (r#""ts":5000000001.283,"#, "", "is not an event"),
    ] {
        let damaged = text.replacen(old, new, 1);
        assert!(damaged != text, "{old}");
        let error = read(&damaged).unwrap_err();
        assert!(error.contains(told), "{error}");
        assert!(
            error.starts_with(&format!("line {}", line_of(old))),
            "{error}"
        );
    }
}

/// A file of 300 bytes can say that its slot is the last of four billion.
#[test]
fn numbers_of_connections_size_nothing() {
    let high = |number: u64| number.to_string();
    let text = written(1000, Some(end()));
    let plain = read(&text).unwrap();
    let text = text
        .replace(&high(7 << 32), &high(u64::MAX))
        .replace(&high(8 << 32 | 1), &high(u64::MAX - 1));
    let trace = read(&text).unwrap();
    assert_eq!(trace.slots, [u32::MAX, u32::MAX - 1]);
    assert_eq!(trace.records.len(), plain.records.len());
    assert!(
        trace
            .records
            .iter()
            .all(|record| record.who.is_none_or(|who| who.slot() < 2))
    );
    page(&trace, Source::default()).unwrap();
    let (ours, _) = both_ends();
    merge(("c", &ours), ("s", &text)).unwrap();
}

#[test]
fn durations_that_do_not_add_up_are_refused() {
    let text = written(1000, None);
    let event = r#",
{"pid":42,"name":"poll","ph":"X","tid":1,"ts":0,"dur":3153600000000000,"args":{}}"#;
    read(&format!("{text}{event}")).unwrap();
    let error = read(&format!("{text}{}", event.repeat(10))).unwrap_err();
    assert!(error.contains("is not an event"), "{error}");
}

/// Two containers, in each of which the program is process 1.
#[test]
fn processes_of_the_same_number_are_two_in_a_merged_trace() {
    let (ours, theirs) = both_ends();
    let alike = theirs
        .replace("\"pid\":2,", "\"pid\":1,")
        .replace("\"id\":\"2.", "\"id\":\"1.");
    let (apart, merged) = (
        merge(("c", &ours), ("s", &theirs)).unwrap(),
        merge(("c", &ours), ("s", &alike)).unwrap(),
    );
    assert_eq!((apart.renumbered, merged.renumbered), (None, Some(2)));
    check(&merged.text).unwrap();
    let events = |text: &str| serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap();
    assert_eq!(events(&merged.text), events(&apart.text));
}

#[test]
fn merged_trace_is_recognised_by_its_first_event() {
    let (ours, theirs) = both_ends();
    let merged = merge(("c", &ours), ("s", &theirs)).unwrap().text;
    let head = merged.lines().next().unwrap();
    for text in [
        &merged,
        head,
        // As it was before merged traces were marked.
        &merged.replace(",\"merged\":true", ""),
        &merged
            .replace(",\"merged\":true", "")
            .replace("\"pid\":2,", "\"pid\":1,"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with("is a merged trace"), "{error}");
        let error = merge(("c", &ours), ("both.json", text)).unwrap_err();
        assert!(error.starts_with("both.json is a merged trace"), "{error}");
    }
}
