//! A conversation over UDP.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::pipes::{Heard, Input, Output, Said};
use super::{END_WAIT, Failure, is_enough};
use crate::connection::Transfer;
use crate::reactor::{
    DialOptions, Event, Handler, Interest, Next, Registry, SourceAddr, Token, UdpSocket,
    dial_datagrams, fixed_token, watch_again,
};

/// No datagram is larger.
const SIZE_MAX: usize = 64 * 1024;

/// What the socket's events are told by.
const TOKEN: Token = fixed_token(0);

/// How a [`DatagramClient`] asks.
#[derive(Clone, Debug)]
pub struct DatagramOptions {
    /// The server's addresses, at least one, in the order in which they are tried. Until one replies, a
    /// datagram that is refused or gets no reply is sent again to the next address. After the last
    /// address, the next datagram starts with the first again. Datagrams from others are not shown.
    pub addresses: Vec<SocketAddr>,
    /// The address to send from; `None`: the system chooses it.
    pub source: Option<SourceAddr>,
    /// How long a reply of one address is awaited. Datagrams get lost.
    pub wait: Duration,
}

/// Sends each piece of what is said as a datagram, and awaits its answer before the next.
///
/// An answer that comes too late is taken for that of the next datagram: nothing in it tells.
#[derive(Debug)]
pub struct DatagramClient {
    options: DatagramOptions,
    untried: VecDeque<SocketAddr>,
    socket: UdpSocket,
    address: SocketAddr,
    readable: bool,
    registered: bool,
    /// An error of its own may have made the poll forget it.
    forgotten: bool,
    /// An answer has come: this is the address to talk to.
    answered: bool,
    /// The datagram sent last, as long as it may have to be sent to another address.
    asked: Option<Vec<u8>>,
    /// It has to be.
    ask_again: bool,
    /// Until when an answer is awaited.
    awaited: Option<Instant>,
    input: Input,
    output: Output,
    room: Box<[u8]>,
    sent: u64,
    lost: u64,
    failure: Option<Failure>,
    over: bool,
}

impl DatagramClient {
    /// A conversation of `input` with a server, shown by `output`.
    ///
    /// # Errors
    ///
    /// Those of binding and connecting the socket, for the last address; `InvalidInput` if there is none.
    pub fn new(options: DatagramOptions, input: Input, output: Output) -> io::Result<Self> {
        let mut untried = options.addresses.iter().copied().collect();
        let (socket, address) = open_next(&mut untried, options.source)?;
        Ok(Self {
            options,
            untried,
            socket,
            address,
            readable: false,
            registered: false,
            forgotten: false,
            answered: false,
            asked: None,
            ask_again: false,
            awaited: None,
            input,
            output,
            room: vec![0; SIZE_MAX].into_boxed_slice(),
            sent: 0,
            lost: 0,
            failure: None,
            over: false,
        })
    }

