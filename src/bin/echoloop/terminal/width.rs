//! How many columns of a terminal a character takes at most.

use unicode_width::UnicodeWidthChar;

/// The most columns that any terminal uses for `c`, a character that the sanitizer lets pass.
///
/// Terminals disagree: about ambiguous characters (UAX #11), combining marks, emoji sequences, and
/// characters that are newer than their tables. Nothing here predicts one of them. A row that is
/// shorter than the terminal is harmless; a row that the terminal wraps is not.
pub(super) fn width_bound(c: char) -> usize {
    match c {
        ' '..='~' => 1,
        // It makes the character before it wide, and may take a column of its own.
        '\u{fe0f}' => 2,
        // Marks that East Asian tables give two columns.
        '\u{302a}'..='\u{302f}' | '\u{3099}' | '\u{309a}' => 2,
        // Symbols and ideographs: new versions of Unicode have made many of them wide.
        '\u{2190}'..='\u{2bff}' | '\u{2e80}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' => 2,
        // Emoji, rare scripts, and most of the code points that are not assigned yet.
        '\u{10000}'.. => 2,
        // A combining mark takes no column, or one where marks are not combined.
        _ => {
            let (usual, east_asian) = (c.width(), c.width_cjk());
            usual.max(east_asian).unwrap_or(1).max(1)
        }
    }
}

/// Whether `c` is drawn over the character before it.
pub(super) fn is_combining(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0)
}

#[cfg(test)]
pub(super) mod tests;
