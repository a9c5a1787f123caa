//! Replies that were not what they should be, in words.

use super::page::{INDENT, Page};
use super::units::{count, hex, thousands};
use crate::load::{Mismatch, MismatchKind, Outcome, Plan, Reply};

/// How many are told of. They tend to be alike.
const SHOWN: usize = 3;

/// As many bytes as are kept of what came: of so many, there may have been more.
const KEPT: usize = 16;

/// How many bytes behind something that was put in must go on as expected, for it to be that.
const AGREE: usize = 4;

/// Tells of the first answers that were wrong.
pub(super) fn write(outcome: &Outcome, plan: &Plan, page: &mut Page) {
    let mut said = String::new();
    for mismatch in outcome.mismatches.iter().take(SHOWN) {
        write_bytes(mismatch, plan, page);
        let words = words(mismatch, plan);
        if words != said {
            page.words(&" ".repeat(INDENT), INDENT, &words);
            said = words;
        }
    }
    let wrong = outcome.wrong_replies;
    let shown = outcome.mismatches.len().min(SHOWN) as u64;
    if shown > 0 && wrong > shown {
        page.items("", &[format!("and {} more", thousands(wrong - shown))]);
    }
}

/// Where it was, and which bytes they are.
fn write_bytes(mismatch: &Mismatch, plan: &Plan, page: &mut Page) {
    let member = member(plan);
    let local = mismatch.local.map(|local| format!(" ({local})"));
    let mut items = vec![
        format!(
            "{member} {}{}",
            mismatch.connection,
            local.unwrap_or_default()
        ),
        format!("byte {}", thousands(mismatch.offset)),
    ];
    if !mismatch.expected.is_empty() {
        items.push(format!("expected {}", hex(&mismatch.expected, " ")));
    }
    items.push(match mismatch.got.as_slice() {
        [] => "got nothing".to_owned(),
        got => format!("got {}", hex(got, " ")),
    });
    page.items("mismatch", &items);
}

/// What that means, and what to do.
fn words(mismatch: &Mismatch, plan: &Plan) -> String {
    let meaning = meaning(mismatch.kind, member(plan));
    match remedy(mismatch, plan) {
        Some(remedy) => format!("{meaning} {remedy}"),
        None => meaning,
    }
}

const fn member(plan: &Plan) -> &'static str {
    if plan.udp { "flow" } else { "connection" }
}

/// What a wrong answer looks like, in words.
fn meaning(kind: MismatchKind, member: &str) -> String {
    match kind {
        MismatchKind::Altered => format!("No {member} has sent that."),
        MismatchKind::Foreign(other) => {
            format!("That was sent on {member} {other}: the server has mixed up two clients.")
        }
        MismatchKind::Lost(bytes) => format!("Missing before it: {}.", count(bytes, "byte")),
        MismatchKind::Repeated(bytes) => {
            format!("That has come before, {} earlier.", count(bytes, "byte"))
        }
        MismatchKind::Surplus => "Nothing more was to come.".to_owned(),
        MismatchKind::Size(size) => {
            format!("The answer was to be {} long.", count(size as u64, "byte"))
        }
    }
}

/// The option that describes the suffix that the server seems to append to each reply: all wrong
/// replies that have one agree, and none comes after a reply without one.
pub(super) fn suffix_option(outcome: &Outcome, plan: &Plan) -> Option<String> {
    if plan.reply != Reply::Echo {
        return None;
    }
    let mismatches = outcome.mismatches.iter();
    let mismatches = mismatches.filter(|mismatch| greeting(mismatch, plan).is_none());
    let mut suffixes = mismatches.filter_map(|mismatch| Some((mismatch.offset, added(mismatch)?)));
    let largest = plan
        .message
        .as_ref()
        .map_or_else(|| plan.sizes.largest(), Vec::len);
    let is_first = |offset| plan.udp || offset <= largest as u64;
    let (offset, first) = suffixes.next()?;
    let constant =
        is_first(offset) && suffixes.all(|(offset, suffix)| suffix == first && is_first(offset));
    reply_option(first).filter(|_| constant)
}

/// What to say if the server is meant to answer so.
fn remedy(mismatch: &Mismatch, plan: &Plan) -> Option<String> {
    if let Some(option) = greeting(mismatch, plan).map(greeting_option) {
        return Some(format!(
            "If the server sends that before the first message, use {option}."
        ));
    }
    if plan.reply != Reply::Echo {
        return None;
    }
    let added = added(mismatch);
    if let Some(option) = added.and_then(reply_option) {
        return Some(format!(
            "If the server adds that to every reply, use {option}."
        ));
    }
    // The head of a datagram covers its size, so one with a suffix looks damaged from its first byte on.
    let headless = plan.udp && mismatch.kind == MismatchKind::Altered && mismatch.offset == 0;
    (added.is_some() || headless).then(|| {
        "If the server adds something to every reply, describe it with --reply 'suffix:TEXT'."
            .to_owned()
    })
}

