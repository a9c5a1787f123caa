//! The arguments of `echoloop connect`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::{Lang, Listen, SourceArg};
use crate::units::{Timeout, nonzero_size, time, timeout};

/// The arguments of `echoloop connect`.
#[derive(Args, Debug)]
#[command(
    after_help = "At a terminal there is a prompt: each line is sent without its end, and text of the server appears \
above the prompt. 'quit', Ctrl-D and Ctrl-C leave. Each pasted line is sent by itself.

Otherwise the bytes of standard input are sent unchanged. At its end, the connection is half-closed, and the rest is \
printed until the server closes. If standard output is a terminal, each row begins with '<<< ', and control \
characters are escaped; otherwise bytes are unchanged.

To udp:// each line is a datagram, and each answer a line.

All addresses of a name are tried. TCP: the next attempt starts when one fails, or after 250 ms, and the first \
connection wins (RFC 8305). UDP: a datagram is sent to the next address if one does not reply.

Times take ns, us, ms, s, m and h; a bare number is seconds.

Examples:
  echoloop connect 127.0.0.1:25555
  echoloop connect localhost 25555
  echo hello | echoloop connect tcp://localhost:25555
  echo hello | echoloop connect udp://127.0.0.1:25556
  echoloop connect 127.0.0.1:25555 < file > copy

Exit codes: 0 done, 1 failed or a datagram got no answer, 2 usage; 129, 130 and 143 ended by \
SIGHUP, SIGINT (Ctrl-C while no prompt is up) or SIGTERM."
)]
pub(crate) struct ConnectArgs {
    /// The server: tcp://HOST:PORT, udp://HOST:PORT, or HOST:PORT for TCP; the port can also be the next word
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The port, if SERVER is only a host
    #[arg(value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// Time limit for connecting to each address of the server; 0: that of the system
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    pub(crate) connect_timeout: Timeout,
    /// TCP: after the end of input, end within this time, whatever arrives until then [default: when the server
    /// closes]. Also ends if the server takes no input for this time. UDP: how long to wait for the reply of
    /// each address to a datagram [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) wait: Option<Duration>,
    /// Connect from this address: 127.0.0.1, or fe80::1%eth0 for a link-local one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Option<SourceArg>,
    /// Go on sending after the server has half-closed the connection, until the end of input [default: until
    /// the input pauses for 200 ms]
    #[arg(long)]
    pub(crate) keep_sending: bool,
    #[command(flatten)]
    pub(crate) lang: Lang,
    /// At the prompt, end each line with a line feed: for servers that read lines
    #[arg(long)]
    pub(crate) newline: bool,
    /// Send datagrams of so many bytes instead of lines, and show answers as they are
    #[arg(long, value_name = "SIZE", value_parser = nonzero_size)]
    pub(crate) datagram_size: Option<std::num::NonZeroUsize>,
}

impl ConnectArgs {
    /// The server.
    ///
    /// # Errors
    ///
    /// The part of the address that is missing or wrong, with an example.
    pub(crate) fn target(&self) -> Result<Target, String> {
        let server = match &self.port {
            None => self.server.clone(),
            Some(port) => joined(&self.server, port)?,
        };
        let target = server.parse();
        target.map_err(|error| format!("invalid value '{server}' for '<SERVER>': {error}"))
    }
}

/// A host and a port in one word.
fn joined(server: &str, port: &str) -> Result<String, String> {
    let (scheme, host) = match server.split_once("://") {
        Some((scheme, host)) => (format!("{scheme}://"), host),
        None => (String::new(), server),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let bare = bare.unwrap_or(host);
    let is_ipv6 = bare.matches(':').count() > 1 && !bare.contains(']');
    if is_ipv6 {
        return Ok(format!("{scheme}[{bare}]:{port}"));
    }
    if host.contains(':') {
        return Err(format!(
            "'{server}' has a port already: leave out '{port}', or the part after the colon"
        ));
    }
    Ok(format!("{scheme}{host}:{port}"))
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
    fn port_can_be_a_word_of_its_own() {
        for (server, port, expected) in [
            ("localhost", "25555", "localhost:25555"),
            ("udp://localhost", "25556", "udp://localhost:25556"),
            ("::1", "80", "[::1]:80"),
            ("[::1]", "80", "[::1]:80"),
            ("tcp://fe80::1%eth0", "80", "tcp://[fe80::1%eth0]:80"),
        ] {
            assert_eq!(joined(server, port).unwrap(), expected);
        }
        for server in ["localhost:80", "udp://127.0.0.1:80", "[::1]:80"] {
            let error = joined(server, "81").unwrap_err();
            assert!(error.contains(server) && error.contains("'81'"), "{error}");
        }
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
