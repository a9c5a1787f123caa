//! The pump over scripted streams: short reads and writes, errors and ends of file at every position.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::ErrorKind;

use echoloop::connection::{CloseReason, Connection, Outcome, Pump, Reply, State};
use echoloop::service::{ClientId, Service, Suffix};
use support::script::{Pumping, Script};

const CLOSED: Outcome = Outcome::Closed(CloseReason::PeerClosed);

/// Pitfall 1: data and FIN come as one edge, and the short read that brings the data must not hide
/// the end of file.
#[test]
fn pitfall_01_an_end_of_file_behind_a_short_read_is_not_lost() {
    let mut client = Pumping::new(Script::new().read("abc").eof().take(9));
    client.peer.readiness.latch_read_closed();
    assert_eq!(client.pump().outcome, CLOSED, "without a further event");
    assert_eq!(client.peer.stream.written, b"abc");
    assert!(client.peer.stream.is_finished());
}

/// The short-read shortcut: a read that did not fill its room is not followed by one that would block.
#[test]
fn a_short_read_saves_the_read_that_would_block() {
    let mut client = Pumping::new(Script::new().read("abc").drained().take(9));
    assert_eq!(client.readable().outcome, Outcome::Waiting);
    assert_eq!(
        (
            client.peer.stream.read_calls,
            client.peer.stream.write_calls
        ),
        (1, 1)
    );
}

/// Pitfall 2: a read that filled its room is followed by another.
#[test]
fn pitfall_02_input_is_read_until_it_is_drained() {
    let mut client = Pumping::new(
        Script::new()
            .read([7; 100])
            .take(99)
            .take(99)
            .take(99)
            .take(99)
            .take(99)
            .take(99)
            .take(99),
    );
    assert_eq!(client.readable().outcome, Outcome::WaitingBulk);
    assert_eq!(client.peer.stream.written, [7; 100]);
}

/// The same for a message that is as long as a read can be.
#[test]
fn pitfall_02_small_read_that_fills_its_room_is_followed_by_another() {
    let script = Script::new().read([7; 8]).take(8).read("abc").take(3);
    let mut client = Pumping::new(script).limited(|limits| limits.read_ahead = limits.recv_size);
    client.readable();
    assert_eq!(
        client.peer.stream.written,
        b"\x07\x07\x07\x07\x07\x07\x07\x07abc"
    );
    assert!(client.peer.stream.is_finished());
}

/// Pitfall 3: events are hints.
#[test]
fn pitfall_03_a_spurious_event_is_harmless() {
    let mut client = Pumping::new(Script::new());
    assert_eq!(client.readable().outcome, Outcome::Waiting);
    assert_eq!(client.writable().outcome, Outcome::Waiting);
    assert_eq!(client.peer.connection.state(), State::Open);
    assert_eq!(
        (
            client.peer.stream.read_calls,
            client.peer.stream.write_calls
        ),
        (1, 0)
    );
}

/// Pitfall 4: a signal can interrupt any call.
#[test]
fn pitfall_04_an_interrupted_call_is_repeated() {
    let interrupted = ErrorKind::Interrupted;
    let script = Script::new()
        .read_fails(interrupted)
        .read_fails(interrupted)
        .read("abc");
    let mut client = Pumping::new(
        script
            .write_fails(interrupted)
            .take(1)
            .full()
            .write_fails(interrupted)
            .take(9),
    );
    assert_eq!(client.readable().outcome, Outcome::Blocked);
    // The first write was short: the rest waits for room.
    assert_eq!(client.writable().outcome, Outcome::WaitingBulk);
    assert_eq!(client.peer.stream.written, b"abc");
    assert!(client.peer.stream.is_finished());
}

/// Pitfall 5: a client that always has more must not keep the others waiting, nor be forgotten.
#[test]
fn pitfall_05_a_spent_budget_yields_and_the_next_turn_goes_on_without_an_event() {
    let script = (0..8).fold(Script::new().read([1; 128]), |script, _| script.take(99));
    let mut client = Pumping::new(script).limited(|limits| limits.budget = 32);
    client.peer.readiness.latch_readable();
    for turn in 1..=4 {
        let pumped = client.pump();
        assert_eq!(
            (pumped.outcome, pumped.read),
            (Outcome::Yielded, 32),
            "turn {turn}"
        );
    }
    assert_eq!(client.pump().outcome, Outcome::Waiting);
    assert_eq!(client.peer.stream.written.len(), 128);
}

