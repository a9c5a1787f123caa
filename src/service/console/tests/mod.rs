//! Whole conversations, without a socket.

mod display;

use super::*;
use crate::connection::Answer;

/// A console, and what the operator sees.
pub(super) struct Desk {
    pub(super) console: Console,
    screen: String,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self {
            console: Console::new(Language::English),
            screen: String::new(),
        }
    }

    pub(super) fn opens(&mut self, id: u64) {
        let address = ([127, 0, 0, 1], 5000 + id as u16).into();
        self.console.opened(ClientId::new(id), address);
    }

    /// Client `id` says something. Whether an answer was promised.
    pub(super) fn hears(&mut self, id: u64, message: &[u8]) -> bool {
        let mut output = Vec::new();
        let client = ClientId::new(id);
        let answer = Answer::to_one(message, &mut output, |message, reply| {
            self.console.receive(client, message, reply);
        });
        assert!(answer.bytes.is_empty() && !answer.hung_up);
        answer.deferred == 1
    }

    pub(super) fn closes(&mut self, id: u64, reason: CloseReason) {
        self.console.closed(ClientId::new(id), reason);
    }

    /// The operator types a line at the prompt that is there.
    fn types(&mut self, line: &str) -> Vec<Order> {
        let question = self.console.question();
        self.console.say(line, question);
        self.orders()
    }

    fn orders(&mut self) -> Vec<Order> {
        std::iter::from_fn(|| self.console.order()).collect()
    }

    /// What is shown since it was last looked at.
    pub(super) fn shows(&mut self) -> String {
        let text = self.console.take_text();
        self.screen.push_str(&text.unwrap_or_default().to_string());
        std::mem::take(&mut self.screen)
    }

    /// Whom the prompt names.
    fn prompt(&self) -> Option<u64> {
        self.console.question().map(Question::client)
    }
}

fn send(id: u64, text: &str) -> Order {
    Order::Send(ClientId::new(id), text.as_bytes().into())
}

fn answered(id: u64) -> Order {
    Order::Answered(ClientId::new(id))
}

/// The documents' exchange: someone comes, says something, is answered, says something, is hung up on.
#[test]
fn with_one_client_it_goes_step_by_step() {
    let mut desk = Desk::new();
    desk.opens(7);
    assert!(desk.hears(7, "你好".as_bytes()));
    assert_eq!(
        desk.shows(),
        "  #1 connected from 127.0.0.1:5007\n  #1 | 你好\n"
    );
    assert_eq!(desk.prompt(), Some(1));
    assert_eq!(desk.types("hi there"), [send(7, "hi there"), answered(7)]);
    assert_eq!((desk.prompt(), desk.shows().as_str()), (None, ""));
    desk.hears(7, b"bye");
    assert_eq!(desk.types("quit"), [Order::HangUp(ClientId::new(7))]);
    assert_eq!(desk.shows(), "  #1 | bye\n  #1 was disconnected\n");
    assert!(!desk.hears(7, b"are you there?"), "it is heard no more");
    desk.closes(7, CloseReason::HungUp);
    assert_eq!((desk.prompt(), desk.shows().as_str()), (None, ""));
}

#[test]
fn messages_queue_and_the_next_is_called_to_mind() {
    let mut desk = Desk::new();
    for id in [1, 2, 3] {
        desk.opens(id);
    }
    desk.hears(2, b"first");
    desk.hears(1, b"second\nwith more");
    desk.hears(2, b"third");
    desk.shows();
    assert_eq!(desk.prompt(), Some(2));
    assert_eq!(desk.types("one"), [send(2, "one"), answered(2)]);
    assert_eq!(desk.shows(), "  #1 said (1 more to answer): second…\n");
    assert_eq!(desk.types("two"), [send(1, "two"), answered(1)]);
    assert_eq!(desk.shows(), "  #2 said: third\n");
    assert_eq!(desk.types("three"), [send(2, "three"), answered(2)]);
    assert_eq!(desk.shows(), "");
    desk.hears(3, b"seen just now");
    assert_eq!(
        desk.shows(),
        "  #3 | seen just now\n",
        "and not called to mind"
    );
}

