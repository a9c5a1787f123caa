//! Standard input and output without a line editor, as netcat uses them.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::time::Duration;

use echoloop::Reactor;
use echoloop::client::{Cut, Heard, Input, Output, TooLong};
use echoloop::service::{DisplayText, Language, Phrase, Sanitizer};

use super::SERVER;
use super::talk::Manners;
use crate::patient::Patient;
use crate::terminal;
use crate::terminal::Layout;

/// Joins standard input and output to the client. With `datagram_size`, datagrams are of this size and
/// not lines.
pub(super) fn join(
    datagram_size: Option<NonZeroUsize>,
    manners: Manners,
    layout: Layout,
    reactor: &Reactor,
) -> io::Result<(Input, Output)> {
    let cut = match datagram_size {
        _ if !manners.udp => Cut::Anywhere,
        None => Cut::Lines,
        Some(size) => Cut::Every(size.get()),
    };
    let input = Input::read(Patient(io::stdin()), cut, reactor.waker())?;
    let stdout = Patient(io::stdout());
    let mut sink: Box<dyn Sink> = if io::stdout().is_terminal() {
        terminal::warn_of_unknown_width();
        Box::new(Rows::new(stdout, layout, manners.udp))
    } else {
        let each_is_a_line = cut == Cut::Lines;
        Box::new(Raw(stdout, each_is_a_line))
    };
    let show = move |heard| write(sink.as_mut(), heard, manners);
    let output = Output::to_sink(show, reactor.waker())?;
    Ok((input, output))
}

/// Writes what the server has sent. Events go to the log.
fn write(sink: &mut dyn Sink, heard: Heard, manners: Manners) -> io::Result<()> {
    match heard {
        Heard::Connected(address) => log::debug!("connected to {address}"),
        Heard::Bytes(bytes) => sink.write(bytes)?,
        Heard::NoAnswer(number, why) => {
            let Manners { language, wait, .. } = manners;
            log::warn!("{}", no_answer(language, number, why, wait));
        }
        Heard::Ended => log::debug!("the server has ended its side"),
    }
    Ok(())
}

/// Standard output.
trait Sink: Send {
    /// Writes what one read has brought.
    fn write(&mut self, bytes: Vec<u8>) -> io::Result<()>;
}

/// A pipe or a file: bytes as they are. With `true`, each datagram becomes a line.
struct Raw<W>(W, bool);

impl<W: Write + Send> Sink for Raw<W> {
    fn write(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        let Self(out, each_is_a_line) = self;
        if *each_is_a_line {
            bytes.push(b'\n');
        }
        out.write_all(&bytes)?;
        out.flush()
    }
}

/// Why a datagram got no answer.
pub(super) fn no_answer(
    language: Language,
    number: u64,
    why: Option<io::Error>,
    wait: Duration,
) -> String {
    match why {
        Some(error) if error.kind() == ErrorKind::ConnectionRefused => {
            language.say(Phrase::DatagramRefused(number)).to_string()
        }
        Some(error) => {
            let inner = error.get_ref();
            if let Some(line) = inner.and_then(|error| error.downcast_ref::<TooLong>()) {
                let (size, limit) = (line.size(), line.limit());
                let phrase = Phrase::DatagramTooLong(number, &size, limit);
                return language.say(phrase).to_string();
            }
            let why = language.reason(&error);
            language.say(Phrase::NoAnswer(number, &why)).to_string()
        }
        None => language
            .say(Phrase::NoAnswerWithin(number, wait))
            .to_string(),
    }
}

/// A terminal: control characters are escaped, and each row has the mark of the server.
struct Rows<W: Write> {
    terminal: W,
    sanitizer: Sanitizer,
    layout: Layout,
    udp: bool,
}

impl<W: Write> Rows<W> {
    const fn new(terminal: W, layout: Layout, udp: bool) -> Self {
        Self {
            terminal,
            sanitizer: Sanitizer::new(),
            layout,
            udp,
        }
    }

    fn show(&mut self, text: &str) -> io::Result<()> {
        let mut shown = DisplayText::default();
        shown.push_peer(SERVER, text);
        // No controls: a signal that ends the program could leave the terminal without auto-wrap.
        let rows = self.layout.rows(&shown, terminal::columns(), false);
        self.terminal.write_all(rows.as_bytes())?;
        self.terminal.flush()
    }
}

impl<W: Write + Send> Sink for Rows<W> {
    fn write(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let mut text = String::new();
        self.sanitizer.push(&bytes, &mut text);
        if self.udp {
            self.sanitizer.finish(&mut text);
        } else if text.is_empty() {
            // The rest of a character is still to come.
            return Ok(());
        }
        self.show(&text)
    }
}

impl<W: Write> Drop for Rows<W> {
    /// Shows the bytes of a character that the stream did not complete.
    fn drop(&mut self) {
        let mut text = String::new();
        self.sanitizer.finish(&mut text);
        if !text.is_empty() {
            let _ = self.show(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(udp: bool, pieces: &[&[u8]]) -> String {
        let mut screen = Vec::new();
        let layout = Layout {
            mark: SERVER,
            rows_max: 10,
            language: Language::English,
        };
        let mut rows = Rows::new(&mut screen, layout, udp);
        for piece in pieces {
            rows.write(piece.to_vec()).unwrap();
        }
        drop(rows);
        String::from_utf8(screen).unwrap()
    }

    #[test]
    fn controls_do_not_reach_a_terminal_and_each_row_has_the_mark() {
        let pieces: &[&[u8]] = &[b"\x1b[2Jhi \xe4\xbd", b"\xa0\n$ \n", b"\xe4"];
        assert_eq!(
            shown(false, pieces),
            "<<< \\x1b[2Jhi \n<<< 你\n<<< $ \n<<< \\xe4\n"
        );
    }

    #[test]
    fn each_datagram_begins_a_row() {
        assert_eq!(
            shown(true, &[b"a\xe4", b"", b"\xbd"]),
            "<<< a\\xe4\n<<< \n<<< \\xbd\n"
        );
    }
}
