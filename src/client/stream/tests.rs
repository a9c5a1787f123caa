//! How a conversation over TCP ends.

use super::*;
use crate::client::Cut;
use crate::reactor::Reactor;

/// A wait that is over, or a person who leaves, while the server takes nothing.
#[test]
fn unsent_bytes_are_reported_when_a_conversation_ends() {
    for (unsent, server_ended, at_prompt, ending) in [
        (0, false, false, Ending::Us),
        (5, false, false, Ending::Unsaid(5)),
        (5, false, true, Ending::Unsaid(5)),
        (5, true, false, Ending::Unsaid(5)),
        (5, true, true, Ending::Us),
    ] {
        let reactor = Reactor::new().unwrap();
        let input = Input::read(&b""[..], Cut::Anywhere, reactor.waker()).unwrap();
        let output = Output::to_sink(|_| Ok(()), reactor.waker()).unwrap();
        let options = StreamOptions {
            addresses: Vec::new(),
            source: None,
            connect_timeout: Duration::ZERO,
            wait: Some(Duration::ZERO),
            stall: None,
            leave_with_server: at_prompt,
            keep_sending: false,
            separate_writes: at_prompt,
        };
        let mut client = StreamClient::new(options, input, output);
        client.unsent.extend(&vec![0; unsent]);
        client.ended = server_ended.then(Instant::now);
        assert_eq!(client.leave(), Talk::Over);
        assert_eq!(client.finish().unwrap(), ending);
    }
}
