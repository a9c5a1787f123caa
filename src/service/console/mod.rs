//! A person's answers: the operator's side of many conversations.

mod command;
mod notices;
mod roster;
mod transcript;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub use command::COMMANDS;

use self::command::{Command, Mistake};
use self::notices::Notices;
pub use self::roster::Question;
use self::roster::{Guest, Message, excerpt, guest, sanitized};
use self::transcript::{Number, Transcript};
use super::{ClientId, DisplayText, Language, Order, Phrase, Sanitizer, Service};
use crate::connection::{CloseReason, Reply};

/// How many clients are listed at once.
const LISTED_MAX: usize = 100;

/// How many clients that have ended their side may wait for answers. Whether they are still there is not
/// known. Beyond this number, the one that has waited longest is disconnected.
const ENDED_MAX: usize = 100;

/// The longest answer, in bytes, as that of a line of a script. It is kept until the client takes it.
const ANSWER_MAX: usize = 64 * 1024;

/// Lets an operator answer: shows what clients say, and takes each line typed as the answer to one message.
///
/// Messages are answered in the order they came in, or out of it by command, each client's independently.
/// Pure: lines come in by [`say`](Self::say), text for the operator goes out by [`take_text`](Self::take_text).
///
/// # Limits
///
/// At most [`DEFERRED_MAX`](crate::connection::DEFERRED_MAX) messages of a client are unanswered, those of one read
/// aside; then it is not read from. At most 100 clients that have ended their side wait for answers. Only an excerpt
/// of each message is kept. At most 256 KiB of text wait to be taken: further lines are dropped and counted.
/// Of the notices about clients that come and go, at most 20 a second are added, and the rest is
/// summed up.
#[derive(Debug, Default)]
pub struct Console {
    language: Language,
    /// The connected clients, by the numbers that the operator knows.
    guests: BTreeMap<u64, Guest>,
    numbers: HashMap<ClientId, u64>,
    /// The number of the last client. None is given twice: a line could reach the wrong one.
    last_number: u64,
    /// Messages that no answer has been given to, in the order in which they came.
    unanswered: BTreeMap<u64, Message>,
    last_message: u64,
    /// The message of which the operator knows that it is to be answered now.
    asked: Option<u64>,
    /// Those who have ended their side, in the order in which they did. Some may be gone.
    ended: VecDeque<u64>,
    /// The message that the last line shown is from.
    shown_last: Option<u64>,
    orders: VecDeque<Order>,
    transcript: Transcript,
    notices: Notices,
    /// Nobody answers any more: messages are shown, and no answer is promised.
    resigned: bool,
}

impl Console {
    /// A console that nobody has connected to yet.
    pub fn new(language: Language) -> Self {
        Self {
            language,
            ..Self::default()
        }
    }

    /// The message to be answered next: what the prompt is to name.
    pub fn question(&self) -> Option<Question> {
        let (&message, Message { from, .. }) = self.unanswered.first_key_value()?;
        Some(Question {
            message,
            client: *from,
        })
    }

    /// The highest number that a client has been given.
    pub const fn last_number(&self) -> u64 {
        self.last_number
    }

    /// What has not been shown yet, if there is anything.
    pub fn take_text(&mut self) -> Option<DisplayText> {
        if self.transcript.is_empty() {
            return None;
        }
        let (mut text, dropped) = self.transcript.take();
        if dropped > 0 {
            self.tell(Phrase::NotShown(dropped));
            // What is to be answered may have been among it.
            self.asked = None;
            self.ask();
            text.append(&self.transcript.take().0);
        }
        Some(text)
    }

    /// Whether `line` sees to a message, and so has to wait for one.
    pub fn needs_question(line: &str) -> bool {
        command::parse(line).is_ok_and(Command::needs_message)
    }

    /// Nobody will answer any more: what is unanswered stays so, and no further answer is promised.
    pub fn resign(&mut self) {
        self.resigned = true;
        self.unanswered.clear();
        for guest in self.guests.values_mut() {
            let unanswered = std::mem::take(&mut guest.unanswered);
            let settled = unanswered.iter().map(|_| Order::Answered(guest.id));
            self.orders.extend(settled);
        }
        self.asked = None;
    }

