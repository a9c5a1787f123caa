//! The command line, parsed: no side effects, nothing resolved.

mod bench;
mod connect;
pub(crate) mod escapes;
mod faults;
mod hints;
#[cfg(target_os = "linux")]
mod lab;
mod lang;
pub(crate) mod load_values;
mod reply;
mod report;
mod serve;
mod source;
mod study;
mod traces;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

pub(crate) use bench::{BenchArgs, DoctorArgs, LoadArgs, TimerArg};
pub(crate) use connect::{ConnectArgs, Target};
pub(crate) use faults::FaultArgs;
#[cfg(target_os = "linux")]
pub(crate) use lab::LabArgs;
pub(crate) use lang::Lang;
pub(crate) use reply::Reply;
pub(crate) use report::ReportArgs;
pub(crate) use serve::{Listen, ServeArgs};
pub(crate) use source::{SourceArg, SourcesArg};
pub(crate) use study::StudyArgs;
pub(crate) use traces::MergeArgs;

/// What a command line comes to.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Something to do.
    Run(Cli),
    /// Help or the version, asked for.
    Show(String),
    /// A mistake, in one line with its remedy.
    Wrong(String),
}

/// An event-driven echo reactor: one thread, one poll loop, many TCP clients and UDP.
#[derive(Debug, Parser)]
#[command(
    name = "echoloop",
    version,
    max_term_width = 100,
    arg_required_else_help = false
)]
#[command(
    after_help = "Example: echoloop serve --tcp 127.0.0.1:0\n\nEvery command has its own --help."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) logging: Logging,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How much is logged, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "Logging", next_display_order = 100)]
pub(crate) struct Logging {
    /// Log more to stderr (-vv: still more); RUST_LOG overrides it
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
    /// Log warnings only (-qq: errors only)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) quiet: u8,
    /// Log lines as text, or as one JSON object each
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load a server over TCP or UDP, verify every byte, and tell how long answers take
    Bench(Box<BenchArgs>),
    /// Talk to a server: standard input to it, and what it says to standard output
    Connect(ConnectArgs),
    /// Look whether this machine can carry out a bench, and what to change if it can't
    Doctor(Box<DoctorArgs>),
    /// Experiments in readiness-based IO: question, prediction, measurement, explanation
    #[cfg(target_os = "linux")]
    Lab(LabArgs),
    /// Make a page of a trace: what a loop did, how it fared, and what is odd about it
    Report(ReportArgs),
    /// Run an echo server: TCP clients and datagrams, on one thread
    Serve(Box<ServeArgs>),
    /// Join the traces of a client and its server: where the time of each message went
    TraceMerge(MergeArgs),
}

/// Parses a command line, the program's name first.
pub(crate) fn parse(argv: impl IntoIterator<Item = OsString>) -> Parsed {
    let argv: Vec<OsString> = argv.into_iter().collect();
    match Cli::try_parse_from(&argv) {
        Ok(cli) => Parsed::Run(cli),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Parsed::Show(error.render().to_string())
            }
            ErrorKind::MissingRequiredArgument if lacks_server(&error) => Parsed::Wrong(one_line(
                "no server is given: add <SERVER>, such as 127.0.0.1:25555",
            )),
            ErrorKind::UnknownArgument => Parsed::Wrong(one_line(&unknown_argument(&error, &argv))),
            _ => Parsed::Wrong(one_line(&error.render().to_string())),
        },
    }
}

/// Whether the server is among the arguments that are missing.
fn lacks_server(error: &clap::Error) -> bool {
    let missing = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(missing)) => &missing[..],
        _ => &[],
    };
    missing
        .iter()
        .any(|argument| argument.starts_with("<SERVER>"))
}

/// The sentence about an argument that the command does not have. The suggestions of clap are
/// replaced: they name options that look alike, whatever they do.
fn unknown_argument(error: &clap::Error, argv: &[OsString]) -> String {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return error.render().to_string();
    };
    let words: Vec<&str> = argv.iter().filter_map(|word| word.to_str()).collect();
    if let Some((option, value)) = negative_value(argument, &words) {
        return format!("invalid value '{value}' for '{option}': a value can't be negative");
    }
    let cli = Cli::command();
    let names = words.iter().skip(1);
    let command = names.into_iter().find_map(|word| cli.find_subcommand(word));
    let hint = hints::hint(command.unwrap_or(&cli), argument);
    let hint = hint.map_or_else(String::new, |hint| format!(": {hint}"));
    format!("unexpected argument '{argument}'{hint}")
}

/// A negative number, which clap takes for an option, and the option that it was meant for. `argument`
/// is its first digit.
fn negative_value<'a>(argument: &str, words: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let is_digit =
        argument.starts_with('-') && argument.ends_with(|end: char| end.is_ascii_digit());
    let mut pairs = words.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.find(|(option, value)| is_digit && option.starts_with('-') && value.starts_with(argument))
}

