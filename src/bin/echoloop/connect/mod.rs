//! `echoloop connect`: a conversation with a server, by a person at a terminal or between pipes.

mod pipes;
mod talk;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use echoloop::Reactor;
use echoloop::client::{
    DatagramClient, DatagramOptions, Ending, Input, Output, StreamClient, StreamOptions,
};
use echoloop::reactor::Handler;
use echoloop::server::TIME_MAX;
use echoloop::service::{DisplayText, Language, Phrase, datagram_max};

use self::talk::{Manners, Talk};
use crate::args::{ConnectArgs, Target};
use crate::terminal::{Closing, Layout, Screen, Style};
use crate::{Failure, SIGNALLED, names, terminal};

/// What each row of the server's text begins with at a terminal. No other row begins with it.
const SERVER: &str = "<<< ";

/// How many rows of the terminal one read of up to 64 KiB takes. Most terminals keep about this number.
const READ_ROWS_MAX: usize = 1_000;

/// How long an answer to a datagram is awaited, unless told otherwise.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How many datagrams of a person await replies at one time. The lines of a paste are sent at once, as if
/// they had been typed without looking.
const PASTED_MAX: usize = 16;

/// Talks to a server until one of the two has ended.
pub(crate) fn run(args: &ConnectArgs) -> Result<ExitCode, Failure> {
    let target = args.target().map_err(Failure::Usage)?;
    check_options(args, &target)?;
    let language = args.lang.language();
    let source = args.source.as_ref().map(names::source).transpose()?;
    let addresses = addresses(&target, language)?;
    let addresses = names::reachable(addresses, source.as_slice())?;
    check_datagram_size(args, &addresses)?;
    let mut reactor =
        Reactor::new().map_err(|error| Failure::cannot_in(language, "start the loop", &error))?;
    let (screen, input, output) = join(args, &target, language, &reactor)?;
    let _closing = screen.clone().map(Closing);
    if target.udp {
        let options = DatagramOptions {
            addresses,
            source,
            wait: args.wait.unwrap_or(ANSWER_WAIT),
            in_flight_max: if screen.is_some() { PASTED_MAX } else { 1 },
        };
        exchange(
            options,
            input,
            output,
            screen.as_ref(),
            language,
            &mut reactor,
        )
    } else {
        let options = StreamOptions {
            addresses,
            source,
            connect_timeout: args.connect_timeout.0.unwrap_or(TIME_MAX),
            // A person who leaves the prompt does not wait for more.
            wait: match screen {
                Some(_) => Some(args.wait.unwrap_or_default()),
                None => args.wait,
            },
            // At a prompt, the person sees that, and can leave.
            stall: args.wait.filter(|_| screen.is_none()),
            leave_with_server: screen.is_some() && !args.keep_sending,
            keep_sending: args.keep_sending,
            // A line is a message.
            separate_writes: screen.is_some(),
        };
        converse(
            options,
            input,
            output,
            screen.as_ref(),
            language,
            &mut reactor,
        )
    }
}

/// Whether datagrams of `--datagram-size` can be sent to all of `addresses`.
fn check_datagram_size(args: &ConnectArgs, addresses: &[SocketAddr]) -> Result<(), Failure> {
    let longest = addresses.iter().map(|address| datagram_max(address.ip()));
    match (args.datagram_size, longest.min()) {
        (Some(size), Some(longest)) if size.get() > longest => Err(Failure::Usage(format!(
            "--datagram-size {size} is more than a datagram can have: give at most {longest}"
        ))),
        _ => Ok(()),
    }
}

/// Refuses options that the transport has no use for.
fn check_options(args: &ConnectArgs, target: &Target) -> Result<(), Failure> {
    let refused = if args.datagram_size.is_some() && !target.udp {
        "--datagram-size is for udp://: TCP is a stream"
    } else if args.keep_sending && target.udp {
        "--keep-sending is for TCP: UDP has no connection to half-close"
    } else {
        return Ok(());
    };
    Err(Failure::Usage(refused.to_owned()))
}

/// The addresses of `target`.
fn addresses(target: &Target, language: Language) -> Result<Vec<SocketAddr>, Failure> {
    let found = names::addresses(&target.host, target.port);
    found.map_err(|failure| match (failure, language) {
        (Failure::Failed(_), Language::Chinese) => {
            let phrase = Phrase::NoAddress(&target.host);
            Failure::Failed(language.say(phrase).to_string())
        }
        (failure, _) => failure,
    })
}

