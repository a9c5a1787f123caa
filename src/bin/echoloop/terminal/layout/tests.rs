//! Rows as terminals with different tables of widths would show them.

use echoloop::service::Sanitizer;
use proptest::prelude::*;

use super::super::width::tests::{WidthTable, tables};
use super::*;

const MARK: &str = "     | ";
const PREFIX: &str = "  #1 | ";

fn layout(rows_max: usize) -> Layout {
    Layout {
        mark: MARK,
        rows_max,
        language: Language::English,
    }
}

fn of_peer(text: &str) -> DisplayText {
    let mut shown = DisplayText::default();
    shown.push_peer(PREFIX, text);
    shown
}

fn of_program(text: &str) -> DisplayText {
    let mut shown = DisplayText::default();
    shown.push_program(text);
    shown
}

fn rows(text: &DisplayText, columns: usize) -> String {
    layout(100).rows(text, columns, false)
}

/// The rows that a terminal with auto-wrap shows.
fn simulate(text: &str, columns: usize, table: &WidthTable) -> Vec<String> {
    let mut rows = Vec::new();
    for line in text.lines() {
        let (mut row, mut column) = (String::new(), 0);
        for c in line.chars() {
            let width = table.width(c);
            if column + width > columns {
                rows.push(std::mem::take(&mut row));
                column = 0;
            }
            row.push(c);
            column += width;
        }
        rows.push(row);
    }
    rows
}

#[test]
fn each_row_of_a_long_line_begins_with_the_prefix_or_the_mark() {
    let text = of_peer("0123456789  #2 | forged\nshort");
    assert_eq!(
        rows(&text, 17),
        "  #1 | 0123456789\n     |   #2 | for\n     | ged\n  #1 | short\n"
    );
    assert_eq!(
        rows(&of_peer("a\n\nb"), 17),
        "  #1 | a\n  #1 | \n  #1 | b\n"
    );
}

#[test]
fn wide_characters_count_twice_and_all_are_kept() {
    assert_eq!(rows(&of_peer("你好你好"), 12), "  #1 | 你好\n     | 你好\n");
    assert_eq!(
        rows(&of_peer("\u{3248}\u{cc0}x"), 10),
        "  #1 | \u{3248}\u{cc0}\n     | x\n"
    );
}

#[test]
fn mark_that_would_change_our_prefix_is_escaped() {
    assert_eq!(
        rows(&of_peer("\u{338}e\u{301}"), 40),
        "  #1 | \\u{338}e\u{301}\n"
    );
    // The mark does not fit into the row of its letter.
    assert_eq!(
        rows(&of_peer("12e\u{301}"), 10),
        "  #1 | 12e\n     | \\u\n     | {301}\n"
            .replace("\\u\n     | {301}", "\\u{\n     | 301\n     | }")
    );
}

#[test]
fn further_marks_on_one_character_are_escaped() {
    let text = format!("a{}", "\u{301}".repeat(MARKS_MAX + 1));
    let shown = rows(&of_peer(&text), 80);
    assert_eq!(shown.matches('\u{301}').count(), MARKS_MAX);
    assert!(shown.ends_with("\\u{301}\n"), "{shown}");
}

/// It would join our mark to the end of the row before.
#[test]
fn joiner_at_the_end_of_a_row_is_escaped() {
    for joiner in ['\u{200c}', '\u{200d}'] {
        let escaped = joiner.escape_unicode();
        for (text, shown) in [
            (format!("a{joiner}"), format!("a{escaped}")),
            (format!("a{joiner}\nb"), format!("a{escaped}\n  #1 | b")),
            (format!("a{joiner}b"), format!("a{joiner}b")),
        ] {
            let shown = format!("  #1 | {shown}\n");
            assert_eq!(rows(&of_peer(&text), 40), shown);
        }
    }
    for columns in 12..40 {
        let text = of_peer(&"👩\u{200d}".repeat(30));
        let rows = rows(&text, columns);
        assert!(rows.lines().count() > 1, "{rows}");
        for row in rows.lines() {
            assert!(!row.ends_with('\u{200d}'), "{columns}: {rows}");
        }
    }
}

#[test]
fn message_takes_a_bounded_number_of_rows_and_the_rest_is_counted() {
    for (text, left) in [
        ("x".repeat(30), 0),
        ("x".repeat(31), 11),
        ("x".repeat(100_000), 99_980),
        ("\n".repeat(100_000), 99_999),
        ("\u{301}".repeat(500), 499),
    ] {
        let shown = layout(3).rows(&of_peer(&text), 17, false);
        let (peer, program): (Vec<&str>, Vec<&str>) =
            shown.lines().partition(|row| row.contains('|'));
        if left == 0 {
            assert_eq!((peer.len(), program.len()), (3, 0), "{shown}");
        } else {
            assert_eq!(peer.len(), 2, "{shown}");
            let note: String = program
                .iter()
                .map(|row| row.trim_start())
                .collect::<Vec<_>>()
                .join(" ");
            assert!(note.starts_with("… "), "{note}");
            assert!(program.iter().all(|row| row.starts_with(INDENT)), "{shown}");
        }
    }
    let shown = layout(2).rows(&of_peer(&"x".repeat(50)), 80, false);
    assert_eq!(shown, format!("  #1 | {}\n", "x".repeat(50)));
    let shown = layout(1).rows(&of_peer(&"x".repeat(100)), 80, false);
    assert!(shown.starts_with("    … 100 more characters"), "{shown}");
}

