//! The bound on widths, against the tables that terminals use.

use echoloop::service::Sanitizer;

use super::*;

/// The widths of characters according to one table.
pub(in crate::terminal) struct WidthTable {
    pub(in crate::terminal) name: &'static str,
    width: Box<dyn Fn(char) -> usize + Send + Sync>,
}

impl WidthTable {
    pub(in crate::terminal) fn width(&self, c: char) -> usize {
        (self.width)(c)
    }

    /// The table of a library, from its section of `widths.txt`.
    fn of_library(name: &'static str) -> Self {
        const ALL: &str = include_str!("../../../../../tests/support/widths.txt");
        let start = ALL.find(&format!("[{name}]")).unwrap();
        let section = &ALL[start..];
        let end = section[1..].find('[').map_or(section.len(), |end| end + 1);
        let lines = section[..end].lines().skip(1);
        let mut width = 0;
        let mut ranges = Vec::new();
        for word in lines.flat_map(str::split_whitespace) {
            if let Some(of_the_following) = word.strip_suffix(':') {
                width = of_the_following.parse().unwrap();
                continue;
            }
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let code_point = |text| u32::from_str_radix(text, 16).unwrap();
            ranges.push((code_point(first), code_point(last), width));
        }
        assert!(ranges.len() > 400, "{name}: {} ranges", ranges.len());
        ranges.sort_unstable();
        let width = move |c| {
            let index = ranges.partition_point(|&(first, ..)| first <= u32::from(c));
            let range = index.checked_sub(1).map(|index| ranges[index]);
            range
                .filter(|&(_, last, _)| u32::from(c) <= last)
                .map_or(1, |(.., width)| width)
        };
        Self {
            name,
            width: Box::new(width),
        }
    }
}

/// Every table that the bound is tested with.
pub(in crate::terminal) fn tables() -> Vec<WidthTable> {
    let table = |name, width: fn(char) -> usize| WidthTable {
        name,
        width: Box::new(width),
    };
    vec![
        table("unicode-width", |c| c.width().unwrap_or(0)),
        table("unicode-width, East Asian", |c| c.width_cjk().unwrap_or(0)),
        WidthTable::of_library("glibc"),
        WidthTable::of_library("musl"),
        WidthTable::of_library("python"),
        table("no combining marks", |c| c.width().unwrap_or(0).max(1)),
    ]
}

#[test]
fn no_table_gives_a_character_more_columns_than_the_bound() {
    let tables = tables();
    for c in '\u{20}'..=char::MAX {
        let (mut sanitizer, mut text) = (Sanitizer::new(), String::new());
        sanitizer.push(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut text);
        if text.starts_with('\\') && c != '\\' {
            continue;
        }
        let bound = width_bound(c);
        assert!((1..=2).contains(&bound), "{c:?}: {bound}");
        for table in &tables {
            let width = table.width(c);
            assert!(width <= bound, "{c:?}: {width} in {}", table.name);
        }
    }
}

/// Otherwise every row of ordinary text would end early.
#[test]
fn characters_that_every_table_agrees_on_have_that_width() {
    let text =
        "The quick brown fox~!@#$%^&*(){}[]שלוםمرحباşğıőűčřŻابجדოგრუзавтра你好，世界こんにちは안녕";
    let tables = tables();
    for c in text.chars() {
        let widths: Vec<usize> = tables.iter().map(|table| table.width(c)).collect();
        if widths.iter().all(|&width| width == widths[0]) {
            assert_eq!(width_bound(c), widths[0], "{c:?}");
        }
    }
}

#[test]
fn tables_disagree_where_terminals_do() {
    let tables = tables();
    for c in ['\u{cc0}', '\u{302e}', '\u{3248}'] {
        let widths: Vec<usize> = tables.iter().map(|table| table.width(c)).collect();
        assert_ne!(widths.iter().min(), widths.iter().max(), "{c:?}");
        assert_eq!(width_bound(c), *widths.iter().max().unwrap(), "{c:?}");
    }
}
