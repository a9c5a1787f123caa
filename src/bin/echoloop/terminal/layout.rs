//! Text split into rows by us and not by the terminal, so that each row shows who has written it.

use echoloop::service::{DisplayText, Entry, Language, Origin, Phrase};

use super::width::{is_combining, width_bound};

/// What further rows of the program's own text begin with. Rows of a peer begin with the prefix of the
/// peer or with the mark of the layout, so a peer can't imitate them.
const INDENT: &str = "    ";

/// How many combining marks a character can have. Further ones are escaped: terminals that stack them
/// draw over other rows.
const MARKS_MAX: usize = 6;

/// Auto-wrap off and on (DECAWM).
const AUTO_WRAP_OFF: &str = "\x1b[?7l";
pub(super) const AUTO_WRAP_ON: &str = "\x1b[?7h";

/// How text is split into rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// What further rows of a peer's line begin with.
    pub(crate) mark: &'static str,
    /// How many rows one message of a peer takes at most.
    pub(crate) rows_max: usize,
    /// The language of the note about what is left out.
    pub(crate) language: Language,
}

impl Layout {
    /// The rows of `text` for a terminal of this width. `controls` tells the terminal not to wrap
    /// rows of peers: if it has become narrower meanwhile, the rest of a row is not visible.
    pub(crate) fn rows(&self, text: &DisplayText, columns: usize, controls: bool) -> String {
        let mut rows = String::new();
        for entry in text.entries() {
            match entry.origin {
                Origin::Program => self.push_program(entry.text, columns, &mut rows),
                Origin::Peer if controls => {
                    rows.push_str(AUTO_WRAP_OFF);
                    self.push_peer(entry, columns, &mut rows);
                    rows.push_str(AUTO_WRAP_ON);
                }
                Origin::Peer => self.push_peer(entry, columns, &mut rows),
            }
        }
        rows
    }

    /// One message of a peer.
    fn push_peer(&self, entry: Entry<'_>, columns: usize, rows: &mut String) {
        let mut message = Message {
            mark: self.mark,
            columns,
            rows_left: self.rows_max,
            column: 0,
            marks: 0,
            shown: 0,
            row: (rows.len(), 0),
            rows,
        };
        // A wide character has to fit after the mark.
        let is_wide_enough = columns >= self.mark.len() + 2;
        if is_wide_enough && message.push(entry).is_some() {
            return;
        }
        // The note takes the place of the last row.
        let (start, shown) = message.row;
        rows.truncate(start);
        let left = entry.text[shown..].chars().count();
        let note = self.language.say(Phrase::Shortened(left)).to_string();
        self.push_program(&format!("{INDENT}{note}"), columns, rows);
    }

    /// Text of the program. It is wrapped at spaces, and between wide characters.
    fn push_program(&self, text: &str, columns: usize, rows: &mut String) {
        for line in text.split('\n') {
            let (mut column, mut in_escape) = (0, false);
            // Where the current row can be split, and the column there.
            let mut split: Option<(usize, usize)> = None;
            for c in line.chars() {
                // Log lines have colours.
                in_escape |= c == '\x1b';
                if in_escape {
                    rows.push(c);
                    in_escape = !c.is_ascii_alphabetic();
                    continue;
                }
                let width = width_bound(c);
                if width == 2 {
                    split = Some((rows.len(), column));
                }
                if column + width > columns
                    && columns >= 4 * INDENT.len()
                    && let Some((place, at)) = split.take()
                {
                    rows.insert_str(place, INDENT);
                    rows.insert(place, '\n');
                    column = INDENT.len() + column - at;
                }
                rows.push(c);
                column += width;
                if c == ' ' {
                    split = Some((rows.len(), column));
                }
            }
            rows.push('\n');
        }
    }
}

/// The rows of one message of a peer.
struct Message<'a> {
    mark: &'static str,
    columns: usize,
    rows_left: usize,
    column: usize,
    /// How many combining marks the last character has.
    marks: usize,
    /// How many bytes of the text have been added.
    shown: usize,
    /// Where the last row begins, in the rows and in the text.
    row: (usize, usize),
    rows: &'a mut String,
}

impl Message<'_> {
    /// Returns `None` if there were not enough rows.
    fn push(&mut self, entry: Entry<'_>) -> Option<()> {
        for line in entry.text.split('\n') {
            self.begin_row("")?;
            entry.prefix.chars().try_for_each(|c| self.put(c))?;
            // Nothing of the peer comes before the first character: a mark would change our text.
            self.marks = MARKS_MAX;
            let mut characters = line.chars().peekable();
            while let Some(c) = characters.next() {
                self.put_untrusted(c, characters.peek().copied())?;
                self.shown += c.len_utf8();
            }
            self.shown += 1;
            self.rows.push('\n');
        }
        Some(())
    }

    /// `next` follows `c` in the line.
    fn put_untrusted(&mut self, c: char, next: Option<char>) -> Option<()> {
        if is_joiner(c) && !self.has_room_for_both(c, next) {
            return self.put_escaped(c);
        }
        if !is_combining(c) {
            self.marks = 0;
            return self.put(c);
        }
        if self.marks < MARKS_MAX && !self.is_row_full(c) {
            self.marks += 1;
            return self.put(c);
        }
        self.put_escaped(c)
    }

    fn put_escaped(&mut self, c: char) -> Option<()> {
        c.escape_unicode().try_for_each(|c| self.put(c))
    }

    /// Whether `next` exists and is put into the row of `c`. An escape of it begins there as well.
    fn has_room_for_both(&self, c: char, next: Option<char>) -> bool {
        let both = next.map(|next| width_bound(c) + width_bound(next));
        both.is_some_and(|width| self.column + width <= self.columns)
    }

    fn is_row_full(&self, c: char) -> bool {
        self.column + width_bound(c) > self.columns
    }

    fn put(&mut self, c: char) -> Option<()> {
        if self.is_row_full(c) {
            self.rows.push('\n');
            self.begin_row(self.mark)?;
        }
        self.rows.push(c);
        self.column += width_bound(c);
        Some(())
    }

    fn begin_row(&mut self, mark: &str) -> Option<()> {
        self.rows_left = self.rows_left.checked_sub(1)?;
        self.row = (self.rows.len(), self.shown);
        self.rows.push_str(mark);
        // Marks are ASCII.
        self.column = mark.len();
        Some(())
    }
}

/// Whether a terminal may join the character after `c` to the one before it, even if a line feed is
/// between them: tmux 3.3 puts them into one column.
const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests;