#[test]
fn terminal_that_is_no_wider_than_a_mark_shows_the_number_of_characters() {
    for columns in 1..MARK.len() + 2 {
        let shown = rows(&of_peer("  #2 | forged"), columns);
        assert!(shown.contains("13 more") && !shown.contains('|'), "{shown}");
    }
    assert!(rows(&of_peer("hi"), MARK.len() + 2).starts_with("  #1 | hi\n"));
}

#[test]
fn program_text_is_wrapped_at_spaces_and_does_not_use_the_mark_of_peers() {
    let notice = of_program("Connected to 127.100.200.100:25609. quit, Ctrl-D or Ctrl-C leaves.");
    assert_eq!(
        rows(&notice, 40),
        "Connected to 127.100.200.100:25609. \n    quit, Ctrl-D or Ctrl-C leaves.\n"
    );
    assert_eq!(
        rows(&of_program("已连上服务器，输入 quit 离开"), 16),
        "已连上服务器，输\n    入 quit 离开\n"
    );
    assert_eq!(rows(&of_program("one\ntwo"), 80), "one\ntwo\n");
}

#[test]
fn colours_of_a_log_line_take_no_columns() {
    let line = "\x1b[32mINFO\x1b[0m  0123456789 0123456789";
    assert_eq!(
        rows(&of_program(line), 20),
        "\x1b[32mINFO\x1b[0m  0123456789 \n    0123456789\n"
    );
}

#[test]
fn auto_wrap_is_off_for_peers_only() {
    let mut text = of_program("ours");
    text.push_peer(PREFIX, "theirs");
    text.push_program("ours");
    assert_eq!(
        layout(9).rows(&text, 80, true),
        "ours\n\x1b[?7l  #1 | theirs\n\x1b[?7hours\n"
    );
}

/// Characters that terminals disagree about, and what forged rows are made of.
fn piece() -> impl Strategy<Value = String> {
    let disputed = prop::sample::select(vec![
        "\u{cc0}",
        "\u{302e}",
        "\u{3248}",
        "\u{fe0f}",
        "❤\u{fe0f}",
        "👩\u{200d}👩\u{200d}👧",
        "🇩🇪",
        "\u{301}",
        "\u{e000}",
        "\u{2e3b}",
        "\u{fdfd}",
        "\u{1f8b2}",
        "\u{378}",
        "\u{a8f2}",
        "한",
        "ᄒ\u{1161}\u{11ab}",
        "é",
        "Ж",
        "…",
        "👍🏽",
        "1\u{fe0f}\u{20e3}",
    ]);
    prop_oneof![
        disputed.prop_map(str::to_owned),
        (disputed_run(), 1..90_usize).prop_map(|(c, count)| c.to_string().repeat(count)),
        any::<char>().prop_map(String::from),
        (0..90_usize).prop_map(|count| format!("{:count$}  #2 | forged", "")),
        Just("\n  #2 | forged".to_owned()),
    ]
}

fn disputed_run() -> impl Strategy<Value = char> {
    prop_oneof![
        prop::sample::select(vec!['\u{cc0}', '\u{302e}', '\u{3248}', '好', 'x', '☰', '🫩']),
        any::<char>(),
    ]
}

proptest! {
    /// Whatever a peer sends, and whichever table the terminal has.
    #[test]
    fn no_row_of_any_terminal_begins_with_text_of_a_peer(
        pieces in prop::collection::vec(piece(), 0..12),
        columns in 9..100_usize,
    ) {
        let (mut sanitizer, mut text) = (Sanitizer::new(), String::new());
        sanitizer.push(pieces.concat().as_bytes(), &mut text);
        sanitizer.finish(&mut text);
        let shown = layout(usize::MAX).rows(&of_peer(&text), columns, false);
        for table in tables_once() {
            for row in simulate(&shown, columns, table) {
                let is_marked = row.starts_with(PREFIX) || row.starts_with(MARK);
                prop_assert!(is_marked, "{row:?} in {} of {shown:?}", table.name);
            }
        }
    }
}

fn tables_once() -> &'static [WidthTable] {
    static TABLES: std::sync::OnceLock<Vec<WidthTable>> = std::sync::OnceLock::new();
    TABLES.get_or_init(tables)
}