    /// The operator has typed `line`. If it is an answer, it is one to `question`, and to no other.
    pub fn say(&mut self, line: &str, question: Option<Question>) {
        let line = command::without_line_end(line);
        if line.len() > ANSWER_MAX {
            return self.tell(Phrase::TooLong);
        }
        match command::parse(line) {
            Ok(Command::Answer(text)) => self.answer(text, question),
            Ok(Command::Quit) => {
                if let Some(Question { client, .. }) = self.current(question, "quit") {
                    self.hang_up(client);
                }
            }
            Ok(Command::Skip) => {
                if let Some(question) = self.current(question, "/skip") {
                    self.skip(question);
                }
            }
            Ok(Command::All(text)) => self.send_to_all(text),
            Ok(Command::Clients) => self.list(),
            Ok(Command::HangUp(client)) => self.hang_up(client),
            Ok(Command::Help) => self.tell(Phrase::Help),
            Ok(Command::To(client, text)) => self.send_to(client, text),
            // The operator may have pasted text of a peer.
            Err(Mistake::NoSuchCommand(word)) => {
                self.tell(Phrase::NoSuchCommand(&excerpt(&sanitized(word.as_bytes()))));
            }
            Err(Mistake::Usage(usage)) => self.tell(Phrase::Usage(usage)),
        }
        self.ask();
    }

    fn answer(&mut self, text: &str, question: Option<Question>) {
        let Some(question) = self.current(question, text) else {
            return;
        };
        if text.is_empty() {
            // Enter may have been pressed to look at the screen, or once too often.
            return self.news(question.client, Phrase::StillWaits);
        }
        self.send(question.client, text);
        self.settle(question.client, question.message);
    }

    fn skip(&mut self, Question { message, client }: Question) {
        self.news(client, Phrase::Unanswered);
        self.settle(client, message);
    }

    /// `question`, if it is still to be answered. Otherwise a notice says why not, if there was a question.
    fn current(&mut self, question: Option<Question>, line: &str) -> Option<Question> {
        match question {
            Some(question) if self.unanswered.contains_key(&question.message) => Some(question),
            Some(question) => {
                self.news(question.client, Phrase::TooLate);
                None
            }
            None => {
                if !line.is_empty() {
                    self.tell(Phrase::NobodyWaits);
                }
                None
            }
        }
    }

    fn send_to(&mut self, client: u64, text: &str) {
        let Some(guest) = self.guests.get(&client) else {
            return self.tell(Phrase::NoSuchClient(client));
        };
        let oldest = guest.unanswered.front().copied();
        self.send(client, text);
        if let Some(message) = oldest {
            self.settle(client, message);
        }
    }

    fn send_to_all(&mut self, text: &str) {
        let bytes: Arc<[u8]> = text.as_bytes().into();
        let guests = self.guests.values();
        let orders = guests.map(|guest| Order::Send(guest.id, bytes.clone()));
        self.orders.extend(orders);
        self.tell(Phrase::SentToAll(self.guests.len()));
        self.tell_of_lines(text);
    }

    /// Says that pasted lines were sent as one reply: no line was taken for a reply to another message.
    fn tell_of_lines(&mut self, text: &str) {
        let lines = text.split('\n').count();
        if lines > 1 {
            self.tell(Phrase::SentAsOne(lines));
        }
    }

    fn hang_up(&mut self, client: u64) {
        let Some(id) = self.guests.get(&client).map(|guest| guest.id) else {
            return self.tell(Phrase::NoSuchClient(client));
        };
        self.orders.push_back(Order::HangUp(id));
        self.forget(client);
        self.news(client, Phrase::Left(CloseReason::HungUp));
    }

    fn list(&mut self) {
        if self.guests.is_empty() {
            return self.tell(Phrase::NobodyHere);
        }
        for (&number, guest) in self.guests.iter().take(LISTED_MAX) {
            let client = Phrase::Client(guest.address, guest.unanswered.len());
            self.transcript.news(number, self.language.say(client));
        }
        self.shown_last = None;
        let others = self.guests.len().saturating_sub(LISTED_MAX);
        if others > 0 {
            self.tell(Phrase::MoreClients(others));
        }
    }

    fn send(&mut self, client: u64, text: &str) {
        if let Some(guest) = self.guests.get(&client) {
            let bytes = text.as_bytes().into();
            self.orders.push_back(Order::Send(guest.id, bytes));
            self.tell_of_lines(text);
        }
    }

