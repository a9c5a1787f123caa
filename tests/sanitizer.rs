//! Nothing a stranger sends acts on a terminal, however it is cut.

#![allow(clippy::unwrap_used)]

mod support;

use echoloop::service::Sanitizer;
use support::seeds::{Random, live_all};

/// What a stream shows that comes in these pieces.
fn shown<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let (mut sanitizer, mut text) = (Sanitizer::new(), String::new());
    for piece in pieces {
        sanitizer.push(piece, &mut text);
    }
    sanitizer.finish(&mut text);
    text
}

#[track_caller]
fn assert_harmless(text: &str) {
    for c in text.chars() {
        let control = c.is_control() && c != '\n';
        let bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let line_break = matches!(c, '\u{2028}' | '\u{2029}');
        assert!(!control && !bidi && !line_break, "{:?} in {text:?}", c);
    }
}

/// Known ways to make a terminal do what its owner did not ask for, or show what was not sent. Each with
/// what is shown instead.
const ATTACKS: &[(&str, &[u8], &str)] = &[
    (
        "set the window title",
        b"\x1b]0;owned\x07",
        r"\x1b]0;owned\x07",
    ),
    (
        "write the clipboard",
        b"\x1b]52;c;cm0gLXJm\x07",
        r"\x1b]52;c;cm0gLXJm\x07",
    ),
    (
        "disguise a link",
        b"\x1b]8;;http://e\x1b\\safe\x1b]8;;\x1b\\",
        r"\x1b]8;;http://e\x1b\safe\x1b]8;;\x1b\",
    ),
    (
        "ask for the cursor position, answered as if typed",
        b"\x1b[6n",
        r"\x1b[6n",
    ),
    ("ask for the terminal's kind", b"\x1b[c\x05", r"\x1b[c\x05"),
    (
        "ask for the title, answered as if typed",
        b"\x1b[21t",
        r"\x1b[21t",
    ),
    (
        "ask for a setting (DECRQSS)",
        b"\x1bP$q\"p\x1b\\",
        r#"\x1bP$q"p\x1b\"#,
    ),
    (
        "end a bracketed paste",
        b"\x1b[201~rm -rf ~\n",
        "\\x1b[201~rm -rf ~\n",
    ),
    ("clear the screen", b"\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
    ("switch to the other screen", b"\x1b[?1049h", r"\x1b[?1049h"),
    (
        "overwrite the line above",
        b"\x1b[1A\x1b[2Kforged",
        r"\x1b[1A\x1b[2Kforged",
    ),
    ("overwrite this line", b"bad\rgood", r"bad\rgood"),
    (
        "erase by backspaces",
        b"bad\x08\x08\x08good",
        r"bad\x08\x08\x08good",
    ),
    ("hide what follows", b"\x1b[8mhidden", r"\x1b[8mhidden"),
    ("black on black", b"\x1b[30;40m", r"\x1b[30;40m"),
    ("ring the bell for ever", b"\x07\x07", r"\x07\x07"),
    ("reset the terminal", b"\x1bc", r"\x1bc"),
    ("fill the screen with E", b"\x1b#8", r"\x1b#8"),
    (
        "draw lines for letters",
        b"\x1b(0abc\x0eabc\x0f",
        r"\x1b(0abc\x0eabc\x0f",
    ),
    ("report the mouse", b"\x1b[?1003h", r"\x1b[?1003h"),
    ("hide the cursor", b"\x1b[?25l", r"\x1b[?25l"),
    ("scroll only a part", b"\x1b[1;2r", r"\x1b[1;2r"),
    ("define a key", b"\x1b[\"A\";\"ls\"p", r#"\x1b["A";"ls"p"#),
    (
        "send a file (iTerm2)",
        b"\x1b]1337;File=:AAAA\x07",
        r"\x1b]1337;File=:AAAA\x07",
    ),
    ("set the font", b"\x1b]50;#1\x07", r"\x1b]50;#1\x07"),
    ("ask for a colour", b"\x1b]4;1;?\x07", r"\x1b]4;1;?\x07"),
    (
        "set the folder",
        b"\x1b]7;file:///tmp\x07",
        r"\x1b]7;file:///tmp\x07",
    ),
    ("draw pixels (sixel)", b"\x1bPq#0~\x1b\\", r"\x1bPq#0~\x1b\"),
    (
        "draw pixels (kitty)",
        b"\x1b_Ga=T;AAAA\x1b\\",
        r"\x1b_Ga=T;AAAA\x1b\",
    ),
    (
        "pass through tmux",
        b"\x1bPtmux;\x1b\x1b]0;x\x07\x1b\\",
        r"\x1bPtmux;\x1b\x1b]0;x\x07\x1b\",
    ),
    (
        "set the title of screen",
        b"\x1bktitle\x1b\\",
        r"\x1bktitle\x1b\",
    ),
    (
        "a private message",
        b"\x1b^secret\x1b\\",
        r"\x1b^secret\x1b\",
    ),
    (
        "a start of string",
        b"\x1bXstring\x1b\\",
        r"\x1bXstring\x1b\",
    ),
    ("a control sequence of one byte", b"\x9b2J", r"\x9b2J"),
    ("the same as a character", b"\xc2\x9b2J", r"\u{9b}2J"),
    (
        "an operating system command of one character",
        b"\xc2\x9d0;x\xc2\x9c",
        r"\u{9d}0;x\u{9c}",
    ),
    (
        "an escape in too many bytes",
        b"\xc0\x9b[2J",
        r"\xc0\x9b[2J",
    ),
    (
        "a line feed in too many bytes",
        b"\xc0\x8aforged",
        r"\xc0\x8aforged",
    ),
    ("half of a surrogate pair", b"\xed\xa0\x80", r"\xed\xa0\x80"),
    (
        "beyond the last character",
        b"\xf4\x90\x80\x80",
        r"\xf4\x90\x80\x80",
    ),
    (
        "a character cut short, then an escape",
        b"\xe4\xbd\x1b[2J",
        r"\xe4\xbd\x1b[2J",
    ),
    (
        "read from right to left",
        "\u{202e}gnp.exe".as_bytes(),
        r"\u{202e}gnp.exe",
    ),
    (
        "isolated text",
        "\u{2067}abc\u{2069}".as_bytes(),
        r"\u{2067}abc\u{2069}",
    ),
    (
        "a right-to-left mark",
        "a\u{200f}b\u{61c}".as_bytes(),
        r"a\u{200f}b\u{61c}",
    ),
    (
        "a line by another name",
        "a\u{2028}b\u{2029}c\u{85}d".as_bytes(),
        r"a\u{2028}b\u{2029}c\u{85}d",
    ),
    (
        "a vertical tab and a form feed",
        b"a\x0bb\x0cc",
        r"a\x0bb\x0cc",
    ),
    ("a tab that jumps over a column", b"a\tb", r"a\tb"),
    ("nothing, and delete", b"a\0b\x7f", r"a\x00b\x7f"),
    (
        "an invisible space",
        "pay\u{200b}pal".as_bytes(),
        r"pay\u{200b}pal",
    ),
    ("a byte order mark", "\u{feff}#!".as_bytes(), r"\u{feff}#!"),
    (
        "words in tags nobody sees",
        "\u{e0041}\u{e0042}".as_bytes(),
        r"\u{e0041}\u{e0042}",
    ),
    (
        "an annotation",
        "\u{fff9}a\u{fffa}b\u{fffb}".as_bytes(),
        r"\u{fff9}a\u{fffa}b\u{fffb}",
    ),
];

/// Pitfall 57: what a stranger sends must not act on a terminal.
#[test]
fn pitfall_57_known_attacks_are_shown_and_not_obeyed() {
    for (name, bytes, expected) in ATTACKS {
        let text = shown([*bytes]);
        assert_eq!(&text, expected, "{name}");
        assert_harmless(&text);
        // Cut into bytes, or in two at each place, it shows the same.
        assert_eq!(
            &shown(bytes.chunks(1)),
            expected,
            "{name}, a byte at a time"
        );
        for cut in 0..=bytes.len() {
            assert_eq!(
                &shown([&bytes[..cut], &bytes[cut..]]),
                expected,
                "{name}, cut at {cut}"
            );
        }
    }
    assert!(ATTACKS.len() >= 30);
}

#[test]
fn what_people_write_is_left_alone() {
    for text in [
        "hello, world\n",
        "你好\n再见\n",
        "Ünïcödé, ελληνικά, עברית, العربية, हिन्दी, ไทย\n",
        "می‌خواهم",
        "👩‍👩‍👧‍👦 🇩🇪 ❤️ e\u{301}",
        "C:\\temp\\x1b is no escape",
    ] {
        assert_eq!(shown([text.as_bytes()]), text);
        assert_eq!(shown(text.as_bytes().chunks(1)), text);
    }
    assert_eq!(
        shown([&b"one\r\ntwo\r"[..], b"\nthree\r\r\n"]),
        "one\ntwo\nthree\\r\n"
    );
    assert_eq!(shown([&b"the end\r"[..]]), "the end\\r");
}

/// The documents' `recv(1024)` cuts characters in two.
#[test]
fn a_character_across_the_1024th_byte_is_whole() {
    let text = "a".repeat(1023) + "你好";
    assert_eq!(shown(text.as_bytes().chunks(1024)), text);
}

/// Pitfall 56: a character may be cut anywhere, and bytes may be none.
/// Every string of four of these bytes, cut at every place.
#[test]
fn pitfall_56_every_short_string_shows_the_same_however_it_is_cut() {
    const BYTES: [u8; 22] = [
        b'a', b'\n', b'\r', b'\t', 0x1b, 0x7f, 0x80, 0x8f, 0x90, 0x9b, 0x9f, 0xa0, 0xae, 0xbf,
        0xc0, 0xc2, 0xe2, 0xe4, 0xed, 0xf0, 0xf4, 0xff,
    ];
    let mut strings = 0;
    for number in 0..BYTES.len().pow(4) {
        let bytes: [u8; 4] = std::array::from_fn(|place| {
            BYTES[number / BYTES.len().pow(place as u32) % BYTES.len()]
        });
        let whole = shown([&bytes[..]]);
        assert_harmless(&whole);
        for cuts in 1..8 {
            let mut pieces: Vec<&[u8]> = Vec::new();
            let mut start = 0;
            for end in 1..=4 {
                if end == 4 || cuts & (1 << (end - 1)) != 0 {
                    pieces.push(&bytes[start..end]);
                    start = end;
                }
            }
            assert_eq!(shown(pieces), whole, "{bytes:?}, cuts {cuts:03b}");
        }
        strings += 1;
    }
    println!("{strings} strings, each cut in 7 ways");
}

/// A random stream, of bytes or of characters, in random pieces.
fn live(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut bytes = Vec::new();
    for _ in 0..random.size(2_000) {
        match random.below(4) {
            0 => bytes.push(random.below(256) as u8),
            1 => bytes.push(random.below(128) as u8),
            _ => {
                let c = char::from_u32(random.below(0x11_0000) as u32).unwrap_or('\u{202e}');
                bytes.extend(c.encode_utf8(&mut [0; 4]).bytes());
            }
        }
    }
    let whole = shown([&bytes[..]]);
    assert_harmless(&whole);
    let (mut rest, mut pieces) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(random.size(64).min(rest.len()));
        pieces.push(piece);
        rest = left;
    }
    assert_eq!(shown(pieces), whole);
    bytes.len() as u64
}

#[test]
fn random_streams_show_the_same_however_they_are_cut() {
    if let Some(bytes) = live_all(3_000, live) {
        assert!(bytes > 1_000_000, "{bytes}");
    }
}