/// Where no short read is proof, they are read as fast as they come.
#[test]
fn small_messages_that_keep_coming_spend_a_budget_too() {
    let script = (0..100).fold(Script::new(), |script, _| script.read([1]).take(9));
    let mut client = Pumping::new(script).limited(|limits| limits.budget = 32);
    let most = 32 / client.limits.recv_size.get();
    let mut turns = 0;
    while client.peer.stream.written.len() < 100 {
        let pumped = client.readable();
        assert!(pumped.read <= most, "{pumped:?}");
        turns += 1;
    }
    assert!(turns >= 100 / most);
}

/// The budget counts what is written from the tail too.
#[test]
fn a_budget_is_charged_for_what_is_flushed() {
    let mut client = Pumping::new((0..10).fold(Script::new(), |script, _| script.take(10)))
        .limited(|limits| limits.budget = 30);
    client
        .peer
        .connection
        .owe(&[1; 100], client.limits.watermarks);
    // Short writes clear the latch; what is tested is that each turn stops at the budget.
    let mut turns = 0;
    while client.peer.connection.has_unsent() {
        let pumped = client.writable();
        assert!(pumped.written <= 30, "{pumped:?}");
        turns += 1;
    }
    assert!(turns >= 4);
    let mut client = Pumping::new(Script::new().take(100).read([2; 100]).take(100))
        .limited(|limits| limits.budget = 30);
    client
        .peer
        .connection
        .owe(&[1; 40], client.limits.watermarks);
    client.peer.readiness.latch_readable();
    let pumped = client.pump();
    assert_eq!(
        (pumped.outcome, pumped.written, pumped.read),
        (Outcome::Yielded, 40, 0)
    );
}

/// Pitfall 7: an end of file ends the input, not the replies.
#[test]
fn pitfall_07_a_half_close_flushes_the_tail() {
    let mut client = Pumping::new(
        Script::new()
            .read("abcdef")
            .eof()
            .take(2)
            .full()
            .take(1)
            .full()
            .take(9),
    );
    client.peer.readiness.latch_read_closed();
    assert_eq!(client.pump().outcome, Outcome::Blocked);
    assert_eq!(client.writable().outcome, Outcome::Blocked);
    assert_eq!(client.writable().outcome, CLOSED);
    assert_eq!(client.peer.stream.written, b"abcdef");
}

/// Pitfall 8: the input that came before a reset is answered first.
#[test]
fn pitfall_08_an_error_event_does_not_skip_the_input_before_it() {
    let mut client = Pumping::new(
        Script::new()
            .read("last words")
            .read_fails(ErrorKind::ConnectionReset)
            .take(99),
    );
    // What an event with nothing but an error or a hang-up latches.
    client.peer.readiness.latch_read_closed();
    client.peer.readiness.latch_writable();
    let pumped = client.pump();
    assert_eq!(
        pumped.outcome,
        Outcome::Closed(CloseReason::Failed(ErrorKind::ConnectionReset))
    );
    assert_eq!(client.peer.stream.written, b"last words");
}

/// Pitfall 9: whatever an event says, the calls that follow tell the truth.
#[test]
fn pitfall_09_every_combination_of_latches_is_survived() {
    for mask in 0..16 {
        let mut client = Pumping::new(Script::new().read("abc").take(9));
        if mask & 1 != 0 {
            client.peer.readiness.latch_readable();
        }
        if mask & 2 != 0 {
            client.peer.readiness.latch_writable();
        }
        if mask & 4 != 0 {
            client.peer.readiness.latch_read_closed();
        }
        if mask & 8 != 0 {
            client.peer.readiness.latch_urgent();
        }
        for outcome in [client.pump().outcome, client.readable().outcome] {
            let waits = [Outcome::Waiting, Outcome::WaitingBulk].contains(&outcome);
            assert!(waits, "mask {mask}: {outcome:?}");
        }
        assert_eq!(client.peer.stream.written, b"abc", "mask {mask}");
    }
}

/// Pitfall 11: a read stops short at TCP's urgent mark, with more data behind it.
#[test]
fn pitfall_11_data_behind_an_urgent_mark_is_read() {
    let mut client = Pumping::new(Script::new().read("abc").read("efg").take(9).take(9));
    client.peer.readiness.latch_urgent();
    assert_eq!(client.pump().outcome, Outcome::WaitingBulk);
    assert_eq!(client.peer.stream.written, b"abcefg");
}

