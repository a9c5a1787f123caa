//! Text of untrusted peers, escaped for a person's terminal.

/// The most bytes an unfinished character can have.
const HELD_MAX: usize = 3;

/// Decodes a stream of bytes and escapes whatever could act on a terminal, or deceive who looks at it.
///
/// The stream may be cut anywhere: a character that one [`push`](Self::push) ends within is held until
/// the next one completes it, so the same bytes always give the same text.
///
/// | in the stream | in the text |
/// |---|---|
/// | printable characters, and line feeds | themselves |
/// | carriage return and line feed | a line feed |
/// | other control characters, of one byte | `\t`, `\r`, `\x1b` and so on |
/// | C1 controls, bidirectional controls, invisible and line-breaking characters | `\u{202e}` and so on |
/// | characters that some fonts draw wider than two columns | `\u{fdfd}` and so on |
/// | bytes that are no UTF-8 | `\xff` and so on |
///
/// # What it is not
///
/// Not an encoding: a peer can send a backslash and an `x`, so the text does not tell an escape from its
/// imitation. Not a frame either: a line feed passes, so each line needs a prefix that names the peer
/// ([`DisplayText`](super::DisplayText)), and wrapping long lines is up to the program. Joiners (`U+200C`, `U+200D`) pass, because words and emoji are made with them.
///
/// ```
/// use echoloop::service::Sanitizer;
///
/// let (mut sanitizer, mut text) = (Sanitizer::new(), String::new());
/// sanitizer.push(b"\x1b[2Jhi \xe4\xbd", &mut text); // the first two bytes of a character
/// sanitizer.push(b"\xa0\r\n", &mut text);
/// sanitizer.finish(&mut text);
/// assert_eq!(text, "\\x1b[2Jhi 你\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Sanitizer {
    /// The beginning of a character that is not complete. Invariant: at most [`HELD_MAX`] bytes of it.
    held: [u8; HELD_MAX],
    held_len: usize,
    /// A carriage return has come, and what follows decides what it is.
    returned: bool,
}

impl Sanitizer {
    /// At the beginning of a stream.
    pub const fn new() -> Self {
        Self {
            held: [0; HELD_MAX],
            held_len: 0,
            returned: false,
        }
    }

    /// Appends to `text` what `bytes`, the next of the stream, show.
    pub fn push(&mut self, mut bytes: &[u8], text: &mut String) {
        // At most three more bytes decide what is held.
        while self.held_len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            let mut joined = [0; HELD_MAX + 1];
            joined[..self.held_len].copy_from_slice(&self.held[..self.held_len]);
            joined[self.held_len] = byte;
            let joined_len = self.held_len + 1;
            self.held_len = 0;
            self.decode(&joined[..joined_len], text);
        }
        self.decode(bytes, text);
    }

    /// Appends to `text` what was held back: the stream has ended. Then it may begin anew.
    pub fn finish(&mut self, text: &mut String) {
        self.end_return(text);
        for index in 0..std::mem::take(&mut self.held_len) {
            push_byte(self.held[index], text);
        }
    }

    fn decode(&mut self, mut bytes: &[u8], text: &mut String) {
        loop {
            let (valid, error) = match std::str::from_utf8(bytes) {
                Ok(valid) => (valid, None),
                Err(error) => {
                    let valid = &bytes[..error.valid_up_to()];
                    (std::str::from_utf8(valid).unwrap_or_default(), Some(error))
                }
            };
            for c in valid.chars() {
                self.show(c, text);
            }
            let Some(error) = error else { return };
            let rest = &bytes[valid.len()..];
            let Some(invalid) = error.error_len() else {
                self.held[..rest.len()].copy_from_slice(rest);
                self.held_len = rest.len();
                return;
            };
            self.end_return(text);
            for &byte in &rest[..invalid] {
                push_byte(byte, text);
            }
            bytes = &rest[invalid..];
        }
    }

    fn show(&mut self, c: char, text: &mut String) {
        if c == '\n' {
            self.returned = false;
            text.push(c);
            return;
        }
        self.end_return(text);
        match c {
            '\r' => self.returned = true,
            '\t' => text.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => push_byte(c as u8, text),
            _ if is_unfit(c) => text.extend(c.escape_unicode()),
            _ => text.push(c),
        }
    }

    /// A carriage return that no line feed has followed.
    fn end_return(&mut self, text: &mut String) {
        if std::mem::take(&mut self.returned) {
            text.push_str("\\r");
        }
    }
}

fn push_byte(byte: u8, text: &mut String) {
    text.extend(std::ascii::escape_default(byte).map(char::from));
}

/// Whether a character beyond ASCII acts on a terminal, reorders or hides text, breaks a line, or has a
/// width without a bound.
fn is_unfit(c: char) -> bool {
    matches!(c,
        // C1 controls: 0x9b alone begins a control sequence.
        '\u{80}'..='\u{9f}'
        // Soft hyphen, combining grapheme joiner, Arabic letter mark, Hangul fillers.
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        // Khmer inherent vowels, Mongolian variation selectors and vowel separator.
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero width space, left-to-right and right-to-left marks.
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        // Line and paragraph separators, embeddings and overrides, invisible operators, isolates.
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Khmer beyyal, two-em and three-em dash, and a sentence in one character. Most terminals take
        // them for one column, some for up to three.
        | '\u{17d8}' | '\u{2e3a}' | '\u{2e3b}' | '\u{fdfd}'
        // Variation selectors, but for those that choose between text and emoji.
        | '\u{fe00}'..='\u{fe0d}'
        // Byte order mark, unassigned specials, interlinear annotations, noncharacters.
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        // Egyptian and shorthand format controls, musical ones, tags and further variation selectors.
        | '\u{13430}'..='\u{13440}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
