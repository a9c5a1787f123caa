//! What an operator sees of what clients send.

use super::*;

/// However a client's bytes are cut into messages, what is shown differs by line breaks alone; every line
/// says whose it is, and nothing in it acts on a terminal.
#[test]
fn any_bytes_in_any_messages_show_the_same() {
    let mut seed = 1_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    // What attacks are made of, and bytes at random.
    let pieces: [&[u8]; 12] = [
        b"hello ",
        "你好".as_bytes(),
        "👩‍👩‍👧".as_bytes(),
        b"\x1b]0;title\x07",
        b"\x1b[2J\x9b6n",
        b"\r\n",
        b"\r  #2 | forged",
        b"\n  #2 has left\n",
        "\u{202e}\u{2066}\u{2028}".as_bytes(),
        b"\xf0\x9f",
        b"\xe4\xbd\xff\xc0\x80",
        b"\x00\x08\x7f\t",
    ];
    for _ in 0..2_000 {
        let mut bytes = Vec::new();
        for _ in 0..1 + random(8) {
            bytes.extend_from_slice(pieces[random(pieces.len())]);
            bytes.extend((0..random(4)).map(|_| random(256) as u8));
        }
        let show = |cuts: &mut dyn FnMut() -> usize| {
            let mut desk = Desk::new();
            desk.opens(1);
            desk.shows();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (message, more) = rest.split_at(cuts().clamp(1, rest.len()));
                desk.hears(1, message);
                rest = more;
            }
            desk.closes(1, CloseReason::PeerClosed);
            let shown = desk.shows();
            let lines = shown
                .strip_suffix("  #1 has left\n")
                .expect("and it has left");
            lines
                .lines()
                .map(|line| {
                    line.strip_prefix("  #1 | ")
                        .expect("a line says whose it is")
                })
                .collect::<String>()
        };
        let whole = show(&mut || usize::MAX);
        assert_eq!(whole, show(&mut || 1), "{bytes:x?}");
        assert_eq!(whole, show(&mut || 1 + random(9)), "{bytes:x?}");
        let unfit = |c: char| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!whole.contains(unfit), "{whole:?}");
    }
}

#[test]
fn an_operator_who_does_not_look_costs_a_bounded_amount() {
    let mut desk = Desk::new();
    desk.opens(1);
    desk.opens(2);
    desk.hears(2, b"hello");
    for _ in 0..1000 {
        desk.hears(1, &[0xff; 1024]);
        let oldest = desk.console.guests[&1].unanswered[0];
        desk.console.settle(1, oldest);
    }
    let shown = desk.shows();
    assert!(shown.len() < 258 * 1024, "{} bytes", shown.len());
    let lines: Vec<&str> = shown.lines().rev().take(2).collect();
    // What is to be answered may have been among what was not shown.
    assert_eq!(lines[0], "  #2 said: hello");
    assert!(lines[1].contains("lines were not shown"), "{}", lines[1]);
    let kept: usize = desk
        .console
        .unanswered
        .values()
        .map(|message| message.excerpt.len())
        .sum();
    assert!(kept < 1024);
}

#[test]
fn a_long_list_is_cut() {
    let mut desk = Desk::new();
    for id in 0..150 {
        desk.opens(id);
    }
    desk.shows();
    desk.types("/clients");
    let shown = desk.shows();
    assert_eq!(shown.lines().count(), 101);
    assert!(shown.ends_with("... and 50 more\n"));
}

#[test]
fn a_character_cut_by_the_end_of_a_message_is_whole_and_half_a_one_is_shown() {
    let mut desk = Desk::new();
    desk.opens(1);
    desk.opens(2);
    desk.shows();
    desk.hears(1, b"half of \xe4\xbd");
    desk.hears(2, b"another \x1b[2J");
    desk.hears(1, b"\xa0 is");
    desk.hears(1, b"\xe4\xbd");
    desk.closes(1, CloseReason::PeerClosed);
    assert_eq!(
        desk.shows(),
        "  #1 | half of \n  #2 | another \\x1b[2J\n  #1 | 你 is\n  #1 | \n  #1 | \\xe4\\xbd\n  #1 has left\n  \
         #2 said: another \\x1b[2J\n"
    );
}

#[test]
fn datagrams_are_shown_and_are_nobodys_question() {
    let mut desk = Desk::new();
    let source = ([127, 0, 0, 1], 4000).into();
    desk.console
        .overhear(source, "你好\n  #1 | forged".as_bytes());
    assert_eq!(
        desk.shows(),
        "udp 127.0.0.1:4000 | 你好\nudp 127.0.0.1:4000 |   #1 | forged\n"
    );
    assert_eq!(desk.prompt(), None);
}
