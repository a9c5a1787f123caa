//! Text in lines that are not too long.

use crate::service::Sanitizer;

/// The most columns of a line.
pub(super) const WIDTH: usize = 80;

/// How far what is labelled stands in.
pub(super) const INDENT: usize = 14;

/// Lines of at most [`WIDTH`] columns.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
}

/// Numbers in rows and columns. Columns that do not fit beside each other follow below.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) header: Row,
    pub(super) rows: Vec<Row>,
}

/// A row of a table.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) cells: Vec<String>,
}

impl Page {
    pub(super) const fn new() -> Self {
        Self {
            text: String::new(),
        }
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A line as it is.
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Words, which begin with `first` and go on `indent` columns in.
    pub(super) fn words(&mut self, first: &str, indent: usize, words: &str) {
        self.wrap(first, indent, &pieces(words), " ");
    }

    /// Things in a row, none of which is cut in two if that can be helped, behind a label.
    pub(super) fn items(&mut self, label: &str, items: &[String]) {
        let label = format!("  {label:<width$}", width = INDENT - 2);
        self.wrap(&label, INDENT, items, ", ");
    }

    /// The same, behind something that is not in the column of labels.
    pub(super) fn headline(&mut self, first: &str, indent: usize, items: &[String]) {
        self.wrap(first, indent, items, ", ");
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn wrap(&mut self, first: &str, indent: usize, pieces: &[String], between: &str) {
        let mut line = first.to_owned();
        let mut begun = false;
        for piece in pieces {
            if begun {
                line.push_str(between);
                // What separates it from the next has to fit as well, but for the blank.
                let end = columns(&line) + columns(piece) + between.trim_end().len();
                if end > WIDTH {
                    self.line(&line);
                    line = " ".repeat(indent);
                }
            }
            begun = true;
            for c in piece.chars() {
                if columns(&line) == WIDTH - between.trim_end().len() {
                    self.line(&line);
                    line = " ".repeat(indent);
                }
                line.push(c);
            }
        }
        self.line(&line);
    }
}

impl Table {
    /// Writes it, with as many columns beside each other as there is room for.
    pub(super) fn write(&self, page: &mut Page) {
        let mut from = 0;
        while from < self.header.cells.len() {
            let mut until = from;
            let mut width = INDENT;
            while until < self.header.cells.len() && width + self.width(until) <= WIDTH {
                width += self.width(until);
                until += 1;
            }
            // A single column that is too wide is written all the same.
            until = until.max(from + 1);
            for row in std::iter::once(&self.header).chain(&self.rows) {
                self.write_row(row, from, until, page);
            }
            from = until;
        }
    }

    fn write_row(&self, row: &Row, from: usize, until: usize, page: &mut Page) {
        let mut line = format!("  {:<width$}", row.label, width = INDENT - 2);
        let cells = row.cells.iter().enumerate().take(until).skip(from);
        if from > 0 && cells.clone().all(|(_, cell)| cell.is_empty()) {
            return;
        }
        for (column, cell) in cells {
            let blank = self.width(column).saturating_sub(columns(cell));
            line.extend(std::iter::repeat_n(' ', blank));
            line.push_str(cell);
        }
        page.line(&line);
    }

    /// How wide a column is, with the blanks before it.
    fn width(&self, column: usize) -> usize {
        const NARROWEST: usize = 7;
        let rows = std::iter::once(&self.header).chain(&self.rows);
        let cells = rows.filter_map(|row| row.cells.get(column));
        let widest = cells.map(|cell| columns(cell)).max().unwrap_or(0);
        widest.max(NARROWEST) + 2
    }
}

/// A text that came from elsewhere, on one line and harmless.
pub(super) fn escaped(text: &str) -> String {
    let (mut sanitizer, mut shown) = (Sanitizer::new(), String::new());
    sanitizer.push(text.as_bytes(), &mut shown);
    sanitizer.finish(&mut shown);
    shown.replace('\n', "\\n")
}

/// The places where a line may end: between words, but not within a number, between it and what it counts, or within
/// what is quoted and the option before it, which may be typed as they are seen.
fn pieces(words: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut quoted = false;
    for word in words.split(' ') {
        match pieces.last_mut() {
            Some(last)
                if quoted
                    || last.ends_with(|c: char| c.is_ascii_digit())
                    || last == "-e"
                    || (last.contains("--") && word.starts_with('\'')) =>
            {
                last.push(' ');
                last.push_str(word);
            }
            _ => pieces.push(word.to_owned()),
        }
        quoted |= word.starts_with('\'');
        quoted &= !word.trim_end_matches(['.', ',', ':']).ends_with('\'');
    }
    pieces
}

pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_the_page_whatever_is_written_on_it() {
        for length in 1..230 {
            let mut page = Page::new();
            let item = "x".repeat(length);
            let items = vec![item.clone(), "500 000".to_owned(), item.clone(), item];
            page.items("label", &items);
            page.words("VERDICT  ", 7, &items.join(" "));
            page.words("", 7, &"word 1 000 ".repeat(length));
            let text = page.into_text();
            let widest = text.lines().map(columns).max().unwrap();
            assert!(widest <= WIDTH, "{widest}:\n{text}");
            let kept = text.matches('x').count();
            assert_eq!(kept, 6 * length, "nothing is lost:\n{text}");
        }
    }

    #[test]
    fn a_line_is_filled_and_ends_between_words_but_not_within_a_number() {
        let mut page = Page::new();
        page.words(
            "",
            2,
            &format!("{} 500 000 messages and more", "x".repeat(65)),
        );
        let expected = format!("{}\n  500 000 messages and more\n", "x".repeat(65));
        assert_eq!(page.into_text(), expected);
        let mut page = Page::new();
        page.words(
            "",
            2,
            &format!("{} 500 000 messages and more", "x".repeat(54)),
        );
        let expected = format!("{} 500 000 messages and more\n", "x".repeat(54));
        assert_eq!(page.into_text(), format!("{}\n", expected.trim_end()));
    }

    #[test]
    fn what_is_quoted_is_not_cut_in_two() {
        let quoted = "say --reply 'suffix:| lee and  more', and see what the client's 'x' is";
        let expected = [
            "say",
            "--reply 'suffix:| lee and  more',",
            "and",
            "see",
            "what",
        ];
        assert_eq!(pieces(quoted)[..5], expected);
        assert_eq!(pieces(quoted)[5..], ["the", "client's", "'x'", "is"]);
        assert_eq!(pieces(quoted).join(" "), quoted);
    }

    #[test]
    fn what_others_wrote_stays_on_its_line_and_does_nothing() {
        assert_eq!(
            escaped("a\nb\x1b[2J\u{202e}\r\n"),
            "a\\nb\\x1b[2J\\u{202e}\\n"
        );
    }

    #[test]
    fn columns_without_room_follow_below() {
        let cells = |text: &str| vec![text.to_owned(); 12];
        let table = Table {
            header: Row {
                label: "latency",
                cells: cells("p50"),
            },
            rows: vec![Row {
                label: " lag",
                cells: cells("1.31 ms"),
            }],
        };
        let mut page = Page::new();
        table.write(&mut page);
        let text = page.into_text();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.lines().all(|line| columns(line) <= WIDTH), "{text}");
        assert_eq!(text.matches("1.31 ms").count(), 12);
    }
}