#[test]
fn a_line_answers_what_the_prompt_named_and_nothing_else() {
    let mut desk = Desk::new();
    for id in [1, 2] {
        desk.opens(id);
        desk.hears(id, b"hello");
    }
    let named = desk.console.question();
    desk.closes(1, CloseReason::Failed(std::io::ErrorKind::ConnectionReset));
    desk.shows();
    for line in ["for the first", "quit", "/skip", ""] {
        desk.console.say(line, named);
        assert_eq!(desk.orders(), [], "{line:?} would reach the second");
        assert_eq!(
            desk.shows(),
            "  #1 no longer waits for that answer: nothing was sent\n"
        );
    }
    assert_eq!(desk.prompt(), Some(2));
    // Typed while nobody asked, entered when somebody does.
    desk.console.say("to nobody", None);
    assert_eq!(desk.orders(), []);
    assert!(desk.shows().contains("Nobody waits"));
    desk.console.say("", None);
    assert_eq!(desk.shows(), "");
}

#[test]
fn commands_reach_whom_they_name() {
    let mut desk = Desk::new();
    for id in [1, 2, 3] {
        desk.opens(id);
        desk.hears(id, b"hello");
    }
    desk.hears(2, b"hello?");
    desk.shows();
    assert_eq!(
        desk.types("/to 2 out of turn"),
        [send(2, "out of turn"), answered(2)]
    );
    assert_eq!((desk.prompt(), desk.shows().as_str()), (Some(1), ""));
    assert_eq!(
        desk.types("/all to each"),
        [1, 2, 3].map(|id| send(id, "to each"))
    );
    assert_eq!(desk.shows(), "Sent to 3.\n");
    assert_eq!(desk.types("/hangup 3"), [Order::HangUp(ClientId::new(3))]);
    assert_eq!(desk.shows(), "  #3 was disconnected\n");
    assert_eq!(desk.types("/clients"), []);
    assert_eq!(
        desk.shows(),
        "  #1 127.0.0.1:5001, 1 to answer\n  #2 127.0.0.1:5002, 1 to answer\n"
    );
    assert_eq!(desk.types("/skip"), [answered(1)]);
    assert_eq!(desk.shows(), "  #1 gets no answer\n  #2 said: hello?\n");
    assert_eq!(desk.types("//help"), [send(2, "/help"), answered(2)]);
    assert_eq!(desk.types("/to 1 unasked"), [send(1, "unasked")]);
    for (line, shown) in [
        ("/to 3 hello", "Nobody here is #3"),
        ("/hangup 9", "Nobody here is #9"),
        ("/to 1", "/to 3 hello"),
        ("/quit", "no command /quit"),
        ("/help", "/hangup N"),
    ] {
        assert_eq!(desk.types(line), []);
        assert!(desk.shows().contains(shown), "{line}");
    }
    desk.closes(1, CloseReason::PeerClosed);
    desk.closes(2, CloseReason::IdleTimeout);
    desk.types("/clients");
    assert_eq!(
        desk.shows(),
        "  #1 has left\n  #2 was disconnected: idle for too long\nNobody is connected.\n"
    );
}

#[test]
fn who_leaves_takes_its_messages_along_and_the_next_is_asked() {
    let mut desk = Desk::new();
    for id in [1, 2] {
        desk.opens(id);
        desk.hears(id, b"hello");
        desk.hears(id, b"are you there?");
    }
    desk.console.ended(ClientId::new(1));
    desk.console.ended(ClientId::new(1));
    assert!(
        desk.shows()
            .ends_with("  #1 sends no more; it may still read a reply\n")
    );
    desk.closes(1, CloseReason::PeerClosed);
    assert_eq!(
        desk.shows(),
        "  #1 has left\n  #2 said (1 more to answer): hello\n"
    );
    assert_eq!(desk.console.unanswered.len(), 2);
    desk.closes(2, CloseReason::PeerClosed);
    assert!(desk.console.unanswered.is_empty() && desk.console.numbers.is_empty());
    assert_eq!(desk.prompt(), None);
}

#[test]
fn who_resigns_promises_nothing_and_owes_no_answer() {
    let mut desk = Desk::new();
    for id in [1, 2] {
        desk.opens(id);
        desk.hears(id, b"hello");
    }
    desk.hears(1, b"hello?");
    desk.console.resign();
    assert_eq!(desk.orders(), [answered(1), answered(1), answered(2)]);
    assert_eq!(desk.prompt(), None);
    desk.shows();
    assert!(!desk.hears(2, b"anybody?"));
    assert_eq!(desk.shows(), "  #2 | anybody?\n");
    assert_eq!(desk.prompt(), None);
}