/// The input and the output: a prompt, or standard input and output as they are.
fn join(
    args: &ConnectArgs,
    target: &Target,
    language: Language,
    reactor: &Reactor,
) -> Result<(Option<Screen>, Input, Output), Failure> {
    let manners = Manners {
        language,
        udp: target.udp,
        newline: args.newline,
        keep_sending: args.keep_sending,
        wait: args.wait.unwrap_or(ANSWER_WAIT),
    };
    let layout = Layout {
        mark: SERVER,
        rows_max: READ_ROWS_MAX,
        language,
    };
    let style = Style {
        width: 0,
        commands: &[],
        layout,
    };
    let terminal = match args.datagram_size {
        None => terminal::open(style)
            .map_err(|error| Failure::cannot_in(language, "use the terminal", &error))?,
        Some(_) => None,
    };
    match terminal {
        Some((editor, screen)) => {
            terminal::warn_of_unknown_width();
            let joined = talk::join(editor, &screen, manners, reactor);
            let (input, output) =
                joined.map_err(|error| Failure::cannot_in(language, "use the terminal", &error))?;
            Ok((Some(screen), input, output))
        }
        None => {
            let joined = pipes::join(args.datagram_size, manners, layout, reactor);
            let (input, output) = joined.map_err(|error| {
                Failure::cannot_in(language, "use standard input and output", &error)
            })?;
            Ok((None, input, output))
        }
    }
}

/// A conversation over TCP.
fn converse(
    options: StreamOptions,
    input: Input,
    output: Output,
    screen: Option<&Screen>,
    language: Language,
    reactor: &mut Reactor,
) -> Result<ExitCode, Failure> {
    let mut client = StreamClient::new(options, input, output);
    if let Some(code) = drive(&mut client, screen, language, reactor)? {
        return Ok(code);
    }
    let finished = client.finish();
    let ending = finished.map_err(|failure| fail(screen, failure.in_language(language)))?;
    match (screen, ending) {
        (Some(screen), Ending::Us) => {
            let mut text = DisplayText::default();
            text.push_program(language.say(Phrase::YouHungUp));
            screen.end(&text);
        }
        (_, Ending::Unsaid(bytes)) => {
            return Err(fail(
                screen,
                language.say(Phrase::NotTaken(bytes)).to_string(),
            ));
        }
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Questions and answers over UDP.
fn exchange(
    options: DatagramOptions,
    input: Input,
    output: Output,
    screen: Option<&Screen>,
    language: Language,
    reactor: &mut Reactor,
) -> Result<ExitCode, Failure> {
    let last = options.addresses.last().copied();
    let mut client = DatagramClient::new(options, input, output).map_err(|error| {
        let reason = language.reason(&error);
        let phrase = match last {
            Some(address) => Phrase::NotSendable(address, &reason),
            None => Phrase::CannotRun(&reason),
        };
        fail(screen, language.say(phrase).to_string())
    })?;
    if let Some(code) = drive(&mut client, screen, language, reactor)? {
        return Ok(code);
    }
    let finished = client.finish();
    let (sent, lost) = finished.map_err(|failure| fail(screen, failure.in_language(language)))?;
    if lost > 0 {
        let phrase = Phrase::NotAnswered(lost, sent);
        return Err(fail(screen, language.say(phrase).to_string()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `client`; if a person has cut it short, returns the code to end with.
fn drive(
    client: &mut impl Handler,
    screen: Option<&Screen>,
    language: Language,
    reactor: &mut Reactor,
) -> Result<Option<ExitCode>, Failure> {
    let Some(screen) = screen else {
        return reactor
            .run(client)
            .map(|()| None)
            .map_err(|error| Failure::cannot_in(language, "wait for events", &error));
    };
    let mut talk = Talk::new(client, screen, reactor)
        .map_err(|error| Failure::cannot_in(language, "watch for signals", &error))?;
    reactor
        .run(&mut talk)
        .map_err(|error| Failure::cannot_in(language, "wait for events", &error))?;
    Ok(talk
        .stopped_by()
        .map(|signal| ExitCode::from((SIGNALLED + signal) as u8)))
}

/// The terminal is given back before the reason is printed.
fn fail(screen: Option<&Screen>, why: String) -> Failure {
    if let Some(screen) = screen {
        screen.close();
    }
    Failure::Failed(why)
}
