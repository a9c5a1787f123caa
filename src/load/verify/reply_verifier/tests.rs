use super::*;

fn expected(reply: Reply) -> Expected {
    Expected::new(Pattern::random(1), reply, Verify::Full)
}

fn in_flight(sent: u64, size: usize) -> SentMessage {
    SentMessage::on_time(sent, size as u32)
}

#[test]
fn abandoned_messages_differ_by_whether_any_byte_was_written() {
    let expected = expected(Reply::Echo);
    for (written, given) in [(0, 0), (1, 1), (4, 1), (5, 2), (11, 3)] {
        let (mut answers, stream) = asked(9, &[2, 4, 4, 1], &expected);
        // The first is replied to, and no longer in flight.
        answers.receive(&stream[..2], &expected, |_| {}).unwrap();
        let mut ends = Vec::new();
        answers.abandon(9 + 2 + written, |message, any| {
            ends.push((message.sent, any))
        });
        let due = [(1, given >= 1), (2, given >= 2), (3, given >= 3)];
        assert_eq!(ends, due, "{written} bytes written");
    }
}

/// Messages of these sizes, sent, and the stream that answers them rightly.
fn asked(salt: u64, sizes: &[usize], expected: &Expected) -> (ReplyVerifier, Vec<u8>) {
    let (mut answers, mut stream) = (ReplyVerifier::new(salt), Vec::new());
    let mut place = salt;
    for (index, &size) in sizes.iter().enumerate() {
        let at = index as u64;
        answers.await_one(in_flight(at, size));
        match &expected.reply {
            Reply::Size(size) => stream.extend(vec![b'x'; *size]),
            Reply::Until(text) => {
                stream.extend(vec![b'a'; size]);
                stream.extend(text);
            }
            reply => {
                stream.extend(expected.pattern.at(place, size));
                if let Reply::Suffix(suffix) = reply {
                    stream.extend(suffix);
                }
            }
        }
        place += size as u64;
    }
    (answers, stream)
}

const REPLIES: fn() -> [Reply; 5] = || {
    [
        Reply::Echo,
        Reply::Suffix(b"| lee".to_vec()),
        Reply::Size(7),
        Reply::Until(b"aab".to_vec()),
        Reply::Suffix(Vec::new()),
    ]
};

#[test]
fn right_answers_are_right_however_they_are_cut() {
    for reply in REPLIES() {
        let expected = expected(reply);
        for cut in 1..40 {
            let (mut answers, stream) = asked(65_500, &[1, 5, 64, 3, 17], &expected);
            let mut done = Vec::new();
            for piece in stream.chunks(cut) {
                let answered = |message: SentMessage| done.push(message.sent);
                answers.receive(piece, &expected, answered).unwrap();
            }
            assert_eq!(done, [0, 1, 2, 3, 4], "{:?} by {cut}", expected.reply);
            assert_eq!(answers.received(), stream.len() as u64);
            assert!(answers.is_empty());
        }
    }
}

#[test]
fn a_wrong_byte_is_reported_at_its_offset_however_reads_split_it() {
    for reply in [Reply::Echo, Reply::Suffix(b"| lee".to_vec())] {
        let expected = expected(reply);
        let sizes = [1, 5, 64, 3];
        let (_, right) = asked(9, &sizes, &expected);
        for wrong_at in 0..right.len() {
            for cut in [1, 3, 16, 1000] {
                let (mut answers, mut stream) = asked(9, &sizes, &expected);
                stream[wrong_at] ^= 1;
                let mut told = None;
                for (index, piece) in stream.chunks(cut).enumerate() {
                    if let Err(wrong) = answers.receive(piece, &expected, |_| {}) {
                        assert!(!wrong.surplus);
                        told = Some(index * cut + wrong.at);
                        break;
                    }
                }
                assert_eq!(told, Some(wrong_at));
                assert_eq!(answers.received(), wrong_at as u64);
            }
        }
    }
}

#[test]
fn surplus_bytes_are_wrong_and_missing_ones_are_awaited() {
    let expected = expected(Reply::Echo);
    let (mut answers, mut stream) = asked(0, &[4, 4], &expected);
    answers.receive(&stream[..7], &expected, |_| {}).unwrap();
    assert_eq!(answers.len(), 1);
    stream.push(b'!');
    let wrong = answers.receive(&stream[7..], &expected, |_| {});
    assert_eq!(
        wrong,
        Err(Discrepancy {
            at: 1,
            place: None,
            surplus: true
        })
    );
}

#[test]
fn unverified_replies_may_have_any_bytes() {
    let mut lax = expected(Reply::Echo);
    lax.verify = Verify::Length;
    let (mut answers, stream) = asked(0, &[4], &lax);
    let nonsense = vec![0; stream.len()];
    answers.receive(&nonsense, &lax, |_| {}).unwrap();
    assert!(answers.receive(b"!", &lax, |_| {}).is_err());
    lax.verify = Verify::Off;
    answers.receive(b"!", &lax, |_| {}).unwrap();
}

#[test]
fn each_message_is_overdue_once_and_in_its_order() {
    let mut answers = ReplyVerifier::new(0);
    for sent in [10, 20, 30] {
        answers.await_one(in_flight(sent, 1));
    }
    let expire = |answers: &mut ReplyVerifier, now| {
        let mut sent = Vec::new();
        let next = answers.expire(now, 100, |message| sent.push(message.sent));
        (sent, next)
    };
    assert_eq!(expire(&mut answers, 109), (vec![], Some(110)));
    assert_eq!(expire(&mut answers, 125), (vec![10, 20], Some(130)));
    assert_eq!(expire(&mut answers, 126), (vec![], Some(130)));
    answers.complete_first();
    assert_eq!(expire(&mut answers, 200), (vec![30], None));
    assert_eq!(expire(&mut answers, 300), (vec![], None));
}