/// Pitfall 12: a kernel may take as little as one byte.
#[test]
fn pitfall_12_writes_of_one_byte_each_lose_nothing() {
    let text = b"0123456789abcdefghijklmnopqrstuv";
    let mut client =
        Pumping::new((0..text.len()).fold(Script::new().read(text), |script, _| script.take(1)));
    client.readable();
    while client.peer.connection.has_unsent() {
        client.writable();
    }
    client.readable();
    while client.peer.connection.has_unsent() {
        client.writable();
    }
    assert_eq!(client.peer.stream.written, text);
}

/// Pitfall 13: after a write that did not fill the kernel buffer no event for room ever comes.
#[test]
fn pitfall_13_a_reply_is_written_at_once_without_an_event_for_room() {
    let mut client = Pumping::new(Script::new().read("one").take(9).read("two").take(9));
    client.readable();
    client.readable();
    assert_eq!(client.peer.stream.written, b"onetwo");
}

/// Pitfall 15: what a client does not take is bounded.
#[test]
fn pitfall_15_a_client_that_never_reads_is_not_read_from_beyond_the_mark() {
    let mut client = Pumping::new(Script::new().read(vec![9; 100_000]));
    let pumped = client.readable();
    assert_eq!(pumped.outcome, Outcome::Blocked);
    assert_eq!(pumped.pauses, 1);
    let bound = client
        .limits
        .watermarks
        .high
        .max(client.limits.read_ahead.get());
    assert!(
        client.peer.connection.unsent_len() <= bound,
        "{} unsent",
        client.peer.connection.unsent_len()
    );
    let reads = client.peer.stream.read_calls;
    for _ in 0..100 {
        client.readable();
    }
    assert_eq!(client.peer.stream.read_calls, reads, "no read while paused");
}

/// Pitfall 16: the edge that announced the rest of the input was used up before the pause.
#[test]
fn pitfall_16_reading_resumes_after_a_pause_without_a_new_edge() {
    let mut client = Pumping::new(
        (0..30).fold(
            Script::new()
                .read([5; 200])
                .write_fails(ErrorKind::WouldBlock),
            |script, _| script.take(99),
        ),
    );
    assert_eq!(client.readable().pauses, 1);
    assert!(client.peer.connection.is_paused());
    let pumped = client.writable();
    assert_eq!((pumped.outcome, pumped.pauses), (Outcome::WaitingBulk, 0));
    assert_eq!(client.peer.stream.written, [5; 200]);
    assert!(!client.peer.connection.is_paused());
}

/// Pitfall 17: a full kernel buffer is waited for, not tried again and again.
#[test]
fn pitfall_17_a_write_that_would_block_is_tried_once_an_event() {
    let mut client = Pumping::new(Script::new().read("abc"));
    client.readable();
    assert_eq!(client.peer.stream.write_calls, 1);
    for events in 2..10 {
        client.writable();
        assert_eq!(client.peer.stream.write_calls, events);
    }
}

/// A whole server in simulation found it: it was put off to the next turn, closed and still counted as a client.
#[test]
fn what_fails_as_the_budget_runs_out_is_over_at_once() {
    let script = Script::new()
        .read("abcd")
        .write_fails(ErrorKind::BrokenPipe);
    let mut client = Pumping::new(script).limited(|limits| limits.budget = 4);
    client.peer.readiness.latch_read_closed();
    let reason = CloseReason::Failed(ErrorKind::BrokenPipe);
    assert_eq!(client.readable().outcome, Outcome::Closed(reason));
}

/// Pitfall 18: writing to a peer that has gone ends that conversation and nothing else.
#[test]
fn pitfall_18_a_broken_pipe_is_a_close_reason() {
    for kind in [
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionReset,
        ErrorKind::TimedOut,
    ] {
        let mut client = Pumping::new(Script::new().read("abc").write_fails(kind));
        assert_eq!(
            client.readable().outcome,
            Outcome::Closed(CloseReason::Failed(kind))
        );
        assert_eq!(
            client.peer.connection.unsent(),
            b"abc",
            "what it was owed can be counted"
        );
    }
}

