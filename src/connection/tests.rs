//! The transitions of a connection, one by one.

use super::*;

const MARKS: Watermarks = Watermarks { high: 8, low: 2 };

/// As many answers as may be promised.
const PROMISED: u32 = 20;

#[test]
fn half_close_delivers_what_is_owed_before_it_closes() {
    let mut connection = Connection::new();
    connection.owe(b"tail", MARKS);
    connection.receive_eof();
    assert!(!connection.wants_read() && connection.wants_write() && !connection.wants_shutdown());
    connection.sent(3, MARKS);
    assert!(!connection.is_closed());
    connection.sent(1, MARKS);
    assert_eq!(connection.state(), State::Closed(CloseReason::PeerClosed));
}

#[test]
fn half_close_with_nothing_owed_closes_at_once() {
    let mut connection = Connection::new();
    connection.receive_eof();
    assert_eq!(connection.state(), State::Closed(CloseReason::PeerClosed));
}

#[test]
fn finishing_flushes_then_shuts_then_awaits_the_peer() {
    let mut connection = Connection::new();
    connection.owe(b"bye", MARKS);
    connection.finish(CloseReason::HungUp);
    assert!(
        connection.wants_read(),
        "input is discarded, so that no reset destroys the reply"
    );
    assert!(!connection.is_open() && !connection.wants_shutdown());
    connection.sent(3, MARKS);
    assert!(connection.wants_shutdown());
    connection.shut();
    assert!(connection.is_shut() && connection.wants_read() && !connection.wants_shutdown());
    connection.receive_eof();
    assert_eq!(connection.state(), State::Closed(CloseReason::HungUp));
}

#[test]
fn watermarks_pause_and_resume_with_hysteresis() {
    let mut connection = Connection::new();
    connection.owe(b"1234567", MARKS);
    assert!(connection.wants_read());
    connection.owe(b"8", MARKS);
    assert!(!connection.wants_read(), "at the high watermark");
    connection.sent(5, MARKS);
    assert!(
        !connection.wants_read(),
        "between the marks nothing changes"
    );
    connection.sent(1, MARKS);
    assert!(connection.wants_read(), "at the low watermark");
    connection.owe(b"1234", MARKS);
    assert!(connection.wants_read(), "between the marks nothing changes");
}

#[test]
fn a_closed_conversation_keeps_its_reason_and_wants_nothing() {
    let mut connection = Connection::new();
    connection.owe(b"lost", MARKS);
    let reason = CloseReason::Failed(std::io::ErrorKind::ConnectionReset);
    connection.close(reason);
    connection.close(CloseReason::Aborted);
    connection.receive_eof();
    connection.finish(CloseReason::Drained);
    connection.owe(b"more", MARKS);
    assert_eq!(connection.state(), State::Closed(reason));
    assert!(!connection.wants_read() && !connection.wants_write() && !connection.wants_shutdown());
    assert_eq!(connection.unsent(), b"lost");
}

#[test]
fn promised_answers_hold_reading_at_their_limit_and_the_end_until_they_are_given() {
    let mut connection = Connection::new();
    connection.defer(PROMISED - 1, PROMISED);
    assert!(connection.wants_read() && connection.keeps_up());
    connection.defer(2, PROMISED);
    assert!(!connection.wants_read() && !connection.keeps_up() && connection.is_going_on());
    connection.answered(PROMISED);
    assert!(!connection.wants_read());
    connection.answered(PROMISED);
    assert!(connection.wants_read() && connection.keeps_up());
    connection.receive_eof();
    for _ in 0..PROMISED - 1 {
        assert!(!connection.is_closed() && !connection.wants_shutdown());
        connection.owe(b"a", MARKS);
        connection.answered(PROMISED);
        connection.sent(1, MARKS);
    }
    assert_eq!(connection.state(), State::Closed(CloseReason::PeerClosed));
}

#[test]
fn who_is_hung_up_on_is_promised_nothing_more() {
    for ended in [false, true] {
        let mut connection = Connection::new();
        connection.defer(PROMISED, PROMISED);
        if ended {
            connection.answered(PROMISED);
            connection.receive_eof();
        }
        connection.finish(CloseReason::HungUp);
        assert_eq!(connection.deferred(), 0);
        assert_eq!(
            (connection.is_closed(), connection.wants_shutdown()),
            (ended, !ended)
        );
    }
}

#[test]
fn a_paused_connection_that_ends_is_not_stuck() {
    let mut connection = Connection::new();
    connection.owe(&[0; 20], MARKS);
    connection.finish(CloseReason::Drained);
    assert!(connection.wants_read() && connection.wants_write());
    connection.sent(20, MARKS);
    assert!(connection.wants_shutdown());
}

/// What the peer's patience with a write is measured from: the first byte that it is owed, and each that it takes.
#[test]
fn being_owed_the_first_byte_and_taking_one_are_progress_and_being_owed_more_is_not() {
    let mut connection = Connection::new();
    assert!(!connection.take_progress());
    connection.owe(b"12", MARKS);
    assert!(connection.take_progress());
    connection.owe(b"3", MARKS);
    assert!(!connection.take_progress(), "it has taken nothing");
    connection.sent(1, MARKS);
    assert!(connection.take_progress());
}

#[test]
fn who_is_hung_up_on_is_owed_nothing_more_but_what_it_was_promised() {
    for (promised, may) in [(0, false), (1, true)] {
        let mut connection = Connection::new();
        connection.owe(b"bye", MARKS);
        connection.defer(promised, PROMISED);
        connection.receive_eof();
        assert_eq!(connection.may_be_owed(), may, "{promised} promised");
    }
}
