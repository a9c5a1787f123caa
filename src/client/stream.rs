//! A conversation over TCP.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use super::pipes::{Heard, Input, Output, Said};
use super::{END_WAIT, Failure, is_enough};
use crate::connection::{Buffer, Readiness, Transfer};
use crate::reactor::{
    Connected, Connecting, Connector, Event, Handler, Next, Registry, SourceAddr, TcpStream, Token,
};

/// How many bytes that the server has not taken are kept before no more of what is said is looked at.
const HIGH_WATER: usize = 256 * 1024;

/// How long nothing must have been said, once the server has ended its side, for that to be all. It may have
/// shut its side only, and go on listening.
const SERVER_ENDED_QUIET: Duration = Duration::from_millis(200);

/// The most bytes one read brings.
const READ_SIZE: usize = 64 * 1024;

/// How a [`StreamClient`] connects and ends.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// The server's addresses, in the order of the resolver. See [`Connector`].
    pub addresses: Vec<SocketAddr>,
    /// The address to connect from; `None`: the system chooses it.
    pub source: Option<SourceAddr>,
    /// After how long an attempt to connect to one address fails.
    pub connect_timeout: Duration,
    /// How long to wait for the rest after the end of the input, whatever arrives until then; `None`: until
    /// the server ends. Then the output has one more second for bytes that have arrived.
    pub wait: Option<Duration>,
    /// How long the server may take no byte of the input; `None`: any time. Time in which the output has no
    /// room does not count.
    pub stall: Option<Duration>,
    /// Leave as soon as the server ends its side, whatever is being said.
    pub leave_with_server: bool,
    /// Go on sending after the server has ended its side, until the end of the input.
    pub keep_sending: bool,
    /// Write each piece of the input by a call of its own, after the one before has been written.
    /// Otherwise pieces are joined.
    pub separate_writes: bool,
}

/// Sends what is said, shows what comes. When everything has been said, our side is shut and the rest
/// awaited; when the server ends its side, what is being said is still sent, and then the conversation is over.
#[derive(Debug)]
pub struct StreamClient {
    options: StreamOptions,
    phase: Phase,
    seen: Readiness,
    input: Input,
    output: Output,
    unsent: Buffer,
    /// The unsent bytes of each piece, if each is written separately.
    pieces: VecDeque<usize>,
    said_all: bool,
    /// Why a write failed, and how many bytes were unsent then. The kernel reports an error once, and a
    /// read may find an end of file after it.
    write_error: Option<(io::Error, usize)>,
    /// The server has ended its side, and something was said last at this time.
    ended: Option<Instant>,
    /// Our side has been shut.
    shut: bool,
    /// When the wait for the rest ends.
    wait_until: Option<Instant>,
    /// Since when the server has taken nothing of the unsent bytes.
    stalled: Option<Instant>,
    /// The time limit has ended the conversation.
    timed_out: bool,
    room: Box<[u8]>,
    ending: Ending,
    failure: Option<Failure>,
}

/// Who has ended a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The server has ended its side.
    Server,
    /// We have: everything has been said and the rest was waited for, or nobody reads it.
    Us,
    /// We have, and the server had not taken so many bytes by then.
    Unsaid(usize),
}

#[derive(Debug)]
enum Phase {
    Connecting(Connector),
    /// A connection, and the token that it is registered with.
    Talking(TcpStream, Token),
    /// The conversation is over. What has been heard is still shown.
    Over,
}

/// How a conversation stands after something was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Talk {
    /// There may be more to do.
    Busy,
    /// There is nothing to do but to wait.
    Idle,
    Over,
}

impl StreamClient {
    /// A conversation of `input` with a server, shown by `output`. It connects once it is run.
    pub fn new(options: StreamOptions, input: Input, output: Output) -> Self {
        let connector = Connector::new(
            &options.addresses,
            options.source.as_slice(),
            options.connect_timeout,
        );
        Self {
            options,
            phase: Phase::Connecting(connector),
            seen: Readiness::new(),
            input,
            output,
            unsent: Buffer::new(),
            pieces: VecDeque::new(),
            said_all: false,
            write_error: None,
            ended: None,
            shut: false,
            wait_until: None,
            stalled: None,
            timed_out: false,
            room: vec![0; READ_SIZE].into_boxed_slice(),
            ending: Ending::Us,
            failure: None,
        }
    }