/// Pitfall 19: a write that takes nothing could be repeated for ever.
#[test]
fn pitfall_19_a_write_that_takes_nothing_is_a_failure() {
    let mut client = Pumping::new(Script::new().read("abc").take(0));
    let reason = CloseReason::Failed(ErrorKind::WriteZero);
    assert_eq!(client.readable().outcome, Outcome::Closed(reason));
}

/// Pitfall 20: no event will say when the kernel has memory again.
#[test]
fn pitfall_20_no_buffer_space_is_waited_out() {
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    for errno in [ENOBUFS, ENOMEM] {
        let mut client = Pumping::new(
            Script::new()
                .read("abc")
                .write_errno(errno)
                .write_errno(errno)
                .take(9),
        );
        assert_eq!(client.readable().outcome, Outcome::Starved);
        assert_eq!(client.pump().outcome, Outcome::Starved, "still");
        assert_eq!(
            client.pump().outcome,
            Outcome::WaitingBulk,
            "tried again without an event"
        );
        assert_eq!(client.peer.stream.written, b"abc");

        let mut client = Pumping::new(Script::new().read_errno(errno).read("abc").take(9));
        assert_eq!(client.readable().outcome, Outcome::Starved);
        assert_eq!(client.pump().outcome, Outcome::Waiting);
        assert_eq!(client.peer.stream.written, b"abc");
    }
}

/// Pitfall 22: closing with input unread makes the kernel send a reset, which destroys replies.
#[test]
fn pitfall_22_after_our_side_is_shut_input_is_read_and_discarded_until_its_end() {
    let mut client = Pumping::new(
        Script::new()
            .read("quit")
            .drained()
            .take(9)
            .read("more")
            .read("and more")
            .eof(),
    );
    assert_eq!(client.readable_with(&mut Quit).outcome, Outcome::Blocked);
    assert_eq!(
        (
            client.peer.stream.written.as_slice(),
            client.peer.stream.shutdowns
        ),
        (&b"bye"[..], 1)
    );
    client.peer.readiness.latch_read_closed();
    let pumped = client.pump();
    assert_eq!((pumped.discarded, pumped.read), (12, 0));
    assert_eq!(pumped.outcome, Outcome::Closed(CloseReason::HungUp));
    assert_eq!(
        client.peer.stream.written, b"bye",
        "nothing is answered any more"
    );
}

/// Discarding drains as reading does, and asks no more often: a read that was short proves that nothing is left, and one that filled
/// its room does not.
#[test]
fn what_is_discarded_is_read_until_it_is_drained() {
    for (size, calls) in [(4, 1), (16, 2), (20, 2)] {
        let script = Script::new().read("quit").drained().read(vec![7; size]);
        let script = if size == 16 { script } else { script.drained() };
        let mut client = Pumping::new(script.take(9));
        client.readable_with(&mut Quit);
        let before = client.peer.stream.read_calls;
        let pumped = client.readable();
        assert_eq!((pumped.discarded, pumped.outcome), (size, Outcome::Blocked));
        let made = client.peer.stream.read_calls - before;
        assert_eq!(made, calls, "{size} bytes");
    }
}

/// Who is owed something is read from as far as an echo of it leaves the watermark, and no further.
#[test]
fn who_is_owed_something_is_read_from_up_to_the_high_watermark() {
    let mut client = Pumping::new(Script::new().read([1; 99]));
    let high = client.limits.watermarks;
    client.peer.connection.owe(&[1; 30], high);
    client.peer.readiness.write_blocked();
    let pumped = client.readable();
    assert_eq!((pumped.read, pumped.outcome), (34, Outcome::Blocked));
    assert_eq!(client.peer.connection.unsent_len(), 64);
    assert_eq!(client.peer.stream.read_calls, 3, "16, 16 and 2 bytes");
}

#[test]
fn who_is_promised_as_much_as_it_may_be_is_not_read_from() {
    let mut client = Pumping::new(Script::new().read("abc").drained().take(9))
        .limited(|limits| limits.deferred = 1);
    assert_eq!(client.readable_with(&mut Later).outcome, Outcome::Blocked);
    assert_eq!(client.peer.stream.written, b"abc");
    assert_eq!(client.peer.connection.deferred(), 1);
    // It is told of an error that is none.
    client.peer.readiness.latch_failed();
    assert_eq!(client.pump().outcome, Outcome::Blocked);
    let readiness = client.peer.readiness;
    assert!(!readiness.is_failed() && readiness.is_readable());
}

