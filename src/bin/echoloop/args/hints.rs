//! What to write instead of an option that a command does not have.

use clap::Command;

/// Options of wrk, oha, hey, ab, iperf and nc, separated by spaces, and what does the same in `bench`
/// and `doctor`.
const LOAD: [(&str, &str); 13] = [
    (
        "--port --host --server --url",
        "the server is an argument, such as 127.0.0.1:25555",
    ),
    (
        "-t --threads --workers",
        "the load runs on one thread; use -c N for the number of connections",
    ),
    (
        "--concurrency --clients --parallel -P",
        "use -c N for the number of connections",
    ),
    (
        "--requests --count --number -N",
        "use -n N for the number of messages",
    ),
    ("--time --seconds -z -T", "use -d TIME for the duration"),
    (
        "--bandwidth --bitrate --rps --qps -b -r",
        "use -R N for the number of messages per second",
    ),
    ("--pipelining", "use -p N for the messages in flight"),
    (
        "--data --body --payload",
        "use -m TEXT, or -m @FILE for the contents of a file",
    ),
    ("--len --length -l", "use -s SIZE for the size of messages"),
    ("--udp -u", "write the server as udp://HOST:PORT"),
    ("--tcp", "write the server as HOST:PORT or tcp://HOST:PORT"),
    ("--output --format -o", "use --json FILE or --csv FILE"),
    ("-i --report-interval", "use --interval TIME"),
];

/// The same for `connect`.
const CONNECT: [(&str, &str); 4] = [
    (
        "--port --host --server -p",
        "the server is an argument, such as 127.0.0.1:25555",
    ),
    ("--udp -u", "write the server as udp://HOST:PORT"),
    (
        "--tcp -t",
        "write the server as HOST:PORT or tcp://HOST:PORT",
    ),
    (
        "--timeout --time -w",
        "use --connect-timeout TIME or --wait TIME",
    ),
];

/// The same for `serve`.
const SERVE: [(&str, &str); 5] = [
    (
        "--port --host --listen --bind --address -p -l -B",
        "use --tcp HOST:PORT and --udp HOST:PORT",
    ),
    (
        "-t --threads --workers",
        "the server runs on one thread; with --reuse-port several processes share a port",
    ),
    (
        "-u",
        "UDP is on by default; use --udp HOST:PORT for its address",
    ),
    (
        "--connections --concurrency --max-connections -c",
        "use --max-conns N for the number of clients",
    ),
    ("--timeout --time", "use --idle-timeout TIME"),
];

/// What to write instead of `argument` for `command`, if that is known.
pub(super) fn hint(command: &Command, argument: &str) -> Option<String> {
    let known: &[(&str, &str)] = match command.get_name() {
        "bench" | "doctor" => &LOAD,
        "connect" => &CONNECT,
        "serve" => &SERVE,
        _ => &[],
    };
    let is_named = |(names, _): &&(&str, &str)| names.split(' ').any(|name| name == argument);
    if let Some((_, hint)) = known.iter().find(is_named) {
        return Some((*hint).to_owned());
    }
    close_option(command, argument).map(|option| format!("did you mean --{option}?"))
}

/// The long option of `command` whose name is closest to `argument`, if few letters differ.
fn close_option(command: &Command, argument: &str) -> Option<String> {
    let name = argument.strip_prefix("--")?;
    // Short names are close to many others.
    let most = if name.len() <= 5 { 1 } else { 2 };
    let options = command
        .get_arguments()
        .filter_map(|option| option.get_long());
    let distances = options.map(|option| (distance(name, option), option));
    let (least, option) = distances.min()?;
    (least <= most).then(|| option.to_owned())
}

/// How many letters have to be added, removed, replaced or swapped with the next one to make `from`
/// into `to` (optimal string alignment distance).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn hint_of(command: &str, argument: &str) -> Option<String> {
        let cli = Cli::command();
        hint(cli.find_subcommand(command).unwrap(), argument)
    }

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("size", "size"), 0);
        assert_eq!(distance("siez", "size"), 1);
        assert_eq!(distance("siz", "size"), 1);
        assert_eq!(distance("", "size"), 4);
        assert_eq!(distance("port", "udp-rate"), 5);
    }

    #[test]
    fn misspelt_option_gets_the_closest_of_its_command() {
        assert_eq!(
            hint_of("bench", "--conections").unwrap(),
            "did you mean --connections?"
        );
        assert_eq!(
            hint_of("serve", "--udp-raet").unwrap(),
            "did you mean --udp-rate?"
        );
        assert_eq!(hint_of("bench", "--udp-raet"), None);
        assert_eq!(hint_of("serve", "--frobnicate"), None);
    }

    /// The parser accepts an option that exists, so its hint would be dead text.
    #[test]
    fn hints_are_for_options_that_do_not_exist() {
        let cli = Cli::command();
        for (command, known) in [
            ("bench", &LOAD[..]),
            ("doctor", &LOAD),
            ("connect", &CONNECT),
            ("serve", &SERVE),
        ] {
            let command = cli.find_subcommand(command).unwrap();
            for name in known.iter().flat_map(|(names, _)| names.split(' ')) {
                let exists = command.get_arguments().any(|option| {
                    let long = option.get_long().map(|long| format!("--{long}"));
                    let short = option.get_short().map(|short| format!("-{short}"));
                    [long, short].contains(&Some(name.to_owned()))
                });
                assert!(!exists, "{} {name}", command.get_name());
            }
        }
    }

    #[test]
    fn options_of_other_tools_get_the_option_that_does_the_same() {
        for (command, argument, told) in [
            ("bench", "--port", "127.0.0.1:25555"),
            ("bench", "--host", "127.0.0.1:25555"),
            ("bench", "--threads", "-c N"),
            ("bench", "-t", "-c N"),
            ("bench", "--concurrency", "-c N"),
            ("bench", "--requests", "-n N"),
            ("bench", "--time", "-d TIME"),
            ("bench", "--bandwidth", "-R N"),
            ("doctor", "--port", "127.0.0.1:25555"),
            ("serve", "--port", "--tcp HOST:PORT"),
            ("serve", "-p", "--tcp HOST:PORT"),
            ("serve", "-t", "--reuse-port"),
            ("connect", "-u", "udp://HOST:PORT"),
        ] {
            let hint = hint_of(command, argument).unwrap();
            assert!(hint.contains(told), "{command} {argument}: {hint}");
        }
    }
}
