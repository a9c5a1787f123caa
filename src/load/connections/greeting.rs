//! The greeting of a server: what it sends before the first message, as in SMTP (RFC 5321, section 3.1) and FTP.

use std::io::Read;

use crate::connection::Transfer;
use crate::load::connections::connect_state::{CloseCause, ConnectState};
use crate::load::connections::connection::Connection;
use crate::load::connections::slots::Socket;
use crate::load::connections::table::ConnectionTable;
use crate::load::host::Host;
use crate::load::next_step::NextStep;
use crate::load::result::outcome::Step;
use crate::load::shared::Shared;
use crate::probe::Probe;
use crate::reactor::{Attempt, Key};

impl<A: Attempt> Connection<A> {
    /// Reads a part of the greeting. Returns whether it is complete.
    ///
    /// # Errors
    ///
    /// Why the connection is over.
    fn receive_greeting<P: Probe>(
        &mut self,
        shared: &mut Shared<impl Host>,
        probe: &mut P,
    ) -> Result<bool, CloseCause> {
        let socket = std::mem::replace(&mut self.socket, ConnectState::Gone);
        let ConnectState::Greeting(stream, mut matched) = socket else {
            self.socket = socket;
            return Ok(true);
        };
        let mut observed = probe.stream(stream);
        let read = Transfer::of_read(observed.read(&mut shared.buffer));
        let stream = P::into_inner(observed);
        shared.recorder.outcome.client.reads += 1;
        let taken = match read {
            Transfer::Moved(count) => self.take_greeting(count, &mut matched, shared),
            Transfer::WouldBlock => {
                self.readiness.read_blocked();
                shared.recorder.outcome.client.would_block += 1;
                Ok(false)
            }
            Transfer::Interrupted => Ok(false),
            Transfer::Eof => Err(CloseCause::Eof),
            Transfer::Failed(error) => Err(CloseCause::Failed(Step::Read, error)),
        };
        self.socket = match taken {
            Ok(true) => ConnectState::Connected(stream),
            _ => ConnectState::Greeting(stream, matched),
        };
        taken
    }

    /// Takes the `count` bytes that were read. Nothing is to come after the greeting: no message has been sent.
    fn take_greeting(
        &mut self,
        count: usize,
        matched: &mut usize,
        shared: &mut Shared<impl Host>,
    ) -> Result<bool, CloseCause> {
        let now = shared.now();
        if count < shared.buffer.len() {
            self.readiness.read_short();
        }
        shared.recorder.received(now, count);
        let bytes = &shared.buffer[..count];
        let (length, is_complete) = match &shared.greeting {
            Some(greeting) => greeting.find(bytes, matched),
            None => (0, true),
        };
        let rest = &bytes[length..];
        let verified = self.verifier.receive(rest, &shared.expected, |_| ());
        verified.map_err(|wrong| {
            let end = rest.len().min(wrong.at + 64);
            CloseCause::Mismatched(now, wrong, rest[wrong.at..end].to_vec())
        })?;
        Ok(is_complete)
    }
}

impl<P: Probe, H: Host> ConnectionTable<P, H> {
    /// Reads a part of the greeting of the connection that `key` names, which is used once it is complete.
    #[cold]
    pub(crate) fn serve_greeting(&mut self, key: Key, shared: &mut Shared<H>, now: u64) {
        let Some(Socket::Stream(connection)) = self.slots.socket_mut(key) else {
            return;
        };
        if !connection.readiness.is_readable() {
            return;
        }
        self.probe.serve_began(key.client());
        let received = connection.receive_greeting(shared, &mut self.probe);
        let is_readable = connection.readiness.is_readable();
        if P::ON {
            let next = match &received {
                Ok(false) if is_readable => CloseCause::served(&Ok(NextStep::Again), false),
                Ok(_) => CloseCause::served(&Ok(NextStep::Wait), false),
                Err(_) => crate::probe::Served::Over,
            };
            self.probe.serve_ended(key.client(), next);
        }
        match received {
            Ok(true) => self.begin_use(key, shared, now),
            Ok(false) if is_readable => self.slots.queue(key),
            Ok(false) => {}
            Err(cause) => self.close(key, cause, shared),
        }
    }
}
