//! What can be told of datagrams, and what not.

use super::page::{INDENT, Page};
use super::units::{percent, thousands, time};
use crate::load::{NUMBERED_MIN, Outcome, Plan, Reply};

/// What became of datagrams, as far as that could be counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Countable {
    /// Without numbers, an answer that comes twice makes up for one that does not come.
    pub(super) lost: Option<u64>,
    /// Without numbers, among them are answers that came twice.
    pub(super) late: Option<u64>,
    pub(super) duplicate: Option<u64>,
    pub(super) reordered: Option<u64>,
    pub(super) reorder_extent: Option<u64>,
    pub(super) corrupt: Option<u64>,
    pub(super) foreign: Option<u64>,
    pub(super) jitter_ns: Option<u64>,
}

impl Countable {
    /// `None` if there were no datagrams.
    pub(super) fn of(outcome: &Outcome, plan: &Plan) -> Option<Self> {
        let udp = outcome.udp.as_ref()?;
        if plan.reply == Reply::None {
            // What is not expected can't be missed.
            return Some(Self::default());
        }
        let exact = |figure: u64| udp.numbered.then_some(figure);
        Some(Self {
            lost: Some(udp.lost),
            late: Some(udp.late),
            duplicate: exact(udp.duplicate),
            reordered: exact(udp.reordered),
            reorder_extent: exact(udp.reorder_extent),
            corrupt: Some(udp.corrupt),
            foreign: exact(udp.foreign),
            // It takes two answers to differ.
            jitter_ns: (udp.received > 1).then_some(udp.jitter_ns),
        })
    }
}

/// Tells what became of datagrams, if there were any.
pub(super) fn write(outcome: &Outcome, plan: &Plan, page: &mut Page) {
    let (Some(udp), Some(counts)) = (&outcome.udp, Countable::of(outcome, plan)) else {
        return;
    };
    let mut items = Vec::new();
    if let Some(lost) = counts.lost {
        let part = lost as f64 / udp.sent.max(1) as f64;
        items.push(format!("loss {} ({})", thousands(lost), percent(part)));
    }
    let late = if udp.numbered {
        "late"
    } else {
        "late or duplicate"
    };
    let extent = counts.reorder_extent.unwrap_or(0);
    for (name, figure) in [
        (late, counts.late),
        ("duplicate", counts.duplicate),
        ("reordered", counts.reordered),
        ("corrupt", counts.corrupt),
        ("foreign", counts.foreign),
    ] {
        let Some(figure) = figure else { continue };
        let mut item = format!("{name} {}", thousands(figure));
        if name == "reordered" && figure > 0 {
            item.push_str(&format!(" (max extent {})", thousands(extent)));
        }
        items.push(item);
    }
    items.push(match udp.overflow {
        Some(overflow) => format!("own buffer overflow {}", thousands(overflow)),
        None => "own buffer overflow not known".to_owned(),
    });
    if let Some(jitter) = counts.jitter_ns {
        items.push(format!("jitter {}", time(jitter)));
    }
    page.items("datagrams", &items);
    if let Some(why) = uncounted(outcome, plan) {
        page.words(&" ".repeat(INDENT), INDENT, &why);
    }
}

/// What could not be counted, and why.
fn uncounted(outcome: &Outcome, plan: &Plan) -> Option<String> {
    if plan.reply == Reply::None {
        return Some("No answer is expected, so none can be lost.".to_owned());
    }
    if outcome.udp.as_ref().is_some_and(|udp| udp.numbered) {
        return None;
    }
    let why = if plan.message.is_some() {
        "messages with a text of their own carry no number".to_owned()
    } else if !matches!(plan.reply, Reply::Echo | Reply::Suffix(_)) {
        "answers that need not repeat a message carry no number".to_owned()
    } else {
        format!("messages of less than {NUMBERED_MIN} B have no room for a number")
    };
    Some(format!(
        "Duplicates and reordering can't be told, and a duplicate makes up for a loss: {why}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Sizes;
    use crate::report::sample;

    fn told(outcome: &Outcome, plan: &Plan) -> String {
        let mut page = Page::new();
        write(outcome, plan, &mut page);
        page.into_text()
    }

    #[test]
    fn numbered_datagrams_are_counted_in_every_way() {
        let (mut outcome, plan) = (sample::outcome(), sample::plan());
        assert_eq!(told(&outcome, &plan), "");
        outcome.udp = Some(sample::datagrams());
        let expected = "  datagrams   loss 12 (0.0024 %), late 1, duplicate 2,\n\
                        \x20             reordered 4 (max extent 2), corrupt 0, foreign 0,\n\
                        \x20             own buffer overflow 0, jitter 8.00 µs\n";
        assert_eq!(told(&outcome, &plan), expected);
    }

    #[test]
    fn what_can_not_be_counted_without_numbers_is_left_out_with_its_reason() {
        let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
        let mut datagrams = sample::datagrams();
        datagrams.numbered = false;
        datagrams.overflow = None;
        outcome.udp = Some(datagrams);
        plan.sizes = Sizes::fixed(8);
        let expected = "  datagrams   loss 12 (0.0024 %), late or duplicate 1, corrupt 0,\n\
                        \x20             own buffer overflow not known, jitter 8.00 µs\n\
                        \x20             Duplicates and reordering can't be told, and a duplicate makes up\n\
                        \x20             for a loss: messages of less than 32 B have no room for a number.\n";
        assert_eq!(told(&outcome, &plan), expected);
        plan.message = Some(b"hello".to_vec());
        assert!(told(&outcome, &plan).contains("a text of their own"));
        (plan.message, plan.reply) = (None, Reply::Size(8));
        assert!(told(&outcome, &plan).contains("need not repeat"));
        let counted = Countable::of(&outcome, &plan).unwrap();
        assert_eq!(
            (counted.lost, counted.duplicate, counted.foreign),
            (Some(12), None, None)
        );
    }

    #[test]
    fn nothing_is_lost_where_nothing_is_expected() {
        let (mut outcome, mut plan) = (sample::outcome(), sample::plan());
        outcome.udp = Some(sample::datagrams());
        plan.reply = Reply::None;
        assert_eq!(Countable::of(&outcome, &plan), Some(Countable::default()));
        let told = told(&outcome, &plan);
        assert!(
            told.contains("No answer is expected") && !told.contains("loss "),
            "{told}"
        );
    }
}