    /// A message has been answered, or will not be.
    fn settle(&mut self, client: u64, message: u64) {
        self.unanswered.remove(&message);
        if let Some(guest) = self.guests.get_mut(&client) {
            guest.unanswered.retain(|&other| other != message);
            self.orders.push_back(Order::Answered(guest.id));
        }
    }

    /// Hangs up on those who have ended their side first, as long as too many have.
    fn give_up_some(&mut self) {
        let guests = &self.guests;
        self.ended.retain(|number| guests.contains_key(number));
        while self.ended.len() > ENDED_MAX {
            let Some(number) = self.ended.pop_front() else {
                return;
            };
            if let Some(guest) = self.guests.get(&number) {
                self.orders.push_back(Order::HangUp(guest.id));
            }
            self.forget(number);
            self.come_or_go(number, Phrase::GivenUp);
        }
        self.ask();
    }

    /// A client is none any more.
    fn forget(&mut self, client: u64) {
        if let Some(guest) = self.guests.remove(&client) {
            self.numbers.remove(&guest.id);
            for message in guest.unanswered {
                self.unanswered.remove(&message);
            }
        }
    }

    /// Reminds of the message that is to be answered now, if it is another than before and not just seen.
    fn ask(&mut self) {
        let next = self.unanswered.first_key_value();
        let next_id = next.map(|(&id, _)| id);
        if next_id == self.asked {
            return;
        }
        self.asked = next_id;
        if let Some((_, message)) = next
            && next_id != self.shown_last
        {
            let label = self
                .language
                .say(Phrase::Reminder(self.unanswered.len() - 1));
            self.transcript
                .reminder(message.from, label, &message.excerpt);
            self.shown_last = next_id;
        }
    }
}

impl Service for Console {
    fn receive(&mut self, client: ClientId, message: &[u8], reply: &mut Reply<'_>) {
        // A client that was disconnected is not heard any more.
        let Some((number, guest)) = guest(&self.numbers, &mut self.guests, client) else {
            return;
        };
        let mut text = String::new();
        guest.sanitizer.push(message, &mut text);
        let kept = self.transcript.speech(Number(number), &text);
        if self.resigned {
            return;
        }
        reply.defer();
        self.last_message += 1;
        guest.unanswered.push_back(self.last_message);
        let message = Message {
            from: number,
            excerpt: excerpt(&text),
        };
        self.unanswered.insert(self.last_message, message);
        self.shown_last = kept.then_some(self.last_message);
        self.ask();
    }

    fn opened(&mut self, client: ClientId, address: SocketAddr) {
        self.last_number += 1;
        let guest = Guest {
            id: client,
            address,
            sanitizer: Sanitizer::new(),
            unanswered: VecDeque::new(),
            ended: false,
        };
        self.guests.insert(self.last_number, guest);
        self.numbers.insert(client, self.last_number);
        self.come_or_go(self.last_number, Phrase::Arrived(address));
    }

    fn ended(&mut self, client: ClientId) {
        if let Some((number, guest)) = guest(&self.numbers, &mut self.guests, client)
            && !std::mem::replace(&mut guest.ended, true)
        {
            self.ended.push_back(number);
            self.come_or_go(number, Phrase::Ended);
            self.give_up_some();
        }
    }

    fn closed(&mut self, client: ClientId, reason: CloseReason) {
        let Some((number, guest)) = guest(&self.numbers, &mut self.guests, client) else {
            return;
        };
        // What its last character lacks will not come.
        let mut rest = String::new();
        guest.sanitizer.finish(&mut rest);
        if !rest.is_empty() {
            self.transcript.speech(Number(number), &rest);
        }
        self.forget(number);
        self.come_or_go(number, Phrase::Left(reason));
        self.ask();
    }

    fn undelivered(&mut self, client: ClientId) {
        // There was a notice when the client was disconnected.
        if let Some(&number) = self.numbers.get(&client) {
            self.news(number, Phrase::Undelivered);
        }
    }

    fn stopping(&mut self) {
        self.resign();
        self.lift_limit();
        self.tell(Phrase::Stopping);
    }

    fn wake(&mut self, now: Instant) -> Option<Instant> {
        self.sum_up(now)
    }

    fn overhear(&mut self, source: SocketAddr, message: &[u8]) {
        self.transcript
            .speech(format_args!("udp {source}"), &sanitized(message));
        self.shown_last = None;
    }

    fn order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }
}

#[cfg(test)]
mod tests;
