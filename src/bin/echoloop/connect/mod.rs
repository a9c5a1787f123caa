//! `echoloop connect`: standard input and output joined to a server.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use echoloop::Reactor;
use echoloop::client::{
    Cut, DatagramClient, DatagramOptions, Input, Output, StreamClient, StreamOptions,
};
use echoloop::service::Sanitizer;

use crate::args::{ConnectArgs, Target};
use crate::{Failure, names};

/// How long an answer to a datagram is awaited, unless told otherwise.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// Talks to a server until one of the two has ended.
pub(crate) fn run(args: &ConnectArgs) -> Result<ExitCode, Failure> {
    if args.datagram_size.is_some() && !args.target.udp {
        return Err(Failure::Usage(
            "--datagram-size is for udp://: TCP is a stream".to_owned(),
        ));
    }
    let Target { host, port, .. } = &args.target;
    let addresses = names::addresses(host, *port).map_err(Failure::Failed)?;
    let mut reactor = Reactor::new().map_err(|error| Failure::cannot("start the loop", &error))?;
    let cut = match args.datagram_size {
        _ if !args.target.udp => Cut::Anywhere,
        None => Cut::Lines,
        Some(size) => Cut::Every(size.get()),
    };
    let input = Input::read(io::stdin(), cut, reactor.waker());
    let input = input.map_err(|error| Failure::cannot("read standard input", &error))?;
    let output = if io::stdout().is_terminal() {
        Output::write(Shown::new(io::stdout()), reactor.waker())
    } else {
        Output::write(io::stdout(), reactor.waker())
    };
    let output = output.map_err(|error| Failure::cannot("write to standard output", &error))?;
    if args.target.udp {
        let options = DatagramOptions {
            address: addresses[0],
            source: args.source,
            wait: args.wait.unwrap_or(ANSWER_WAIT),
            lines: args.datagram_size.is_none(),
        };
        let mut client = DatagramClient::new(options, input, output)
            .map_err(|error| Failure::cannot(&format!("send to {}", addresses[0]), &error))?;
        reactor
            .run(&mut client)
            .map_err(|error| Failure::cannot("wait for events", &error))?;
        let (sent, lost) = client
            .finish()
            .map_err(|failure| Failure::Failed(failure.to_string()))?;
        if lost > 0 {
            return Err(Failure::Failed(format!(
                "{lost} of {sent} datagrams got no answer"
            )));
        }
    } else {
        let options = StreamOptions {
            addresses,
            source: args.source,
            connect_timeout: args.connect_timeout,
            wait: args.wait,
        };
        let mut client = StreamClient::new(options, input, output);
        reactor
            .run(&mut client)
            .map_err(|error| Failure::cannot("wait for events", &error))?;
        client
            .finish()
            .map_err(|failure| Failure::Failed(failure.to_string()))?;
    }
    Ok(ExitCode::SUCCESS)
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
