//! The arguments of `echoloop connect`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::{Lang, Listen, SourceArg};
use crate::units::{Timeout, nonzero_size, time, timeout};

/// The arguments of `echoloop connect`.
#[derive(Args, Debug)]
#[command(
    after_help = "At a terminal there is a prompt: each line is sent, without its end, and what the server says \
appears above the prompt, with control characters escaped. 'quit', Ctrl-D and Ctrl-C leave.

Otherwise what comes from standard input is sent as it is, and what the server sends goes to standard output as it \
is. The end of standard input shuts our side, and the rest is awaited.

To udp:// each line is a datagram, and each answer a line.

All addresses of a name are tried. TCP: the next attempt starts when one fails, or after 250 ms, and the first \
connection wins (RFC 8305). UDP: a datagram is sent to the next address if one does not reply.

Times take ns, us, ms, s, m and h; a bare number is seconds.

Examples:
  echoloop connect 127.0.0.1:25555
  echo hello | echoloop connect tcp://localhost:25555
  echo hello | echoloop connect udp://127.0.0.1:25556
  echoloop connect 127.0.0.1:25555 < file > copy

Exit codes: 0 done, 1 failed or a datagram got no answer, 2 usage; 129, 130 and 143 for a conversation at a \
terminal ended by SIGHUP, SIGINT (Ctrl-C while no prompt is up) or SIGTERM."
)]
pub(crate) struct ConnectArgs {
    /// The server: tcp://HOST:PORT, udp://HOST:PORT, or HOST:PORT for TCP
    #[arg(value_name = "SERVER")]
    pub(crate) target: Target,
    /// Time limit for connecting to each address of the server; 0: that of the system
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(crate) connect_timeout: Timeout,
    /// How long to wait for the rest after the end of input [default: until the server ends], and for
    /// the answer to each datagram [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) wait: Option<Duration>,
    /// Connect from this address: 127.0.0.1, or fe80::1%eth0 for a link-local one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Option<SourceArg>,
    #[command(flatten)]
    pub(crate) lang: Lang,
    /// At the prompt, send each line with a line feed behind it: for servers that read lines
    #[arg(long)]
    pub(crate) newline: bool,
    /// Send datagrams of so many bytes instead of lines, and show answers as they are
    #[arg(long, value_name = "SIZE", value_parser = nonzero_size)]
    pub(crate) datagram_size: Option<std::num::NonZeroUsize>,
}

/// A server to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) udp: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, address) = text.split_once("://").unwrap_or(("tcp", text));
        let udp = match scheme {
            "tcp" => false,
            "udp" => true,
            _ => {
                return Err(format!(
                    "{scheme}:// is not supported, only plain TCP and UDP: write tcp://HOST:PORT or udp://HOST:PORT"
                ));
            }
        };
        let scheme = if udp { "udp://" } else { "" };
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        match address.rsplit_once(':') {
            None if !address.is_empty() && is_number(address) => {
                return Err(format!(
                    "it has no host: write HOST:PORT, such as {scheme}127.0.0.1:{address}"
                ));
            }
            None if !address.is_empty() => {
                return Err(format!(
                    "it has no port: write HOST:PORT, such as {scheme}{address}:25555"
                ));
            }
            Some((_, port)) if is_number(port) && !matches!(port.parse::<u16>(), Ok(1..)) => {
                return Err(format!("'{port}' is not a port: give one from 1 to 65535"));
            }
            _ => {}
        }
        let Ok(Listen { host, port }) = address.parse() else {
            return Err("write HOST:PORT, such as 127.0.0.1:25555 or [::1]:25555".to_owned());
        };
        if host.is_empty() {
            return Err("it has no host: write HOST:PORT, such as 127.0.0.1:25555".to_owned());
        }
        Ok(Self { udp, host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_target_name_the_missing_or_wrong_part() {
        let error = |text: &str| text.parse::<Target>().unwrap_err();
        assert!(error("17100").ends_with("such as 127.0.0.1:17100"));
        assert!(error("udp://17100").ends_with("such as udp://127.0.0.1:17100"));
        assert!(error("localhost").ends_with("such as localhost:25555"));
        for text in ["127.0.0.1:0", "127.0.0.1:99999", "[::1]:65536"] {
            assert!(error(text).ends_with("from 1 to 65535"), "{text}");
        }
        assert!(error(":25555").starts_with("it has no host"));
    }

    #[test]
    fn a_target_is_tcp_unless_it_says_udp() {
        let target = |udp, host: &str, port| {
            Ok(Target {
                udp,
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!("127.0.0.1:1".parse(), target(false, "127.0.0.1", 1));
        assert_eq!("tcp://[::1]:25555".parse(), target(false, "::1", 25555));
        assert_eq!(
            "udp://localhost:25556".parse(),
            target(true, "localhost", 25556)
        );
        for text in [
            "",
            "localhost",
            "http://localhost:80",
            ":25555",
            "localhost:0",
            "udp://",
            "::1:80",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