/// At the high watermark nothing more is owed, whoever says it.
#[test]
fn a_peer_may_be_owed_more_as_long_as_it_is_owed_less_than_the_high_watermark() {
    let client = Pumping::new(Script::new());
    let pump = Pump::new(client.limits);
    let mut connection = Connection::new();
    connection.owe(&[1; 63], client.limits.watermarks);
    assert!(pump.may_owe(&connection));
    connection.owe(&[1], client.limits.watermarks);
    assert!(!pump.may_owe(&connection));
}

/// Pitfall 27: the service hangs up while the peer ends too, or goes on sending.
#[test]
fn pitfall_27_hanging_up_and_an_end_of_file_in_the_same_batch() {
    let mut client = Pumping::new(Script::new().read("quit").eof().take(9));
    client.peer.readiness.latch_read_closed();
    assert_eq!(
        client.serve(&mut Quit).outcome,
        Outcome::Closed(CloseReason::HungUp)
    );
    assert_eq!(client.peer.stream.written, b"bye");

    // The rest of the batch behind the last message is not answered.
    let mut client = Pumping::new(Script::new().read("quit....ignored!").take(9).eof())
        .limited(|limits| limits.recv_size = 4.try_into().unwrap());
    client.peer.readiness.latch_read_closed();
    let pumped = client.serve(&mut Quit);
    assert_eq!(pumped.outcome, Outcome::Closed(CloseReason::HungUp));
    assert_eq!((pumped.read, pumped.discarded), (4, 12));
    assert_eq!(client.peer.stream.written, b"bye");
}

/// What the kernel did not take of a last word is still delivered before our side is shut.
#[test]
fn hanging_up_with_a_full_kernel_buffer_delivers_first() {
    let mut client = Pumping::new(
        Script::new()
            .read("quit")
            .drained()
            .eof()
            .take(1)
            .full()
            .take(9),
    );
    assert_eq!(client.readable_with(&mut Quit).outcome, Outcome::Blocked);
    assert_eq!(client.peer.stream.shutdowns, 0);
    client.peer.readiness.latch_writable();
    client.peer.readiness.latch_read_closed();
    assert_eq!(client.pump().outcome, Outcome::Closed(CloseReason::HungUp));
    assert_eq!(client.peer.stream.written, b"bye");
}

/// The documents' `recv(1024)`: slices of at most `recv-size`, in order, from one large read, and one
/// write for all the replies.
#[test]
fn one_read_is_served_in_slices_and_answered_with_one_write() {
    let input: Vec<u8> = (0..50).collect();
    let mut client = Pumping::new(Script::new().read(&input).drained().take(9999))
        .limited(|limits| limits.read_ahead = 64.try_into().unwrap());
    let mut seen = Vec::new();
    let pumped = client.readable_with(&mut Record(&mut seen));
    assert_eq!(pumped.messages, 7);
    assert_eq!(
        seen.iter().map(Vec::len).collect::<Vec<_>>(),
        [8, 8, 8, 8, 8, 8, 2]
    );
    assert_eq!(seen.concat(), input);
    assert_eq!(
        (
            client.peer.stream.read_calls,
            client.peer.stream.write_calls
        ),
        (1, 1)
    );
}

/// With `--read-ahead` at `recv-size`, each read is one literal `recv` of that size.
#[test]
fn a_read_ahead_of_recv_size_is_one_message_a_read() {
    let script = (0..9).fold(Script::new().read([1; 50]).drained(), |script, _| {
        script.take(99)
    });
    let mut client =
        Pumping::new(script).limited(|limits| limits.read_ahead = 8.try_into().unwrap());
    let pumped = client.readable();
    assert_eq!(
        (
            pumped.messages,
            client.peer.stream.read_calls,
            client.peer.stream.write_calls
        ),
        (7, 7, 7)
    );
}

/// A read goes no further than a turn may, but one message is one message.
#[test]
fn a_read_is_no_larger_than_the_budget_unless_a_message_is() {
    for (budget, first) in [(24, 24), (2, 8), (1024, 64)] {
        let script = Script::new().read([1; 64]).take(99);
        let mut client = Pumping::new(script).limited(|limits| {
            limits.read_ahead = 64.try_into().unwrap();
            limits.budget = budget;
        });
        client.peer.readiness.latch_readable();
        assert_eq!(client.pump().read, first, "budget {budget}");
    }
}