/// What clap says in a paragraph, without the usage, in one line.
fn one_line(paragraph: &str) -> String {
    let lines = paragraph
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let told = lines.take_while(|line| {
        !line.starts_with("Usage:") && !line.starts_with("For more information")
    });
    let told = told.collect::<Vec<_>>().join(" ");
    let told = told.strip_prefix("error: ").unwrap_or(&told);
    format!("{} (see --help)", told.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    proptest::proptest! {
        /// Whatever is typed behind whichever options is taken, or refused in one line.
        #[test]
        fn anything_may_be_typed(
            picks in proptest::collection::vec((proptest::arbitrary::any::<usize>(), ".{0,12}"), 0..4),
            command in proptest::arbitrary::any::<usize>(),
        ) {
            let all = Cli::command();
            let commands: Vec<_> = all.get_subcommands().collect();
            let command = commands[command % commands.len()];
            let options: Vec<_> = command.get_opts().filter_map(|option| option.get_long()).collect();
            let mut argv = vec!["echoloop".to_owned(), command.get_name().to_owned()];
            for (pick, value) in picks {
                if !options.is_empty() {
                    argv.push(format!("--{}", options[pick % options.len()]));
                }
                argv.push(value);
            }
            if let Parsed::Wrong(line) = parse(argv.iter().map(OsString::from)) {
                assert!(!line.contains('\n') && line.ends_with("(see --help)"), "{argv:?}: {line:?}");
            }
        }
    }

    #[test]
    fn every_time_option_reads_a_bare_number_as_seconds() {
        let all = Cli::command();
        let mut count = 0;
        for command in all.get_subcommands() {
            let is_time = |option: &&clap::Arg| {
                let names = option.get_value_names().unwrap_or_default();
                names.iter().any(|name| name.contains("TIME"))
            };
            let options: Vec<_> = command.get_opts().filter(is_time).collect();
            let help = command.clone().render_help().to_string();
            let explained = help.contains("bare number is");
            assert!(options.is_empty() || explained, "{}", command.get_name());
            for option in options {
                let long = option.get_long().unwrap();
                let parsed = |value: &str| {
                    let option = format!("--{long}={value}");
                    let argv = [
                        "echoloop",
                        command.get_name(),
                        &option,
                        "--rate=1",
                        "127.0.0.1:1",
                    ];
                    // Not every command has a rate or a server.
                    match parse(argv.map(OsString::from)) {
                        Parsed::Wrong(line) => line,
                        _ => String::new(),
                    }
                };
                let invalid = |value: &str| parsed(value).contains("invalid value");
                assert!(
                    !invalid("5") && !invalid("500us") && invalid("5sec"),
                    "{long}"
                );
                count += 1;
            }
        }
        assert!(count > 15, "{count}");
    }

    #[test]
    fn negative_value_is_refused_with_its_option() {
        for (option, value) in [("--stats-interval", "-1s"), ("--max-conns", "-3")] {
            let words = ["echoloop", "serve", option, value];
            let Parsed::Wrong(line) = parse(words.map(OsString::from)) else {
                panic!("{value}");
            };
            let expected = "a value can't be negative (see --help)";
            assert_eq!(
                line,
                format!("invalid value '{value}' for '{option}': {expected}")
            );
        }
    }

    #[test]
    fn missing_server_is_refused_with_an_example() {
        for command in ["bench", "connect", "doctor"] {
            let Parsed::Wrong(line) = parse(["echoloop", command].map(OsString::from)) else {
                panic!("{command}");
            };
            assert_eq!(
                line,
                "no server is given: add <SERVER>, such as 127.0.0.1:25555 (see --help)"
            );
        }
    }

    #[test]
    fn a_mistake_is_one_line_that_names_the_value_and_the_remedy() {
        for (options, value, remedy) in [
            ("--recv-size 12q", "12q", "64k"),
            ("--idle-timeout 10d", "'10d'", "500ms"),
            ("--tcp 25555", "25555", ":PORT"),
            ("--reply nothing", "nothing", "discard"),
            ("--over-limit drop", "drop", "reject"),
            ("--max-conns many", "many", "10k"),
            ("--recv-siez 1", "--recv-siez", "--recv-size"),
            ("--prot 1", "--prot", "--prot'"),
            ("--no-tcp --tcp :1", "--no-tcp", "--tcp"),
            ("--udp", "--udp", "HOST:PORT"),
            ("--fault stall:1s", "stall:1s", "stall:TIME@TIME"),
            ("--fault stall:1x@5s", "stall:1x@5s", "500ms"),
            ("--fault delay:exp:2x", "delay:exp:2x", "500ms"),
            ("--fault slow", "slow", "delay:TIME"),
            ("--fault slow:1", "slow:1", "delay:TIME"),
            ("--fault slice:0", "slice:0", "at least 1"),
            ("--fault udp-drop:1", "udp-drop:1", "0.5%"),
            ("--fault udp-drop:101%", "udp-drop:101%", "100%"),
            ("--fault delay:1s --console", "--console", "--fault"),
            ("--seed 7", "not provided", "--fault"),
            ("--fault slice:1 --seed +1", "+1", "number from 0"),
        ] {
            let argv = format!("echoloop serve {options}");
            let parsed = parse(argv.split_whitespace().map(OsString::from));
            let Parsed::Wrong(line) = parsed else {
                panic!("{options}: {parsed:?}")
            };
            assert!(!line.contains('\n'), "{line}");
            assert!(
                line.contains(value) && line.contains(remedy),
                "{options}: {line}"
            );
        }
    }
}
