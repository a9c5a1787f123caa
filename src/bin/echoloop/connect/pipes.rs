//! Standard input and output as they are, in netcat's manners.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use echoloop::Reactor;
use echoloop::client::{Cut, Heard, Input, Output};
use echoloop::service::{Language, Phrase, Sanitizer};

use crate::Failure;
use crate::args::ConnectArgs;
use crate::patient::Patient;

/// Standard input, and standard output.
pub(super) fn join(
    args: &ConnectArgs,
    wait: Duration,
    reactor: &Reactor,
) -> Result<(Input, Output), Failure> {
    let cut = match args.datagram_size {
        _ if !args.target.udp => Cut::Anywhere,
        None => Cut::Lines,
        Some(size) => Cut::Every(size.get()),
    };
    let input = Input::read(Patient(io::stdin()), cut, reactor.waker())
        .map_err(|error| Failure::cannot("read standard input", &error))?;
    let stdout = Patient(io::stdout());
    let mut sink: Box<dyn Write + Send> = if io::stdout().is_terminal() {
        Box::new(Shown::new(stdout))
    } else {
        Box::new(stdout)
    };
    let lines = cut == Cut::Lines;
    let show = move |heard| write(&mut sink, heard, lines, wait);
    let output = Output::to_sink(show, reactor.waker())
        .map_err(|error| Failure::cannot("write to standard output", &error))?;
    Ok((input, output))
}

/// Writes what was heard, and nothing else. With `lines`, each answer is one.
fn write(sink: &mut impl Write, heard: Heard, lines: bool, wait: Duration) -> io::Result<()> {
    match heard {
        Heard::Connected(address) => log::debug!("connected to {address}"),
        Heard::Bytes(mut bytes) => {
            if lines {
                bytes.push(b'\n');
            }
            sink.write_all(&bytes)?;
            sink.flush()?;
        }
        Heard::NoAnswer(number, why) => {
            log::warn!("{}", no_answer(Language::English, number, why, wait));
        }
        Heard::Ended => log::debug!("the server has ended its side"),
    }
    Ok(())
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
            language.say(Phrase::NobodyListens(number)).to_string()
        }
        Some(error) => {
            let why = error.to_string();
            language.say(Phrase::NoAnswer(number, &why)).to_string()
        }
        None => language
            .say(Phrase::NoAnswerWithin(number, wait))
            .to_string(),
    }
}

/// A terminal, to which nothing passes that could act on it.
struct Shown<W: Write> {
    terminal: W,
    sanitizer: Sanitizer,
}

impl<W: Write> Shown<W> {
    const fn new(terminal: W) -> Self {
        Self {
            terminal,
            sanitizer: Sanitizer::new(),
        }
    }
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = String::new();
        self.sanitizer.push(bytes, &mut text);
        self.terminal.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.terminal.flush()
    }
}

impl<W: Write> Drop for Shown<W> {
    /// What the stream ended within is shown too.
    fn drop(&mut self) {
        let mut text = String::new();
        self.sanitizer.finish(&mut text);
        let _ = self.terminal.write_all(text.as_bytes());
        let _ = self.terminal.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_reaches_it() {
        let mut screen = Vec::new();
        let mut shown = Shown::new(&mut screen);
        shown.write_all(b"\x1b[2Jhi \xe4\xbd").unwrap();
        shown.write_all(b"\xa0\n\xe4").unwrap();
        drop(shown);
        assert_eq!(String::from_utf8(screen).unwrap(), "\\x1b[2Jhi 你\n\\xe4");
    }
}
