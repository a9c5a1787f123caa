//! The text of a trace file, and the events in it.
//!
//! A trace is an array of objects, or an object with that array as `traceEvents`. White space does not
//! matter. The end may be missing: a killed program leaves an array without its bracket, and often half
//! an event.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Deserializer, Error};

/// What a file is that is not a trace, with the remedy.
pub const NOT_A_TRACE: &str =
    "is not an echoloop trace: give a file that serve or bench has written with --trace";

/// Formats that are recognised by the first bytes of a file: the bytes, the name, the command that unpacks.
const PACKED: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "gzip", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd"),
    (b"\xfd7zXZ\0", "xz", "xz"),
    (b"BZh", "bzip2", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4"),
];

/// The first bytes of UTF-16, which a redirection in PowerShell writes.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The most bytes of a file that are needed by [`check_start`].
pub const START: usize = 4096;

/// The text of a trace file. An incomplete character at the end is left out.
///
/// # Errors
///
/// What the file is instead of text, with the remedy.
pub fn text(bytes: Vec<u8>) -> Result<String, String> {
    check_start(&bytes)?;
    String::from_utf8(bytes).or_else(|error| {
        let (valid, cut) = (
            error.utf8_error().valid_up_to(),
            error.utf8_error().error_len().is_none(),
        );
        let mut bytes = error.into_bytes();
        if !cut {
            let line = 1 + newlines(&bytes[..valid]);
            return Err(damaged(line));
        }
        bytes.truncate(valid);
        String::from_utf8(bytes).map_err(|_| NOT_A_TRACE.to_owned())
    })
}

/// Checks by the first bytes of a file that it may be a trace, so that nothing else is read as a whole.
///
/// # Errors
///
/// What the file is instead, with the remedy.
pub fn check_start(bytes: &[u8]) -> Result<(), String> {
    for (start, name, command) in PACKED {
        if bytes.starts_with(start) {
            return Err(format!(
                "is compressed with {name}: unpack it with '{command} -dc' first"
            ));
        }
    }
    if UTF_16.iter().any(|start| bytes.starts_with(start)) {
        return Err("is UTF-16: convert it with 'iconv -f UTF-16 -t UTF-8'".to_owned());
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match bytes.trim_ascii_start().first() {
        Some(b'[' | b'{') => Ok(()),
        _ => Err(NOT_A_TRACE.to_owned()),
    }
}

/// The error for a line that is not JSON, or not an event of a trace.
pub(super) fn damaged(line: usize) -> String {
    format!("line {line} is not an event of a trace: the file was damaged, record it again")
}

/// The events of a trace, one after the other. Nothing of them is kept.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    text: &'a str,
    /// The next byte that is read.
    at: usize,
    /// The line of that byte.
    line: usize,
    /// Whether the next event must follow a comma.
    is_first: bool,
    /// The array is a value of an object.
    is_in_object: bool,
}

/// An event, as it is in the file.
#[derive(Debug)]
pub(super) struct Element<'a, T> {
    pub(super) value: T,
    pub(super) text: &'a str,
    /// The line in which it begins.
    pub(super) line: usize,
}

impl<'a> Elements<'a> {
    /// Goes to the first event of `text`.
    ///
    /// # Errors
    ///
    /// The text has no array of events.
    pub(super) fn new(text: &'a str) -> Result<Self, String> {
        let mut elements = Self {
            text,
            at: 0,
            line: 1,
            is_first: true,
            is_in_object: false,
        };
        if text.starts_with(BYTE_ORDER_MARK) {
            elements.at = BYTE_ORDER_MARK.len_utf8();
        }
        let found = elements.enters_array();
        found
            .then_some(elements)
            .ok_or_else(|| NOT_A_TRACE.to_owned())
    }

    /// The next event, or `None` at the end of the trace. An incomplete event is an end too.
    ///
    /// # Errors
    ///
    /// The line that is damaged, or that follows the end.
    pub(super) fn next<T: Deserialize<'a>>(&mut self) -> Result<Option<Element<'a, T>>, String> {
        self.skip_space();
        if !self.is_first {
            match self.peek() {
                None | Some(b']') => return self.end().map(|()| None),
                Some(b',') => self.advance(1),
                Some(_) => return Err(damaged(self.line)),
            }
            self.skip_space();
        }
        match self.peek() {
            None | Some(b']') => return self.end().map(|()| None),
            Some(b'{') => {}
            Some(_) => return Err(damaged(self.line)),
        }
        self.is_first = false;
        let (start, line) = (self.at, self.line);
        match self.value() {
            Ok(value) => Ok(value.map(|value| Element {
                value,
                text: &self.text[start..self.at],
                line,
            })),
            Err(error) if self.is_cut_off(&error) => Ok(None),
            Err(error) => Err(damaged(line + error.line().saturating_sub(1))),
        }
    }

    /// Checks that nothing but the rest of the object follows the array. The rest may be incomplete.
    fn end(&mut self) -> Result<(), String> {
        let is_closed = self.takes(b']');
        if is_closed && self.is_in_object {
            while self.takes(b',') {
                match self.skip_member() {
                    Ok(true) => {}
                    Err(error) if self.is_cut_off(&error) => return Ok(()),
                    Ok(false) | Err(_) => break,
                }
            }
            self.takes(b'}');
        }
        self.skip_space();
        match self.peek() {
            Some(_) => Err(format!(
                "line {} follows the end of the trace: give a file with one trace, and nothing else",
                self.line
            )),
            None => Ok(()),
        }
    }

    /// Goes behind a key and its value. Returns whether both are there.
    fn skip_member(&mut self) -> serde_json::Result<bool> {
        let has_key = self.value::<String>()?.is_some() && self.takes(b':');
        Ok(has_key && self.value::<IgnoredAny>()?.is_some())
    }

    /// Goes behind the bracket that opens the array.
    fn enters_array(&mut self) -> bool {
        if self.takes(b'[') {
            return true;
        }
        self.is_in_object = true;
        if !self.takes(b'{') {
            return false;
        }
        while let Ok(Some(key)) = self.value::<String>() {
            if !self.takes(b':') {
                return false;
            }
            if key == "traceEvents" {
                return self.takes(b'[');
            }
            let is_value = matches!(self.value::<IgnoredAny>(), Ok(Some(_)));
            if !is_value || !self.takes(b',') {
                return false;
            }
        }
        false
    }

    /// Reads a JSON value. `None`: there is nothing more.
    fn value<T: Deserialize<'a>>(&mut self) -> Result<Option<T>, Error> {
        let mut values = Deserializer::from_str(&self.text[self.at..]).into_iter();
        let value = values.next().transpose()?;
        self.advance(values.byte_offset());
        Ok(value)
    }

    /// Whether an error is only that the text ends within an event.
    fn is_cut_off(&self, error: &Error) -> bool {
        let rest = &self.text[self.at..];
        let last = rest.rsplit('\n').next().unwrap_or_default();
        let is_at_end =
            error.line() == 1 + newlines(rest.as_bytes()) && error.column() >= last.len();
        error.is_eof() || is_at_end
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.advance(1);
        }
        is_next
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.advance(rest.len() - rest.trim_ascii_start().len());
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.line += newlines(&self.text.as_bytes()[self.at..self.at + bytes]);
        self.at += bytes;
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