/// The bytes that were put behind the right ones, if it looks like that.
fn added(mismatch: &Mismatch) -> Option<&[u8]> {
    let Mismatch { got, expected, .. } = mismatch;
    match mismatch.kind {
        // Before the first reply, nothing can be a suffix.
        MismatchKind::Surplus if mismatch.offset > 0 => Some(got),
        MismatchKind::Size(size) if mismatch.offset == size as u64 && !got.is_empty() => Some(got),
        // The next answer goes on behind it.
        MismatchKind::Altered => (1..got.len().saturating_sub(AGREE - 1))
            .find(|&end| expected.starts_with(&got[end..]))
            .map(|end| &got[..end]),
        _ => None,
    }
}

/// The first bytes of a TCP connection, if they may be a greeting: nothing was to come yet, or they are text in place of
/// the first reply.
fn greeting<'a>(mismatch: &'a Mismatch, plan: &Plan) -> Option<&'a [u8]> {
    let is_awaited = plan.greeting.is_some();
    if plan.udp || is_awaited || plan.reply == Reply::None || mismatch.offset > 0 {
        return None;
    }
    let got = mismatch.got.as_slice();
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    let is_line = got.ends_with(b"\n") || got.len() >= KEPT;
    match mismatch.kind {
        MismatchKind::Surplus => Some(got),
        // Either the reply follows at once, or there is nothing but a line of text.
        MismatchKind::Altered => {
            added(mismatch).or_else(|| (is_line && got.iter().all(is_text)).then_some(got))
        }
        _ => None,
    }
}

/// The option for this greeting, which ends in the last bytes unless there may have been more than were kept.
fn greeting_option(greeting: &[u8]) -> String {
    let end = match greeting {
        [.., b'\r', b'\n'] => b"\r\n",
        [.., last] if last.is_ascii_punctuation() || *last == b'\n' => std::slice::from_ref(last),
        _ => &[],
    };
    if greeting.len() >= KEPT || end.is_empty() {
        return "--greeting 'until:TEXT'".to_owned();
    }
    option("--greeting 'until:", end)
}

/// The option for this suffix, quoted for a shell. `None` if there may have been more bytes than
/// were kept.
fn reply_option(suffix: &[u8]) -> Option<String> {
    (suffix.len() < KEPT).then(|| option("--reply 'suffix:", suffix))
}

