//! What an operator types.

/// Every command, as it is completed.
pub const COMMANDS: [&str; 6] = ["/all ", "/clients", "/hangup ", "/help", "/skip", "/to "];

/// A line, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// Send this to the sender of the message at hand. Nothing, if it is empty.
    Answer(&'a str),
    /// Hang up on who sent the message at hand.
    Quit,
    All(&'a str),
    Clients,
    HangUp(u64),
    Help,
    Skip,
    To(u64, &'a str),
}

impl Command<'_> {
    /// Whether it settles a message, and so needs one.
    pub(super) const fn needs_message(self) -> bool {
        match self {
            Self::Answer(text) => !text.is_empty(),
            Self::Quit | Self::Skip => true,
            Self::All(_) | Self::Clients | Self::HangUp(_) | Self::Help | Self::To(..) => false,
        }
    }
}

/// A line, not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake<'a> {
    NoSuchCommand(&'a str),
    /// This is how it is typed.
    Usage(&'static str),
}

/// `line` without its end. Only the last line of a paste has one.
pub(super) fn without_line_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Understands `line`.
pub(super) fn parse(line: &str) -> Result<Command<'_>, Mistake<'_>> {
    if line.trim() == "quit" {
        return Ok(Command::Quit);
    }
    if line.starts_with("//") {
        return Ok(Command::Answer(&line[1..]));
    }
    if !line.starts_with('/') {
        return Ok(Command::Answer(line));
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word.trim_end() {
        "/all" if rest.trim().is_empty() => Err(Mistake::Usage("/all hello")),
        "/all" => Ok(Command::All(rest)),
        "/clients" => alone(rest, Command::Clients, "/clients"),
        "/hangup" => match number(rest) {
            Some(number) => Ok(Command::HangUp(number)),
            None => Err(Mistake::Usage("/hangup 3")),
        },
        "/help" => alone(rest, Command::Help, "/help"),
        "/skip" => alone(rest, Command::Skip, "/skip"),
        "/to" => {
            let (client, text) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
            match number(client) {
                Some(number) if !text.trim().is_empty() => Ok(Command::To(number, text)),
                _ => Err(Mistake::Usage("/to 3 hello")),
            }
        }
        word => Err(Mistake::NoSuchCommand(word)),
    }
}

/// A command that nothing comes behind.
fn alone<'a>(
    rest: &str,
    command: Command<'a>,
    usage: &'static str,
) -> Result<Command<'a>, Mistake<'a>> {
    if rest.trim().is_empty() {
        Ok(command)
    } else {
        Err(Mistake::Usage(usage))
    }
}

/// The number of a client, with or without its `#`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.strip_prefix('#').unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_answer_unless_it_is_a_command() {
        for (line, command) in [
            ("hello", Command::Answer("hello")),
            ("", Command::Answer("")),
            (" hello ", Command::Answer(" hello ")),
            ("quit now", Command::Answer("quit now")),
            ("//etc/passwd", Command::Answer("/etc/passwd")),
            ("quit", Command::Quit),
            ("quit ", Command::Quit),
            ("/all 你好  all", Command::All("你好  all")),
            ("/clients", Command::Clients),
            ("/hangup 3", Command::HangUp(3)),
            ("/hangup #3 ", Command::HangUp(3)),
            ("/help", Command::Help),
            ("/skip ", Command::Skip),
            ("/to 3 hi there", Command::To(3, "hi there")),
            ("/to  #12  hi", Command::To(12, " hi")),
        ] {
            assert_eq!(parse(line), Ok(command), "{line:?}");
        }
    }

    #[test]
    fn a_mistake_says_how_it_is_typed() {
        for (line, mistake) in [
            ("/too 3 hi", Mistake::NoSuchCommand("/too")),
            ("/", Mistake::NoSuchCommand("/")),
            ("/to", Mistake::Usage("/to 3 hello")),
            ("/to 3", Mistake::Usage("/to 3 hello")),
            ("/to three hi", Mistake::Usage("/to 3 hello")),
            ("/to -3 hi", Mistake::Usage("/to 3 hello")),
            ("/hangup", Mistake::Usage("/hangup 3")),
            ("/hangup 99999999999999999999", Mistake::Usage("/hangup 3")),
            ("/all", Mistake::Usage("/all hello")),
            ("/all  ", Mistake::Usage("/all hello")),
            ("/to 3  ", Mistake::Usage("/to 3 hello")),
            ("/skip 3", Mistake::Usage("/skip")),
        ] {
            assert_eq!(parse(line), Err(mistake), "{line:?}");
        }
    }
}
