//! Lines folded by us and not by the terminal, so that each row says whose it is.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// `text` with every line that is longer than `columns` folded; each further row begins with `mark`.
///
/// A terminal that folds a line by itself begins the next row with whatever comes, and a stranger could
/// make that look like the beginning of somebody else's line. A terminal that is made narrower later still
/// does.
pub(super) fn fold<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    let fits = |line: &str| line.len() <= columns;
    // With no room beside the mark, marks are all there would be.
    if text.lines().all(fits) || columns < 2 * mark.len() {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len() + text.len() / 8);
    let mut column = 0;
    for c in text.chars() {
        let width = c.width().unwrap_or(0);
        if c == '\n' {
            column = 0;
        } else if column + width > columns {
            folded.push('\n');
            folded.push_str(mark);
            // Marks are ASCII.
            column = mark.len() + width;
        } else {
            column += width;
        }
        folded.push(c);
    }
    Cow::Owned(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_begins_with_what_a_stranger_has_chosen() {
        let text = "  #1 | 0123456789  #2 | forged\nshort\n";
        let folded = fold(text, 17, "     | ");
        assert_eq!(
            folded,
            "  #1 | 0123456789\n     |   #2 | for\n     | ged\nshort\n"
        );
    }

    #[test]
    fn wide_characters_are_as_wide_as_they_are_and_lose_nothing() {
        let folded = fold("<<< 你好你好你好\n", 9, "<<< ");
        assert_eq!(folded, "<<< 你好\n<<< 你好\n<<< 你好\n");
        let folded = fold("<<< 12e\u{301}e\u{301}e\u{301}\n", 8, "<<< ");
        assert_eq!(folded, "<<< 12e\u{301}e\u{301}\n<<< e\u{301}\n");
    }

    #[test]
    fn what_fits_is_left_alone_and_so_is_a_terminal_that_is_no_wider_than_a_mark() {
        assert!(matches!(fold("<<< abcd\n", 8, "<<< "), Cow::Borrowed(_)));
        assert!(matches!(fold("<<< abcd\n", 7, "<<< "), Cow::Borrowed(_)));
        assert_eq!(fold("<<< abcde\n", 8, "<<< "), "<<< abcd\n<<< e\n");
    }
}