/// Who is owed something is asked only for what fits below the mark, and a read that brought that much has
/// not shown that there is no more.
#[test]
fn a_read_that_the_mark_cut_short_leaves_the_latch_set() {
    let mut client = Pumping::new(Script::new().read([2; 40])).limited(|limits| {
        limits.read_ahead = 64.try_into().unwrap();
    });
    client
        .peer
        .connection
        .owe(&[1; 40], client.limits.watermarks);
    client.peer.readiness.write_blocked();
    let pumped = client.readable();
    assert_eq!((pumped.outcome, pumped.read), (Outcome::Blocked, 24));
    assert_eq!(client.peer.connection.unsent_len(), 64);
    assert!(client.peer.readiness.is_readable());
}

/// A message without an answer leaves who was owed something owed something.
#[test]
fn silence_to_one_that_is_owed_something_is_not_the_end_of_what_there_is_to_do() {
    let mut client = Pumping::new(Script::new().read("quiet"));
    client
        .peer
        .connection
        .owe(b"owed", client.limits.watermarks);
    client.peer.readiness.write_blocked();
    let pumped = client.readable_with(&mut Silent);
    assert_eq!((pumped.outcome, pumped.read), (Outcome::Blocked, 5));
}

/// An end of file, a reset, and a full buffer at every position of a conversation: no byte that was
/// read is lost, none is sent twice, and the conversation ends as it should.
#[test]
fn every_position_of_an_end_and_every_size_of_a_write() {
    let text: Vec<u8> = (0..48).collect();
    for position in 0..=text.len() {
        for take in 1..=12 {
            for reset in [false, true] {
                let script = Script::new().read(&text[..position]);
                let script = if position == 0 { Script::new() } else { script };
                let script = if reset {
                    script.read_fails(ErrorKind::ConnectionReset)
                } else {
                    script.eof()
                };
                let mut client = Pumping::new((0..60).fold(script, |script, _| script.take(take)));
                client.peer.readiness.latch_read_closed();
                let mut outcome = client.pump().outcome;
                for _ in 0..100 {
                    if matches!(outcome, Outcome::Closed(_)) {
                        break;
                    }
                    outcome = client.writable().outcome;
                }
                let written = &client.peer.stream.written;
                if reset {
                    let reason = CloseReason::Failed(ErrorKind::ConnectionReset);
                    assert_eq!(outcome, Outcome::Closed(reason), "{position}, {take}");
                    assert!(text.starts_with(written), "{position}, {take}");
                } else {
                    assert_eq!(outcome, CLOSED, "{position}, {take}");
                    assert_eq!(written, &text[..position], "{position}, {take}");
                }
            }
        }
    }
}

/// Suffixed replies keep their place behind each message whatever the kernel takes at a time.
#[test]
fn a_suffix_stays_behind_its_message() {
    for take in 1..40 {
        let script = (0..99).fold(Script::new().read("abcdefgh12345678").eof(), |script, _| {
            script.take(take)
        });
        let mut client = Pumping::new(script);
        client.peer.readiness.latch_read_closed();
        let mut service = Suffix::new(*b"| lee");
        client.serve(&mut service);
        while !client.peer.connection.is_closed() {
            client.writable();
        }
        assert_eq!(client.peer.stream.written, b"abcdefgh| lee12345678| lee");
    }
}

/// Says bye to the first message and hangs up.
struct Quit;

impl Service for Quit {
    fn receive(&mut self, _: ClientId, _: &[u8], reply: &mut Reply<'_>) {
        reply.send(b"bye");
        reply.hang_up();
    }
}

/// Says something at once, and promises more.
struct Later;

impl Service for Later {
    fn receive(&mut self, _: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        reply.send(message);
        reply.defer();
    }
}

/// Keeps every message.
struct Silent;

impl Service for Silent {
    fn receive(&mut self, _client: ClientId, _message: &[u8], _reply: &mut Reply<'_>) {}
}

struct Record<'a>(&'a mut Vec<Vec<u8>>);

impl Service for Record<'_> {
    fn receive(&mut self, _: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        self.0.push(message.to_vec());
        reply.echo();
    }
}

impl Pumping<Script> {
    fn readable_with(&mut self, service: &mut impl Service) -> support::script::Pumped {
        self.peer.readiness.latch_readable();
        self.serve(service)
    }
}