    /// Who has ended the conversation. If the loop was left early, waits a moment for what came to be shown.
    ///
    /// # Errors
    ///
    /// Why the conversation failed, if it did. A reader of the output that has had enough is no failure.
    pub fn finish(self) -> Result<Ending, Failure> {
        let shown = self.output.finish_within(END_WAIT);
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        // At a prompt, the person has left.
        let is_cut_short = self.timed_out && !self.options.leave_with_server;
        match shown {
            Err(error) if is_cut_short && error.kind() == ErrorKind::TimedOut => {
                Err(Failure::Output(error))
            }
            Err(error) if !is_enough(&error) => Err(Failure::Output(error)),
            _ => Ok(self.ending),
        }
    }

    /// Waits until everything that was heard has been shown.
    fn wind_up(&mut self) -> Next {
        self.output.close();
        if self.output.is_closed() || self.timed_out {
            Next::Stop
        } else {
            Next::Wait(None)
        }
    }

    /// Connects. Returns the next phase, and when the next step is due at the latest.
    fn connect(
        &mut self,
        mut connector: Connector,
        registry: &Registry,
        now: Instant,
    ) -> (Phase, Option<Instant>) {
        match connector.turn(registry, now) {
            Connecting::Pending(until) => (Phase::Connecting(connector), Some(until)),
            Connecting::Connected(connected) => {
                let Connected {
                    stream,
                    address,
                    token,
                    readiness,
                    ..
                } = connected;
                self.output.push(Heard::Connected(address));
                self.seen = readiness;
                (Phase::Talking(stream, token), None)
            }
            Connecting::Failed(errors) => {
                let timeout = self.options.connect_timeout;
                self.failure = Some(Failure::Connect(errors, timeout));
                (Phase::Over, None)
            }
        }
    }

    /// Moves what can be moved, once each way. Says whether anything was, or that it is over.
    fn talk(&mut self, stream: &mut TcpStream, now: Instant) -> Result<Talk, Failure> {
        self.timed_out = self.time_limit().is_some_and(|until| until <= now);
        if self.output.is_closed() || self.timed_out {
            return Ok(self.leave());
        }
        let said = self.listen(now)?;
        // To the end, because a wait of no time ends the conversation at the next turn.
        let (mut sent, unsent) = (false, self.unsent.len());
        while self.send(stream) {
            sent = true;
        }
        if self.unsent.is_empty() {
            self.stalled = None;
        } else if self.unsent.len() < unsent {
            self.stalled = Some(now);
        } else {
            self.stalled.get_or_insert(now);
        }
        let sent = sent || said;
        if self.said_all && self.unsent.is_empty() && !self.shut {
            self.shut = true;
            // A server that has gone already will be noticed by reading.
            let _ = stream.shutdown(Shutdown::Write);
        }
        if let Some(last) = &mut self.ended {
            if sent || !self.unsent.is_empty() {
                *last = now;
            }
            let keep_sending = self.options.keep_sending;
            if keep_sending && self.seen.is_failed() {
                return Err(Failure::Lost(ErrorKind::ConnectionReset.into()));
            }
            let quiet = !keep_sending && *last + SERVER_ENDED_QUIET <= now;
            let over = self.shut || self.options.leave_with_server || quiet;
            return Ok(if over {
                self.leave()
            } else if sent {
                Talk::Busy
            } else {
                Talk::Idle
            });
        }
        match self.receive(stream, now)? {
            Talk::Idle if sent => Ok(Talk::Busy),
            talk => Ok(talk),
        }
    }

    /// When the wait for the server ends, at the end of the input or while it takes nothing.
    fn time_limit(&self) -> Option<Instant> {
        let stalled = self.stalled.zip(self.options.stall);
        let stalled = stalled.map(|(since, limit)| since + limit);
        self.wait_until.into_iter().chain(stalled).min()
    }

    /// The conversation is over, whatever the server has not taken yet.
    fn leave(&mut self) -> Talk {
        let by_server = self.ended.is_some() && self.options.leave_with_server;
        let lost = self.write_error.take().map_or(0, |(_, unsent)| unsent);
        let unsent = self.unsent.len() + lost;
        if unsent > 0 && !by_server {
            self.ending = Ending::Unsaid(unsent);
        }
        Talk::Over
    }