/// An option whose value, in single quotes for a shell, begins as `beginning` does and ends in `text`.
fn option(beginning: &str, text: &[u8]) -> String {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    let escapes = if text.iter().all(plain) { "" } else { "-e " };
    let escaped = |&byte: &u8| match byte {
        b'\n' => r"\n".to_owned(),
        b'\r' => r"\r".to_owned(),
        b'\t' => r"\t".to_owned(),
        0 => r"\0".to_owned(),
        b'\\' => r"\\".to_owned(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    let text: String = text.iter().map(escaped).collect();
    let quoted = text.replace('\'', r"'\''");
    format!("{escapes}{beginning}{quoted}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn told(mismatch: Mismatch, plan: &Plan) -> String {
        let mut outcome = sample::outcome();
        outcome.wrong_replies = 1;
        outcome.mismatches.push(mismatch);
        let mut page = Page::new();
        write(&outcome, plan, &mut page);
        page.into_text()
    }

    #[test]
    fn what_looks_like_a_suffix_is_told_with_what_to_say() {
        let expected = "  mismatch    connection 7 (127.0.0.1:40000), byte 6 400, got 7c 20 6c 65 65\n\
                        \x20             Nothing more was to come. If the server adds that to every reply,\n\
                        \x20             use --reply 'suffix:| lee'.\n";
        assert_eq!(told(sample::mismatch(), &sample::plan()), expected);
        let between = Mismatch {
            kind: MismatchKind::Altered,
            expected: b"0123456789abcdef".to_vec(),
            got: b"| lee0123456789a".to_vec(),
            ..sample::mismatch()
        };
        assert!(told(between, &sample::plan()).contains("'suffix:| lee'"));
        let longer = Mismatch {
            kind: MismatchKind::Size(64),
            offset: 64,
            ..sample::mismatch()
        };
        let told_of = told(longer, &sample::plan());
        assert!(
            told_of.contains("The answer was to be 64 bytes long. If"),
            "{told_of}"
        );
        assert!(told_of.contains("'suffix:| lee'"), "{told_of}");
    }

    #[test]
    fn suffix_is_quoted_for_a_shell_unless_it_is_cut_short() {
        for (got, option) in [
            (&b"it's"[..], r"--reply 'suffix:it'\''s'"),
            (b"\x1b[2J", r"-e --reply 'suffix:\x1b[2J'"),
            (b"a\\", r"-e --reply 'suffix:a\\'"),
            (b"0123456789abcdef", "--reply 'suffix:TEXT'"),
            (b"\xff", r"-e --reply 'suffix:\xff'"),
        ] {
            let surplus = Mismatch {
                got: got.to_vec(),
                ..sample::mismatch()
            };
            let told = told(surplus, &sample::plan());
            assert!(told.contains(option), "{told}");
            assert!(!told.contains('\x1b'), "{told}");
        }
    }

    #[test]
    fn first_bytes_of_a_connection_suggest_a_greeting() {
        let first = |kind, got: &[u8]| Mismatch {
            kind,
            offset: 0,
            got: got.to_vec(),
            ..sample::mismatch()
        };
        for (kind, got, option) in [
            (
                MismatchKind::Surplus,
                &b"220 ready\r\n"[..],
                r"-e --greeting 'until:\r\n'",
            ),
            (
                MismatchKind::Altered,
                b"hello\n",
                r"-e --greeting 'until:\n'",
            ),
            (MismatchKind::Surplus, b"login>", "--greeting 'until:>'"),
            (MismatchKind::Surplus, b"220 re", "--greeting 'until:TEXT'"),
            (
                MismatchKind::Surplus,
                b"220 mail.example",
                "--greeting 'until:TEXT'",
            ),
        ] {
            let mut plan = sample::plan();
            let text = told(first(kind, got), &plan);
            assert!(text.contains(option) && !text.contains("suffix"), "{text}");
            plan.greeting = Some(b"\n".to_vec());
            assert!(!told(first(kind, got), &plan).contains("--greeting"));
        }
        let before_the_reply = Mismatch {
            expected: b"0123456789abcdef".to_vec(),
            ..first(MismatchKind::Altered, b"hi\r\n0123456789ab")
        };
        let text = told(before_the_reply, &sample::plan());
        assert!(text.contains(r"-e --greeting 'until:\r\n'"), "{text}");
        for (mismatch, udp) in [
            (sample::mismatch(), false),
            (first(MismatchKind::Altered, b"\x00\x80\n"), false),
            (first(MismatchKind::Altered, b"hello\n"), true),
        ] {
            let mut plan = sample::plan();
            plan.udp = udp;
            assert!(!told(mismatch, &plan).contains("--greeting"));
        }
    }

    #[test]
    fn every_kind_is_told_in_words_and_has_no_remedy_that_does_not_fit() {
        for (kind, words) in [
            (MismatchKind::Altered, "No connection has sent that.\n"),
            (
                MismatchKind::Foreign(3),
                "That was sent on connection 3: the server has mixed up two\n              clients.\n",
            ),
            (MismatchKind::Lost(1), "Missing before it: 1 byte.\n"),
            (
                MismatchKind::Repeated(5_621),
                "That has come before, 5 621 bytes earlier.\n",
            ),
            (
                MismatchKind::Size(64),
                "The answer was to be 64 bytes long.\n",
            ),
        ] {
            let mismatch = Mismatch {
                kind,
                expected: vec![1; 16],
                got: vec![2; 16],
                ..sample::mismatch()
            };
            let told = told(mismatch, &sample::plan());
            assert!(told.ends_with(words), "{told}");
        }
        let mut plan = sample::plan();
        plan.reply = Reply::Suffix(b"!".to_vec());
        assert!(told(sample::mismatch(), &plan).ends_with("Nothing more was to come.\n"));
    }

    #[test]
    fn a_numbered_datagram_that_has_grown_looks_damaged() {
        let mut plan = sample::plan();
        plan.udp = true;
        let damaged = Mismatch {
            kind: MismatchKind::Altered,
            offset: 0,
            got: b"echoload12345678".to_vec(),
            ..sample::mismatch()
        };
        let told = told(damaged, &plan);
        assert!(
            told.contains("flow 7") && told.contains("'suffix:TEXT'"),
            "{told}"
        );
    }

    #[test]
    fn only_the_first_few_are_told_of() {
        let mut outcome = sample::outcome();
        outcome.wrong_replies = 1_000;
        outcome.mismatches = vec![sample::mismatch(); 10];
        let mut page = Page::new();
        write(&outcome, &sample::plan(), &mut page);
        let text = page.into_text();
        assert_eq!(text.matches("connection 7").count(), 3);
        assert!(text.ends_with("              and 997 more\n"), "{text}");
    }
}
