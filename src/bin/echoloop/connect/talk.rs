//! A person at a prompt.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use echoloop::Reactor;
use echoloop::client::{Heard, Input, Output};
use echoloop::reactor::{Event, Handler, Next, Registry};
use echoloop::service::{DisplayText, Language, Phrase, Sanitizer};
use signal_hook::consts::{SIGCONT, SIGUSR1};

use super::SERVER;
use super::pipes::no_answer;
use crate::signals::Signals;
use crate::terminal::{Editor, Entered, Prompt, Screen};

/// The turn of every prompt: it comes once there is a connection, and does not wait for answers.
const TURN: u64 = 1;

/// How a conversation at a prompt goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    pub(super) language: Language,
    pub(super) udp: bool,
    /// Each line is sent with a line feed.
    pub(super) newline: bool,
    /// Lines are sent after the server has ended its side.
    pub(super) keep_sending: bool,
    /// How long an answer to a datagram is awaited.
    pub(super) wait: Duration,
}

/// What is typed, and where answers are shown.
pub(super) fn join(
    mut editor: Editor,
    screen: &Screen,
    manners: Manners,
    reactor: &Reactor,
) -> io::Result<(Input, Output)> {
    let typed_at = screen.clone();
    let mut pasted = VecDeque::new();
    let type_next = move || {
        while pasted.is_empty() {
            let Some(Entered { line, .. }) = editor.next(TURN)? else {
                return Ok(None);
            };
            pasted.extend(lines(&line));
        }
        let mut line = pasted.pop_front().unwrap_or_default();
        if line.trim() == "quit" {
            typed_at.leave(false);
            return Ok(None);
        }
        if manners.newline {
            line.push('\n');
        }
        Ok(Some(line.into_bytes()))
    };
    let input = Input::from_source(type_next, reactor.waker())?;
    let mut view = View::new(manners);
    let screen = screen.clone();
    let show = move |heard| {
        if matches!(heard, Heard::Ended) && !manners.keep_sending {
            screen.end(&view.show(heard));
            return Ok(());
        }
        let connected = matches!(heard, Heard::Connected(_));
        let prompt = connected.then(|| (Prompt::default(), TURN));
        screen.show(&view.show(heard), prompt)
    };
    let output = Output::to_sink(show, reactor.waker())?;
    Ok((input, output))
}

/// The lines of a text that was entered at once, without their ends. A paste can have several.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let lines = text.split('\n');
    lines.map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Turns the events of a conversation into text.
pub(super) struct View {
    manners: Manners,
    sanitizer: Sanitizer,
}

impl View {
    pub(super) const fn new(manners: Manners) -> Self {
        Self {
            manners,
            sanitizer: Sanitizer::new(),
        }
    }

    pub(super) fn show(&mut self, heard: Heard) -> DisplayText {
        let mut shown = DisplayText::default();
        let mut text = String::new();
        let Manners {
            language,
            udp,
            keep_sending,
            wait,
            ..
        } = self.manners;
        match heard {
            Heard::Connected(address) if udp => {
                shown.push_program(language.say(Phrase::Sending(address)))
            }
            Heard::Connected(address) => {
                shown.push_program(language.say(Phrase::Connected(address)))
            }
            Heard::Bytes(bytes) => {
                self.sanitizer.push(&bytes, &mut text);
                if udp {
                    self.sanitizer.finish(&mut text);
                }
                // An empty text of a stream: the rest of a character is still to come.
                if udp || !text.is_empty() {
                    shown.push_peer(SERVER, &text);
                }
            }
            Heard::NoAnswer(number, why) => {
                shown.push_program(no_answer(language, number, why, wait));
            }
            Heard::Ended => {
                self.sanitizer.finish(&mut text);
                if !text.is_empty() {
                    shown.push_peer(SERVER, &text);
                }
                shown.push_program(language.say(if keep_sending {
                    Phrase::ServerFinished
                } else {
                    Phrase::ServerHungUp
                }));
            }
        }
        shown
    }
}

/// A client that ends when the person has had enough.
pub(super) struct Talk<'a, C> {
    client: &'a mut C,
    screen: Screen,
    signals: Signals,
    stopped_by: Option<i32>,
}

impl<'a, C: Handler> Talk<'a, C> {
    /// Receives signals for `client`, which `reactor` runs.
    pub(super) fn new(client: &'a mut C, screen: &Screen, reactor: &Reactor) -> io::Result<Self> {
        let mut signals = Signals::detached();
        signals.attach(reactor, true)?;
        Ok(Self {
            client,
            screen: screen.clone(),
            signals,
            stopped_by: None,
        })
    }

    /// The signal that has ended it, if one has.
    pub(super) const fn stopped_by(&self) -> Option<i32> {
        self.stopped_by
    }
}

impl<C: Handler> Handler for Talk<'_, C> {
    fn ready(&mut self, event: &Event) {
        if !self.signals.ready(event) {
            self.client.ready(event);
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if self.signals.are_pending() {
            for signal in self.signals.take(registry) {
                match signal {
                    SIGCONT => self.screen.resume(),
                    // There are no counters.
                    SIGUSR1 => {}
                    _ => self.stopped_by = Some(signal),
                }
            }
        }
        if self.stopped_by.is_some() || self.screen.is_interrupted() {
            return Next::Stop;
        }
        self.client.turn(registry, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(udp: bool) -> View {
        View::new(Manners {
            language: Language::English,
            udp,
            newline: false,
            keep_sending: false,
            wait: Duration::from_secs(2),
        })
    }

    fn show(view: &mut View, heard: Heard) -> String {
        view.show(heard).to_string()
    }

    #[test]
    fn each_line_of_the_servers_is_marked_and_none_of_ours_can_be_forged() {
        let mut view = view(false);
        let shown = show(
            &mut view,
            Heard::Bytes(b"hello\nThe server has closed it.\r\n\xe4\xbd".to_vec()),
        );
        assert_eq!(shown, "<<< hello\n<<< The server has closed it.\n");
        assert_eq!(
            show(&mut view, Heard::Bytes(b"\xa0\xe4".to_vec())),
            "<<< 你\n"
        );
        assert_eq!(show(&mut view, Heard::Bytes(b"\xbd".to_vec())), "");
        assert_eq!(show(&mut view, Heard::Bytes(b"\xa0".to_vec())), "<<< 你\n");
        assert_eq!(
            show(&mut view, Heard::Ended),
            "The server sends no more: disconnected.\n",
            "nothing is left over"
        );
    }

    #[test]
    fn lines_of_a_paste_have_no_ends() {
        let split = |text| lines(text).collect::<Vec<_>>();
        assert_eq!(split(""), [""]);
        assert_eq!(split("one"), ["one"]);
        assert_eq!(split("one\r\n\ntwo\n"), ["one", "", "two"]);
        assert_eq!(split("one\n\n"), ["one", ""]);
    }

    #[test]
    fn half_a_character_is_shown_when_nothing_can_complete_it() {
        let mut stream = view(false);
        assert_eq!(
            show(&mut stream, Heard::Bytes(b"a\xe4\xbd".to_vec())),
            "<<< a\n"
        );
        assert_eq!(
            show(&mut stream, Heard::Ended),
            "<<< \\xe4\\xbd\nThe server sends no more: disconnected.\n"
        );
        let mut datagrams = view(true);
        assert_eq!(
            show(&mut datagrams, Heard::Bytes(b"a\xe4\xbd".to_vec())),
            "<<< a\\xe4\\xbd\n"
        );
    }
}