    /// Takes what has been said, as long as the server takes it too. Returns whether anything was.
    fn listen(&mut self, now: Instant) -> Result<bool, Failure> {
        let mut said = false;
        while !self.said_all && self.unsent.len() < HIGH_WATER {
            match self.input.next() {
                Said::Piece(piece) => {
                    said = true;
                    self.unsent.extend(&piece);
                    if self.options.separate_writes && !piece.is_empty() {
                        self.pieces.push_back(piece.len());
                    }
                }
                Said::Nothing => break,
                Said::Ended => {
                    self.said_all = true;
                    self.wait_until = self.options.wait.map(|wait| now + wait);
                }
                Said::Failed(error) => return Err(Failure::Input(error)),
            }
        }
        Ok(said)
    }

    fn send(&mut self, stream: &mut TcpStream) -> bool {
        if self.unsent.is_empty() || !self.seen.is_writable() {
            return false;
        }
        let mut bytes = self.unsent.front();
        if let Some(&piece) = self.pieces.front() {
            bytes = &bytes[..bytes.len().min(piece)];
        }
        match Transfer::of_write(stream.write(bytes)) {
            Transfer::Moved(count) => {
                self.unsent.consume(count);
                if let Some(piece) = self.pieces.front_mut() {
                    *piece -= count;
                }
                self.pieces.pop_front_if(|piece| *piece == 0);
            }
            Transfer::WouldBlock => self.seen.write_blocked(),
            Transfer::Interrupted => {}
            Transfer::Eof => self.write_failed(ErrorKind::WriteZero.into()),
            Transfer::Failed(error) => self.write_failed(error),
        }
        true
    }

    /// The server hears no more. What it has said is still read.
    fn write_failed(&mut self, error: io::Error) {
        self.write_error = Some((error, self.unsent.len()));
        (self.unsent, self.said_all, self.shut) = (Buffer::new(), true, true);
        self.pieces.clear();
        self.seen.latch_read_closed();
    }

    fn receive(&mut self, stream: &mut TcpStream, now: Instant) -> Result<Talk, Failure> {
        if !self.seen.is_readable() || !self.output.has_room() {
            return Ok(Talk::Idle);
        }
        match Transfer::of_read(stream.read(&mut self.room)) {
            Transfer::Eof => {
                // After a broken pipe, the server had ended its side in good order before.
                let is_reset =
                    |(error, _): &mut (io::Error, _)| error.kind() != ErrorKind::BrokenPipe;
                if let Some((error, _)) = self.write_error.take_if(is_reset) {
                    return Err(Failure::Lost(error));
                }
                if !self.options.keep_sending {
                    self.ending = Ending::Server;
                }
                self.output.push(Heard::Ended);
                self.ended = Some(now);
            }
            Transfer::Moved(count) => {
                self.output.push(Heard::Bytes(self.room[..count].to_vec()));
                if count < self.room.len() {
                    self.seen.read_short();
                }
            }
            Transfer::WouldBlock => self.seen.read_blocked(),
            Transfer::Interrupted => {}
            Transfer::Failed(error) => return Err(Failure::Lost(error)),
        }
        Ok(Talk::Busy)
    }
}

impl Handler for StreamClient {
    fn ready(&mut self, event: &Event) {
        // A wake-up by one of the pipes needs no more than the turn that follows.
        match &mut self.phase {
            Phase::Connecting(connector) => connector.ready(event),
            Phase::Talking(_, token) if event.token() == *token => {
                self.seen.merge(event.readiness());
            }
            _ => {}
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        let (phase, until) = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Connecting(connector) => self.connect(connector, registry, now),
            phase => (phase, None),
        };
        match phase {
            Phase::Connecting(connector) => {
                self.phase = Phase::Connecting(connector);
                Next::until(until, now)
            }
            Phase::Talking(mut stream, token) => {
                let wake = match self.talk(&mut stream, now) {
                    Ok(Talk::Busy) => Some(now),
                    Ok(Talk::Idle) => {
                        let quiet = self.ended.map(|last| last + SERVER_ENDED_QUIET);
                        let quiet = quiet.filter(|_| !self.options.keep_sending);
                        self.time_limit().into_iter().chain(quiet).min()
                    }
                    Ok(Talk::Over) => return self.wind_up(),
                    Err(failure) => {
                        self.failure = Some(failure);
                        return self.wind_up();
                    }
                };
                self.phase = Phase::Talking(stream, token);
                Next::until(wake, now)
            }
            Phase::Over => self.wind_up(),
        }
    }
}

#[cfg(test)]
mod tests;