#[test]
fn when_the_server_stops_no_answer_is_taken_any_more() {
    let mut desk = Desk::new();
    desk.opens(1);
    desk.hears(1, b"hello");
    let named = desk.console.question();
    desk.shows();
    desk.console.stopping();
    desk.orders();
    desk.console.say("too late", named);
    assert_eq!(desk.orders(), []);
    assert_eq!(
        desk.shows(),
        "Stopping. Ctrl-C stops at once.\n  #1 no longer waits for that answer: nothing was sent\n"
    );
}

#[test]
fn what_is_not_delivered_is_told() {
    let mut desk = Desk::new();
    desk.opens(1);
    desk.shows();
    desk.types("/to 1 hello");
    desk.console.undelivered(ClientId::new(1));
    assert_eq!(
        desk.shows(),
        "  #1 does not read: the message was not sent\n"
    );
    desk.types("/hangup 1");
    desk.shows();
    desk.console.undelivered(ClientId::new(1));
    assert_eq!(desk.shows(), "");
}

#[test]
fn lines_that_see_to_a_message_need_one() {
    for line in ["hello", "quit", "/skip", "//etc/passwd"] {
        assert!(Console::needs_question(line), "{line:?}");
    }
    for line in [
        "",
        "/to 3 hello",
        "/all hello",
        "/clients",
        "/help",
        "/hangup 3",
        "/etc/passwd",
    ] {
        assert!(!Console::needs_question(line), "{line:?}");
    }
}

#[test]
fn empty_line_keeps_the_message_waiting() {
    let mut desk = Desk::new();
    desk.opens(1);
    desk.hears(1, b"hello");
    desk.shows();
    for _ in 0..2 {
        assert_eq!(desk.types(""), []);
        assert_eq!(
            desk.shows(),
            "  #1 still waits for a reply: type one, or /skip\n"
        );
        assert_eq!(desk.prompt(), Some(1));
    }
    assert_eq!(desk.types("hi\n"), [send(1, "hi"), answered(1)]);
    assert_eq!(desk.types(""), []);
    assert_eq!(desk.shows(), "");
}

#[test]
fn pasted_command_of_a_peer_does_not_act_on_the_terminal() {
    let mut desk = Desk::new();
    desk.types("/x\u{1b}[2J\u{202e}\n  #2 | forged");
    let shown = desk.shows();
    assert!(shown.contains(r"/x\x1b[2J\u{202e}: see"), "{shown}");
    assert!(!shown.contains("forged"), "{shown}");
}

/// To come, ask and go costs nothing, and does not take every place there is.
#[test]
fn those_who_have_ended_their_side_are_bounded_and_the_first_is_given_up() {
    let mut desk = Desk::new();
    let all = ENDED_MAX as u64 + 50;
    let mut hung_up = 0;
    for id in 1..=all {
        desk.opens(id);
        desk.hears(id, b"?");
        desk.console.ended(ClientId::new(id));
        hung_up += desk.orders().len();
    }
    assert_eq!(hung_up, 50);
    assert!(desk.shows().contains("#50 was disconnected: too many"));
    assert_eq!(desk.prompt(), Some(51), "the others still wait");
    assert_eq!(desk.types("here"), [send(51, "here"), answered(51)]);
    // One that has been answered and left makes room for one.
    desk.closes(51, CloseReason::PeerClosed);
    desk.opens(all + 1);
    desk.hears(all + 1, b"?");
    desk.console.ended(ClientId::new(all + 1));
    assert_eq!(desk.orders(), []);
}

#[test]
fn an_answer_of_any_length_is_not_kept_for_many() {
    let mut desk = Desk::new();
    desk.opens(1);
    desk.hears(1, b"?");
    desk.shows();
    assert_eq!(desk.types(&"x".repeat(ANSWER_MAX + 1)), []);
    assert_eq!(desk.types(&format!("/all {}", "x".repeat(ANSWER_MAX))), []);
    assert!(desk.shows().contains("nothing was sent"));
    assert_eq!(desk.types(&"x".repeat(ANSWER_MAX)).len(), 2);
}
