//! Escape sequences in the texts of messages and replies.

/// Whether a text has one of the escape sequences that [`bytes`] interprets.
pub(crate) fn has_escape(text: &str) -> bool {
    let mut behind = text.split('\\').skip(1);
    behind.any(|rest| rest.starts_with(['n', 'r', 't', '0', 'x']))
}

/// The bytes of a text; with `escapes`, its escape sequences are interpreted.
pub(crate) fn bytes(text: &str, escapes: bool) -> Result<Vec<u8>, String> {
    if !escapes {
        return Ok(text.as_bytes().to_vec());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'\\' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let known = match behind.first() {
            Some(b'n') => Some((b'\n', 1)),
            Some(b'r') => Some((b'\r', 1)),
            Some(b't') => Some((b'\t', 1)),
            Some(b'0') => Some((0, 1)),
            Some(b'\\') => Some((b'\\', 1)),
            Some(b'x') => behind.get(1..3).and_then(|digits| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 16).ok()?, 3))
            }),
            _ => None,
        };
        let Some((byte, length)) = known else {
            return Err(format!(
                "'{text}' has a backslash that is no escape: write \\n, \\r, \\t, \\0, \\\\ or \\xHH"
            ));
        };
        bytes.push(byte);
        rest = &behind[length..];
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_understood_when_asked_for() {
        assert_eq!(bytes(r"a\n", false), Ok(b"a\\n".to_vec()));
        assert_eq!(
            bytes(r"PING\r\n\t\0\\\x1bé", true),
            Ok("PING\r\n\t\0\\\x1bé".into())
        );
        for text in [r"\", r"\q", r"\x1", r"\xgg", r"\x1é"] {
            assert!(bytes(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn escape_sequences_are_found() {
        assert!(has_escape(r"a\n") && has_escape(r"\x41"));
        assert!(!has_escape("a\n") && !has_escape(r"C:\dir") && !has_escape("\\"));
    }
}