    /// How many datagrams were sent, and how many of them got no answer. If the loop was left early, waits a
    /// moment for what came to be shown.
    ///
    /// # Errors
    ///
    /// Why the conversation failed, if it did. A reader of the output that has had enough is no failure.
    pub fn finish(self) -> Result<(u64, u64), Failure> {
        let shown = self.output.finish_within(END_WAIT);
        match (self.failure, shown) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) if !is_enough(&error) => Err(Failure::Output(error)),
            _ => Ok((self.sent, self.lost)),
        }
    }

    /// Waits until everything that was heard has been shown.
    fn wind_up(&mut self) -> Next {
        self.output.close();
        if self.output.is_closed() {
            Next::Stop
        } else {
            Next::Wait(None)
        }
    }

    /// Switches to the next address, if this one has not replied and there is another. The datagram
    /// sent last is sent again.
    fn move_on(&mut self) -> bool {
        if self.answered || self.asked.is_none() {
            return false;
        }
        let Ok((socket, address)) = open_next(&mut self.untried, self.options.source) else {
            return false;
        };
        (self.socket, self.address) = (socket, address);
        (self.registered, self.forgotten) = (false, false);
        (self.readable, self.ask_again) = (false, true);
        true
    }

    /// Returns the datagram to send now. After a datagram that no address has replied to, the first
    /// address is tried again: the first datagram may have been lost on the way.
    fn start_over(&mut self, piece: Vec<u8>) -> Option<Vec<u8>> {
        let all_tried = self.sent > 1 && self.untried.is_empty();
        if self.answered || !all_tried || self.options.addresses.len() < 2 {
            return Some(piece);
        }
        self.untried = self.options.addresses.iter().copied().collect();
        self.asked = Some(piece);
        if self.move_on() {
            None
        } else {
            self.asked.take()
        }
    }

    /// The datagram sent last got no reply, for this reason, or within the time limit.
    fn lose(&mut self, why: Option<io::Error>) {
        self.awaited = None;
        if self.move_on() {
            return;
        }
        self.lost += 1;
        self.output.push(Heard::NoAnswer(self.sent, why));
    }

    /// Shows what has come, as far as there is room.
    fn receive(&mut self) {
        while self.readable && self.output.has_room() {
            match Transfer::of_datagram(self.socket.recv(&mut self.room)) {
                Transfer::Moved(size) => {
                    self.awaited = None;
                    self.answered = true;
                    self.output.push(Heard::Bytes(self.room[..size].to_vec()));
                }
                Transfer::WouldBlock => self.readable = false,
                Transfer::Interrupted | Transfer::Eof => {}
                Transfer::Failed(error) => {
                    (self.readable, self.forgotten) = (false, true);
                    if self.awaited.is_some() {
                        self.lose(Some(error));
                    }
                }
            }
        }
    }

    /// Has the socket among the sources of the loop.
    fn watch(&mut self, registry: &Registry) -> io::Result<()> {
        if !std::mem::replace(&mut self.registered, true) {
            self.output.push(Heard::Connected(self.address));
            registry.register(&mut self.socket, TOKEN, Interest::READABLE)
        } else if std::mem::take(&mut self.forgotten) {
            watch_again(registry, &mut self.socket, TOKEN, Interest::READABLE)
        } else {
            Ok(())
        }
    }

    /// Sends the next datagram, if no answer is awaited. Says whether that was all.
    fn send(&mut self, now: Instant) -> bool {
        while self.registered && self.awaited.is_none() && self.output.has_room() {
            let again = std::mem::take(&mut self.ask_again);
            let piece = match self.asked.take().filter(|_| again) {
                Some(piece) => piece,
                None => match self.input.next() {
                    Said::Piece(piece) => {
                        self.sent += 1;
                        match self.start_over(piece) {
                            Some(piece) => piece,
                            None => return false,
                        }
                    }
                    Said::Nothing => return false,
                    Said::Ended => return true,
                    Said::Failed(error) => {
                        self.failure = Some(Failure::Input(error));
                        return true;
                    }
                },
            };
            // A pending ICMP error of an earlier datagram is reported instead of sending this one (udp(7)). It is
            // reported once.
            let sent = self.socket.send(&piece);
            let sent = sent.or_else(|_| self.socket.send(&piece));
            self.asked = (!self.answered && !self.untried.is_empty()).then_some(piece);
            match sent {
                Ok(_) => self.awaited = Some(now + self.options.wait),
                // This one can't be sent.
                Err(error) => self.lose(Some(error)),
            }
        }
        false
    }
}

impl Handler for DatagramClient {
    fn ready(&mut self, event: &Event) {
        self.readable |= event.token() == TOKEN;
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Next {
        if let Err(error) = self.watch(registry) {
            self.failure = Some(Failure::Lost(error));
            self.over = true;
        }
        if self.over {
            return self.wind_up();
        }
        self.receive();
        // Without room to say that it is lost, there is nothing to be late for: room wakes the loop.
        let has_room = self.output.has_room();
        if has_room && self.awaited.is_some_and(|until| until <= now) {
            self.lose(None);
        }
        if self.output.is_closed() || self.send(now) {
            self.over = true;
            return self.wind_up();
        }
        let wake = if self.registered && !self.forgotten {
            self.awaited.filter(|_| has_room)
        } else {
            Some(now)
        };
        Next::until(wake, now)
    }
}

/// A socket that talks to the first of `untried` that the system knows a way to, and that address.
fn open_next(
    untried: &mut VecDeque<SocketAddr>,
    source: Option<SourceAddr>,
) -> io::Result<(UdpSocket, SocketAddr)> {
    let mut outcome = Err(ErrorKind::InvalidInput.into());
    while let Some(address) = untried.pop_front() {
        outcome = dial_datagrams(address, source, &DialOptions::default())
            .map(|socket| (socket, address));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}
