//! The text of two traces in one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::document::Elements;
use super::events::quoted;
use super::reader::Trace;
use super::{FORMAT, role_name};

/// The fields of an event, unchanged.
type Fields<'a> = BTreeMap<&'a str, &'a RawValue>;

/// Appends the events of a trace to those in `out`, with the number `process`. Its first event is
/// written again, so that the whole is known to be merged.
///
/// # Errors
///
/// The line that is damaged.
pub(super) fn append(
    trace: &Trace,
    text: &str,
    process: u64,
    out: &mut String,
) -> Result<(), String> {
    let (name, role) = (quoted(&trace.name), role_name(trace.role));
    let start = if out.is_empty() { "[" } else { ",\n" };
    let _ = write!(
        out,
        "{start}{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{process},\"args\":{{\"name\":{name},\
         \"format\":\"{FORMAT}\",\"role\":\"{role}\",\"merged\":true}}}}"
    );
    let mut events = Elements::new(text)?;
    events.next::<IgnoredAny>()?;
    if trace.process == process {
        while let Some(event) = events.next::<IgnoredAny>()? {
            out.push_str(",\n");
            out.push_str(event.text);
        }
        return Ok(());
    }
    while let Some(event) = events.next::<Fields<'_>>()? {
        let _ = write!(out, ",\n{{\"pid\":{process}");
        for (name, value) in event.value {
            let value = value.get();
            match name {
                "pid" => {}
                "id" => {
                    let _ = write!(out, ",\"id\":{}", flow(value, trace.process, process));
                }
                _ => {
                    let _ = write!(out, ",{}:{value}", quoted(name));
                }
            }
        }
        out.push('}');
    }
    Ok(())
}

/// The `id` of an event: that of an arrow begins with the number of its process, because viewers connect
/// all arrows of one `id`.
fn flow(id: &str, old: u64, new: u64) -> String {
    match id.strip_prefix(&format!("\"{old}.")) {
        Some(rest) => format!("\"{new}.{rest}"),
        None => id.to_owned(),
    }
}
